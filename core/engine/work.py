"""The `work` table: one row per part of a job from its start to its end, with the token of the process that runs it.

A row without an owner, or whose owner is no longer signed in, is taken by any process that runs jobs.
"""

import asyncio
from collections.abc import Sequence
from typing import Any, NamedTuple, cast, get_args

from sqlalchemy import Connection, bindparam, delete, func, select, tuple_, update

from core.ports import Clock, JobPart
from core.storage.database import DATABASE_ERRORS, Database
from core.storage.group_commit import Batcher
from core.storage.tables import INSERTS, replicas, work

CHANNEL = "upscale_bot_jobs"
"""Processes that run jobs listen on this channel, on the connection of their roster."""

TAKEN_AT_ONCE = 50
_MAX_BATCH = 64

_PIECE = work.c.job_id, work.c.part
_SIGNED_IN = select(replicas.c.token).where(replicas.c.token != "")
_ADD = {name: insert(work).on_conflict_do_nothing().returning(*_PIECE) for name, insert in INSERTS.items()}
_END = delete(work).where(
    tuple_(*_PIECE, work.c.owner).in_(bindparam("ended", expanding=True)), work.c.owner.in_(_SIGNED_IN)
)
_OF = select(*_PIECE).where(work.c.owner == bindparam("own"))
_KNOWN = work.c.part.in_(get_args(JobPart))
"""A newer release running beside this one may add parts that only it can run."""

_UNOWNED = select(*_PIECE).where(work.c.owner.not_in(_SIGNED_IN), _KNOWN).order_by(work.c.at).limit(TAKEN_AT_ONCE)
_AM_SIGNED_IN = _SIGNED_IN.where(replicas.c.token == bindparam("own")).exists()
_TAKE = update(work).where(_AM_SIGNED_IN).values(owner=bindparam("own")).returning(*_PIECE)
_TAKE_UNOWNED = _TAKE.where(tuple_(*_PIECE).in_(_UNOWNED.with_for_update(skip_locked=True)))
_TAKE_FROM = _TAKE.where(work.c.owner == bindparam("dead"), _KNOWN)


class Piece(NamedTuple):
    job_id: str
    part: JobPart


class _Change(NamedTuple):
    """A row to insert, or with `ends` to delete."""

    piece: Piece
    owner: str
    ends: bool


class Work:
    """The rows. Also `core.ports.JobEngine` of a process that runs no jobs (ROLE=chat)."""

    token = ""

    def __init__(self, database: Database, clock: Clock) -> None:
        self._db = database
        self._clock = clock
        self._changes = Batcher(self._write, max_batch=_MAX_BATCH, away=DATABASE_ERRORS)
        self.arrived = asyncio.Event()
        """Set when another process has added a row without an owner."""

    async def start(self, job_id: str, *, part: JobPart = "request") -> None:
        """Add a row without an owner, unless the part is already there."""
        await self.add(Piece(job_id, part), "")

    async def add(self, piece: Piece, owner: str) -> bool:
        """Insert the row; False if it exists, whoever owns it."""
        return bool(await self._changes.call(_Change(piece, owner, ends=False)))

    async def end(self, piece: Piece, owner: str) -> None:
        """Delete the row, if this owner still has it and is still signed in."""
        await self._changes.call(_Change(piece, owner, ends=True))

    async def of(self, owner: str) -> Sequence[Piece]:
        return _pieces(await self._db.all(_OF, {"own": owner}))

    async def take_from(self, dead: str, own: str) -> Sequence[Piece]:
        """Make the rows of the token `dead` those of the token `own`."""
        values = {"dead": dead, "own": own}
        return _pieces(await self._db.run_statement(lambda connection: connection.execute(_TAKE_FROM, values).all()))

    async def take_unowned(self, own: str) -> Sequence[Piece]:
        """Take some rows that have no live owner, oldest first; concurrent processes share them."""
        if await self._db.first(_UNOWNED) is None:
            return ()
        return _pieces(
            await self._db.run_statement(lambda connection: connection.execute(_TAKE_UNOWNED, {"own": own}).all())
        )

    async def close(self) -> None:
        await self._changes.close()

    async def _write(self, changes: Sequence[_Change]) -> Sequence[bool]:
        """Write all in one commit. Deletions come first, so that a part that is started again at once stays."""
        ended = [(*one.piece, one.owner) for one in changes if one.ends]
        at = self._clock.now()
        added = [{**one.piece._asdict(), "owner": one.owner, "at": at} for one in changes if not one.ends]
        unowned = any(not row["owner"] for row in added)

        def write(connection: Connection) -> set[Piece]:
            if ended:
                connection.execute(_END, {"ended": ended})
            if not added:
                return set()
            new = set(_pieces(connection.execute(_ADD[connection.dialect.name], added).all()))
            if unowned and connection.dialect.name == "postgresql":
                connection.execute(select(func.pg_notify(CHANNEL, "")))
            return new

        alone = not unowned and not (ended and added)
        new = await (self._db.run_statement if alone else self._db.run_write)(write)
        answers = []
        for one in changes:
            answers.append(not one.ends and one.piece in new)
            if not one.ends:
                new.discard(one.piece)  # the second of two equal requests
        return answers


def _pieces(rows: Sequence[Any]) -> list[Piece]:
    return [Piece(row.job_id, cast(JobPart, row.part)) for row in rows]
