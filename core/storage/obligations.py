"""Messages that still have to be sent or removed, one row each. See `core.jobs.endings`.

The obligation to announce a job's end is written in the transaction that ends the job, so that no crash can lose it.
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
"""The job's own run announces the end first; after this time any process may."""

_LEASE_S = 120.0
"""How long a row is reserved for the process that took it."""

_PAUSE_GROWTH = 0.25
_MIN_PAUSE_S, _MAX_PAUSE_S = 5.0, 900.0

_ADD = insert(obligations)
_ONE = obligations.c.id == bindparam("one")
_GET = select(obligations.c.id).where(_ONE)
_FULFIL = delete(obligations).where(_ONE)
_KNOWN = obligations.c.kind.in_(get_args(ObligationKind))
"""A newer release running beside this one may add kinds that only it knows."""

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
        """Note a message that must be deleted. The same message is noted once."""
        digest = hashlib.sha256(json.dumps(dict(data), sort_keys=True).encode()).hexdigest()[:16]
        await self._owe(job, kind, id=f"{job.id}:{digest}", data=self._vault.encrypt(dict(data)))

    async def owe_restating(self, job: Job) -> None:
        """Note that the job's end must be announced again later, since an earlier edit may still overwrite it."""
        await self._owe(job, "again")

    async def _owe(self, job: Job, kind: str, **more: str) -> None:
        row = _row(job, kind, self._clock.now(), _MIN_PAUSE_S, **more)

        def work(connection: Connection) -> None:
            connection.execute(_FULFIL, {"one": row["id"]})
            connection.execute(_ADD, row)

        await self._db.run_write(work)

    async def take_due(self, limit: int) -> Sequence[Obligation]:
        """Return the rows that are due, oldest first, and reserve them for two minutes."""
        now = self._clock.now()
        query = _DUE.limit(limit)
        if await self._db.first(query, {"now": now}) is None:
            return ()

        def work(connection: Connection) -> Sequence[Any]:
            rows = connection.execute(query.with_for_update(skip_locked=True), {"now": now}).all()
            held = update(obligations).where(obligations.c.id.in_([row.id for row in rows]))
            connection.execute(held.values(due_at=now + _LEASE_S, tries=obligations.c.tries + 1))
            return rows

        return [
            Obligation(row.id, row.job_id, row.kind, row.platform, self._vault.decrypt(row.data) or {}, row.made_at,
                       row.expires_at, row.tries + 1)
            for row in await self._db.run_write(work)
        ]  # fmt: skip

    async def postpone(self, obligation_id: str, *, asked_s: float | None = None) -> None:
        """Try again after a quarter of the row's age, 5 s to 15 min, or after `asked_s` if that is longer."""
        now = self._clock.now()
        made_at = select(obligations.c.made_at).where(_ONE)

        def work(connection: Connection) -> None:
            made = connection.execute(made_at, {"one": obligation_id}).scalar()
            if made is not None:
                pause_s = min(_MAX_PAUSE_S, max(_MIN_PAUSE_S, (now - made) * _PAUSE_GROWTH, asked_s or 0.0))
                connection.execute(_POSTPONE, {"one": obligation_id, "due_at": now + pause_s})

        await self._db.run_write(work)

    async def fulfil(self, obligation_id: str) -> None:
        await self._db.execute(_FULFIL, {"one": obligation_id})

    async def owes_end(self, job_id: str) -> bool:
        return await self._db.first(_GET, {"one": f"{job_id}:announce"}) is not None

    async def count(self) -> int:
        count: int = (await self._db.first(select(func.count()).select_from(obligations)))[0]
        return count
