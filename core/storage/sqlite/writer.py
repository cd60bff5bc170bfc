"""SQLite's short cuts: small reads at once on the event loop, small writes in one thread, many in one commit.

The async driver crosses threads six to eight times per transaction, which costs more than SQLite's own work does
(measured 2026-11-23: 60 % of the processor time of a job). Here a point read crosses none and a write one. Reads in
write-ahead mode wait for nobody; only short, indexed ones belong here.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any, TypeVar

from sqlalchemy import URL, Connection, Engine, StaticPool, create_engine, event
from sqlalchemy.exc import OperationalError

T = TypeVar("T")

_MOST_AT_ONCE = 64
_READ_PATIENCE_MS = 20
"""How long a read on the event loop may wait for a lock, which only the recovery after a crash holds."""


@dataclass(slots=True)
class _Ticket:
    work: Callable[[Connection], Any]
    done: asyncio.Future[Any]


class SqliteWriter:
    """Reads and writes over the synchronous driver. Used from one event loop; `close` ends it."""

    def __init__(self, url: URL, turn: asyncio.Semaphore, *, busy_timeout_s: float) -> None:
        """`turn` is held while writing: who else writes in this process must hold it too."""
        self._turn = turn
        self._reader = _engine(url, _READ_PATIENCE_MS, begin=None)
        self._writer = _engine(url, int(busy_timeout_s * 1000), begin="BEGIN IMMEDIATE")
        self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="sqlite-writer")
        self._waiting: deque[_Ticket] = deque()
        self._pump: asyncio.Task[None] | None = None

    async def read(self, work: Callable[[Connection], T]) -> T:
        """Run one short query now, on the event loop; in the writer's thread where the database is locked just then."""
        try:
            with self._reader.connect() as connection:
                return work(connection)
        except OperationalError:
            return await self.write(work)

    async def write(self, work: Callable[[Connection], T]) -> T:
        """Run a short write in the writer's thread; writes that wait together are committed together.

        What one raises undoes and concerns only that one. A caller that is cancelled may still have been written.
        """
        ticket = _Ticket(work, asyncio.get_running_loop().create_future())
        self._waiting.append(ticket)
        if self._pump is None or self._pump.done():
            self._pump = asyncio.create_task(self._write_all(), name="sqlite-writer")
        result: T = await ticket.done
        return result

    async def _write_all(self) -> None:
        loop = asyncio.get_running_loop()
        while self._waiting:
            batch = [self._waiting.popleft() for _ in range(min(_MOST_AT_ONCE, len(self._waiting)))]
            batch = [ticket for ticket in batch if not ticket.done.done()]
            try:
                async with self._turn:
                    works = [ticket.work for ticket in batch]
                    answers = await loop.run_in_executor(self._thread, self._commit, works)
            except Exception as error:  # the commit itself failed, so nobody's write happened
                answers = [error] * len(batch)
            for ticket, answer in zip(batch, answers, strict=True):
                if ticket.done.done():
                    continue
                if isinstance(answer, Exception):
                    ticket.done.set_exception(answer)
                else:
                    ticket.done.set_result(answer)

    def _commit(self, works: Sequence[Callable[[Connection], Any]]) -> list[Any]:
        """All in one transaction; each in a savepoint of its own where there are several."""
        with self._writer.begin() as connection:
            if len(works) == 1:
                return [works[0](connection)]
            return [_guarded(connection, work) for work in works]

    async def close(self) -> None:
        """Write what is waiting, then end the thread and the connections."""
        if self._pump is not None:
            await asyncio.gather(self._pump, return_exceptions=True)
        await asyncio.to_thread(self._thread.shutdown)
        self._reader.dispose()
        self._writer.dispose()


def _guarded(connection: Connection, work: Callable[[Connection], Any]) -> Any:
    try:
        with connection.begin_nested():
            return work(connection)
    except Exception as error:  # handed to its caller; the others' writes stand
        return error


def _engine(url: URL, busy_timeout_ms: int, *, begin: str | None) -> Engine:
    """One connection for ever, made at first use; transactions begin with these words, or there are none."""
    engine = create_engine(
        url.set(drivername="sqlite+pysqlite"), poolclass=StaticPool, connect_args={"check_same_thread": False}
    )

    @event.listens_for(engine, "connect")
    def _on_connect(connection: Any, _record: Any) -> None:
        connection.isolation_level = None
        cursor = connection.cursor()
        cursor.execute(f"PRAGMA busy_timeout = {busy_timeout_ms}")
        cursor.execute("PRAGMA journal_mode = WAL")
        cursor.execute("PRAGMA synchronous = FULL")
        cursor.execute("PRAGMA foreign_keys = ON")
        cursor.close()

    if begin is not None:
        words = begin

        @event.listens_for(engine, "begin")
        def _on_begin(connection: Connection) -> None:
            connection.exec_driver_sql(words)

    return engine
