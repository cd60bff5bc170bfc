"""Which part of which job is under way, and in which process: a row from the part's beginning to its end.

The row's owner is the token of the process that has it in hand; without one, whoever runs jobs takes it. What belongs
to a token that is signed in no more is taken too, so wherever a process ends, nothing is lost.
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
"""Whoever runs jobs listens here, on the connection of its roster."""

TAKEN_AT_ONCE = 50
_MOST_AT_ONCE = 64

_PIECE = work.c.job_id, work.c.part
_SIGNED_IN = select(replicas.c.token).where(replicas.c.token != "")
_ADD = {name: insert(work).on_conflict_do_nothing().returning(*_PIECE) for name, insert in INSERTS.items()}
_END = delete(work).where(
    tuple_(*_PIECE, work.c.owner).in_(bindparam("ended", expanding=True)), work.c.owner.in_(_SIGNED_IN)
)
_OF = select(*_PIECE).where(work.c.owner == bindparam("mine"))
_KNOWN = work.c.part.in_(get_args(JobPart))
"""A newer release beside this one may have parts that only it can carry on."""

_LEFT = select(*_PIECE).where(work.c.owner.not_in(_SIGNED_IN), _KNOWN).order_by(work.c.at).limit(TAKEN_AT_ONCE)
_AM_SIGNED_IN = _SIGNED_IN.where(replicas.c.token == bindparam("mine")).exists()
_MAKE_MINE = update(work).where(_AM_SIGNED_IN).values(owner=bindparam("mine")).returning(*_PIECE)
_TAKE_LEFT = _MAKE_MINE.where(tuple_(*_PIECE).in_(_LEFT.with_for_update(skip_locked=True)))
_TAKE_FROM = _MAKE_MINE.where(work.c.owner == bindparam("dead"), _KNOWN)


class Piece(NamedTuple):
    job_id: str
    part: JobPart


class _Change(NamedTuple):
    """A row to be written, or (`ends`) deleted."""

    piece: Piece
    owner: str
    ends: bool


class Work:
    """The rows; and `core.ports.JobEngine` of a process that runs no jobs (ROLE=chat): it leaves them to the others."""

    def __init__(self, database: Database, clock: Clock) -> None:
        self._db = database
        self._clock = clock
        self._changes = Batcher(self._write, max_batch=_MOST_AT_ONCE, away=DATABASE_ERRORS)
        self.arrived = asyncio.Event()
        """Set when another process has left something."""

    async def start(self, job_id: str, *, part: JobPart = "request") -> None:
        """Leave this part of the job to whoever runs jobs; while it is under way, the same part again does nothing."""
        await self.add(Piece(job_id, part), "")

    async def add(self, piece: Piece, owner: str) -> bool:
        """Write the row; False where it is there already, whoever owns it."""
        return bool(await self._changes.call(_Change(piece, owner, ends=False)))

    async def end(self, piece: Piece, owner: str) -> None:
        """Delete the row, if it is still this owner's and that still signed in: else its next owner has it."""
        await self._changes.call(_Change(piece, owner, ends=True))

    async def of(self, owner: str) -> Sequence[Piece]:
        return _pieces(await self._db.run_read(lambda connection: connection.execute(_OF, {"mine": owner}).all()))

    async def take_from(self, dead: str, mine: str) -> Sequence[Piece]:
        """Make everything of a dead process this one's; both are tokens."""
        values = {"dead": dead, "mine": mine}
        return _pieces(await self._db.run_statement(lambda connection: connection.execute(_TAKE_FROM, values).all()))

    async def take_left(self, mine: str) -> Sequence[Piece]:
        """Make this process's what nobody has in hand, oldest first; processes that do so at once share it."""
        if not await self._db.run_read(lambda connection: connection.execute(_LEFT).first()):
            return ()
        return _pieces(
            await self._db.run_statement(lambda connection: connection.execute(_TAKE_LEFT, {"mine": mine}).all())
        )

    async def close(self) -> None:
        await self._changes.close()

    async def _write(self, changes: Sequence[_Change]) -> Sequence[bool]:
        """In one commit, ends first: what begins again in the same moment is there afterwards."""
        ended = [(*one.piece, one.owner) for one in changes if one.ends]
        at = self._clock.now()
        begun = [{**one.piece._asdict(), "owner": one.owner, "at": at} for one in changes if not one.ends]
        leaves = any(not row["owner"] for row in begun)

        def write(connection: Connection) -> set[Piece]:
            if ended:
                connection.execute(_END, {"ended": ended})
            if not begun:
                return set()
            new = set(_pieces(connection.execute(_ADD[connection.dialect.name], begun).all()))
            if leaves and connection.dialect.name == "postgresql":
                connection.execute(select(func.pg_notify(CHANNEL, "")))
            return new

        alone = not leaves and not (ended and begun)
        new = await (self._db.run_statement if alone else self._db.run_write)(write)
        answers = []
        for one in changes:
            answers.append(not one.ends and one.piece in new)
            if not one.ends:
                new.discard(one.piece)  # asked for twice at once: begun by the first
        return answers


def _pieces(rows: Sequence[Any]) -> list[Piece]:
    return [Piece(row.job_id, cast(JobPart, row.part)) for row in rows]
