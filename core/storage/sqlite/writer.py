"""SQLite's short cuts: small reads at once on the event loop, small writes in one thread, many in one commit.

The async driver crosses threads six to eight times per transaction, which costs more than SQLite's own work does
(measured 2026-11-23: 60 % of the processor time of a job). Here a point read crosses none and a write one. Reads in
write-ahead mode wait for nobody; only short, indexed ones belong here.
"""

import asyncio
import sqlite3
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import cached_property
from typing import Any, TypeVar

from sqlalchemy import URL, Connection, Engine, StaticPool, create_engine, event
from sqlalchemy.exc import OperationalError

from core.storage.group_commit import Batcher

T = TypeVar("T")

_NEEDED = (3, 35, 0)
"""RETURNING came with 3.35 (sqlite.org/releaselog)."""

SYNCHRONOUS = "FULL"
"""An intent to pay must survive a power cut."""

_MOST_AT_ONCE = 64
_READ_PATIENCE_S = 0.02
"""How long a read on the event loop may wait for a lock, which only the recovery after a crash holds."""


class SqliteWriter:
    """Reads and writes over the synchronous driver. Used from one event loop; `close` ends it."""

    def __init__(self, url: URL, turn: asyncio.Semaphore, *, busy_timeout_s: float) -> None:
        """`turn` is held while writing: who else writes in this process must hold it too."""
        self._turn = turn
        self._closed = False
        self._reader, self._writer = _one_connection(url), _one_connection(url)
        prepare(self._reader, _READ_PATIENCE_S, transactions=False)
        prepare(self._writer, busy_timeout_s, transactions=False)  # begun and ended in `_commit`
        self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="sqlite-writer")
        # A batch fails only in the commit itself, and then nobody's write happened.
        self._batches = Batcher(self._in_thread, max_batch=_MOST_AT_ONCE, away=(Exception,))

    async def read(self, work: Callable[[Connection], T]) -> T:
        """Run one short query now, on the event loop; in the writer's thread where the database is locked just then."""
        self._check_open()
        try:
            return work(self._reading)
        except OperationalError:
            return await self.write(work)

    @cached_property
    def _reading(self) -> Connection:
        """Open for good, as `_writing`: to take and to give back a connection costs more than a point read."""
        return self._reader.connect()

    @cached_property
    def _writing(self) -> Connection:
        return self._writer.connect()

    async def write(self, work: Callable[[Connection], T]) -> T:
        """Run a short write in the writer's thread; writes that wait together are committed together.

        What one raises undoes and concerns only that one. A caller that is cancelled may still have been written.
        """
        self._check_open()
        result: T = await self._batches.call(work)
        return result

    def _check_open(self) -> None:
        """For whoever still runs at the end of the process: it is trouble with the database, and nothing unforeseen."""
        if self._closed:
            raise OperationalError("none", None, sqlite3.ProgrammingError("The database is closed."))

    async def _in_thread(self, works: Sequence[Callable[[Connection], Any]]) -> Sequence[Any]:
        async with self._turn:
            return await asyncio.get_running_loop().run_in_executor(self._thread, self._commit, works)

    def _commit(self, works: Sequence[Callable[[Connection], Any]]) -> list[Any]:
        """All in one transaction; each in a savepoint of its own where there are several."""
        connection = self._writing
        connection.exec_driver_sql("BEGIN IMMEDIATE")
        try:
            done = [works[0](connection)] if len(works) == 1 else [_guarded(connection, work) for work in works]
            connection.exec_driver_sql("COMMIT")
        except BaseException:
            if _driver_of(connection).in_transaction:  # SQLite ends it itself where the disk is full
                connection.exec_driver_sql("ROLLBACK")
            raise
        return done

    async def close(self) -> None:
        await self._batches.close()
        self._closed = True
        await asyncio.to_thread(self._thread.shutdown)
        self._reader.dispose()
        self._writer.dispose()


def _guarded(connection: Connection, work: Callable[[Connection], Any]) -> Any:
    driver = _driver_of(connection)  # SQLAlchemy's own savepoints cost as much as most works do
    driver.execute("SAVEPOINT one_work")
    try:
        answer = work(connection)
    except Exception as error:  # handed to its caller; the others' writes stand
        connection.exec_driver_sql("ROLLBACK TO one_work")
        answer = error
    driver.execute("RELEASE one_work")
    return answer


def _driver_of(connection: Connection) -> Any:
    return connection.connection.driver_connection


def _one_connection(url: URL) -> Engine:
    """One connection for ever, made at first use."""
    return create_engine(
        url.set(drivername="sqlite+pysqlite"), poolclass=StaticPool, connect_args={"check_same_thread": False}
    )


def prepare(engine: Engine, busy_timeout_s: float, *, transactions: bool = True) -> None:
    """The durability settings, and transactions begun by us (the driver's own begin too late), or none at all."""

    @event.listens_for(engine, "connect")
    def _on_connect(connection: Any, _record: Any) -> None:
        connection.isolation_level = None
        cursor = connection.cursor()
        cursor.execute(f"PRAGMA busy_timeout = {int(busy_timeout_s * 1000)}")
        cursor.execute("PRAGMA journal_mode = WAL")
        cursor.execute(f"PRAGMA synchronous = {SYNCHRONOUS}")
        cursor.execute("PRAGMA foreign_keys = ON")
        cursor.close()

    if transactions:  # else nothing listens: an engine that has a listener looks for more at each statement

        @event.listens_for(engine, "begin")
        def _on_begin(connection: Connection) -> None:
            reading = connection.get_execution_options().get("readonly", False)
            connection.exec_driver_sql("BEGIN" if reading else "BEGIN IMMEDIATE")


def too_old() -> str | None:
    """One sentence when this Python's SQLite cannot be used at all, else None."""
    if sqlite3.sqlite_version_info >= _NEEDED:
        return None
    return (
        f"This Python comes with SQLite {sqlite3.sqlite_version}, but 3.35 or newer is needed: "
        "use a newer Python, or set DATABASE_URL to a PostgreSQL."
    )
