"""What is still owed to members, as rows: ends to be told, messages to be removed. See `core.jobs.obligations`.

The row of an end is written in the transaction that ends the job, so no crash can lose it.
"""

import hashlib
import json
from collections.abc import Mapping, Sequence
from typing import Any, Literal, get_args

from sqlalchemy import Connection, bindparam, delete, func, insert, select, update

from core.domain.job import Job
from core.ports import Clock, Obligation
from core.ports.storage import ObligationKind
from core.storage.database import Database
from core.storage.encryption import Vault
from core.storage.tables import obligations

_KEPT_S = 3 * 86_400.0
_RUN_S = 90.0
"""The job's own run tells its end first; this long after it whoever looks does."""

_HELD_S = 120.0
"""Who has taken a row is left alone with it for so long."""

_PAUSE_GROWTH = 0.25
_LEAST_PAUSE_S, _MOST_PAUSE_S = 5.0, 900.0

_ADD = insert(obligations)
_ONE = obligations.c.id == bindparam("one")
_GET = select(obligations.c.id).where(_ONE)
_FULFIL = delete(obligations).where(_ONE)
_KNOWN = obligations.c.kind.in_(get_args(ObligationKind))
"""A newer release beside this one may owe what only it can do."""

_DUE = select(obligations).where(obligations.c.due_at <= bindparam("now"), _KNOWN).order_by(obligations.c.due_at)
_POSTPONE = update(obligations).where(_ONE)


def owe_announcement(connection: Connection, job: Job, now: float) -> None:
    connection.execute(_ADD, _row(job, "announce", now, _RUN_S))


def _row(job: Job, kind: str, now: float, in_s: float, **more: str) -> dict[str, Any]:
    values = {"id": f"{job.id}:{kind}", "job_id": job.id, "kind": kind, "platform": job.reply.platform}
    times = {"made_at": now, "due_at": now + in_s, "expires_at": now + _KEPT_S}
    return {**values, **times, "tries": 0, "data": "", **more}


class SqlObligations:
    def __init__(self, database: Database, vault: Vault, clock: Clock) -> None:
        self._db = database
        self._vault = vault
        self._clock = clock

    async def owe_removal(self, job: Job, data: Mapping[str, Any], kind: Literal["remove", "stray"] = "remove") -> None:
        """Note a message that must go; the same message is noted once."""
        digest = hashlib.sha256(json.dumps(dict(data), sort_keys=True).encode()).hexdigest()[:16]
        await self._owe(job, kind, id=f"{job.id}:{digest}", data=self._vault.seal(dict(data)))

    async def owe_restating(self, job: Job) -> None:
        """Note that the job's end is to be said once more, a while after it: an earlier edit may come after it."""
        await self._owe(job, "again")

    async def _owe(self, job: Job, kind: str, **more: str) -> None:
        row = _row(job, kind, self._clock.now(), _LEAST_PAUSE_S, **more)

        def work(connection: Connection) -> None:
            connection.execute(_FULFIL, {"one": row["id"]})
            connection.execute(_ADD, row)

        await self._db.change(work)

    async def take_due(self, limit: int) -> Sequence[Obligation]:
        """Rows whose time has come, oldest first; nobody else is given them for two minutes."""
        now = self._clock.now()
        query = _DUE.limit(limit)
        if not await self._db.look(lambda connection: connection.execute(query, {"now": now}).first()):
            return ()

        def work(connection: Connection) -> Sequence[Any]:
            rows = connection.execute(query.with_for_update(skip_locked=True), {"now": now}).all()
            held = update(obligations).where(obligations.c.id.in_([row.id for row in rows]))
            connection.execute(held.values(due_at=now + _HELD_S, tries=obligations.c.tries + 1))
            return rows

        return [
            Obligation(row.id, row.job_id, row.kind, row.platform, self._vault.unseal(row.data) or {}, row.made_at,
                       row.expires_at, row.tries + 1)
            for row in await self._db.change(work)
        ]  # fmt: skip

    async def postpone(self, obligation_id: str, *, asked_s: float | None = None) -> None:
        """Try again later: after a quarter of its age, 5 s to 15 min, or what the platform asks for if that is more."""
        now = self._clock.now()
        made_at = select(obligations.c.made_at).where(_ONE)

        def work(connection: Connection) -> None:
            made = connection.execute(made_at, {"one": obligation_id}).scalar()
            if made is not None:
                pause_s = min(_MOST_PAUSE_S, max(_LEAST_PAUSE_S, (now - made) * _PAUSE_GROWTH, asked_s or 0.0))
                connection.execute(_POSTPONE, {"one": obligation_id, "due_at": now + pause_s})

        await self._db.change(work)

    async def fulfil(self, obligation_id: str) -> None:
        await self._db.change(lambda connection: connection.execute(_FULFIL, {"one": obligation_id}).rowcount)

    async def owes_end(self, job_id: str) -> bool:
        one = {"one": f"{job_id}:announce"}
        return await self._db.look(lambda connection: connection.execute(_GET, one).first()) is not None

    async def count(self) -> int:
        count = select(func.count()).select_from(obligations)
        return await self._db.look(lambda connection: connection.execute(count).scalar_one())
