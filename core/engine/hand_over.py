"""Jobs that a process which only takes requests (ROLE=chat) leaves to those that run jobs: a row each, and a wake-up.

A row is taken in the transaction that begins the job's workflow, so a process that dies meanwhile has taken nothing.
"""

import asyncio
import contextlib
from collections.abc import Awaitable, Callable
from typing import cast

from sqlalchemy import Connection, bindparam, delete, func, insert, select, tuple_
from sqlalchemy.exc import IntegrityError

from core.ports import Clock
from core.ports.storage import JobPart
from core.storage.database import Database
from core.storage.tables import handed_over

CHANNEL = "upscale_bot_jobs"
"""Whoever runs jobs listens here, on the connection of its roster."""

_AT_ONCE = 50
_ADD = insert(handed_over)
_OLDEST = select(handed_over).order_by(handed_over.c.at).limit(_AT_ONCE).with_for_update(skip_locked=True)
_ROW = tuple_(handed_over.c.job_id, handed_over.c.part)
_DONE = delete(handed_over).where(_ROW.in_(bindparam("done", expanding=True)))


class HandOver:
    """`core.ports.JobEngine` of a process that runs no jobs, and the other end: `arrived` wakes whoever takes."""

    def __init__(self, database: Database, clock: Clock) -> None:
        self._db = database
        self._clock = clock
        self.arrived = asyncio.Event()

    async def start(self, job_id: str, *, part: JobPart = "request") -> None:
        """Leave this part of the job to whoever runs jobs; the same part again does nothing."""
        row = {"job_id": job_id, "part": part, "at": self._clock.now()}

        def work(connection: Connection) -> None:
            connection.execute(_ADD, row)
            if connection.dialect.name == "postgresql":
                connection.execute(select(func.pg_notify(CHANNEL, "")))

        with contextlib.suppress(IntegrityError):
            await self._db.change(work)

    async def take(self, begin: Callable[[str, JobPart], Awaitable[None]]) -> None:
        """Begin everything that was left, oldest first; processes that do so at once share it."""
        while True:
            async with self._db.write() as connection:
                rows = (await connection.execute(_OLDEST)).all()
                await asyncio.gather(*(begin(row.job_id, cast(JobPart, row.part)) for row in rows))
                if rows:
                    await connection.execute(_DONE, {"done": [(row.job_id, row.part) for row in rows]})
            if len(rows) < _AT_ONCE:
                return
