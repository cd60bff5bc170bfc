"""Fast paths for SQLite: short reads on the event loop; short writes in one thread, several in one commit.

The async driver switches threads six to eight times per transaction, which costs more than SQLite's own work (measured
2026-11-23: 60 % of a job's CPU time). Here a read switches never and a write once. Reads do not block in write-ahead
mode; only short, indexed ones belong here.
"""

import asyncio
import sqlite3
from collections import namedtuple
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import cached_property, lru_cache
from typing import Any, TypeVar

from sqlalchemy import URL, Connection, Engine, StaticPool, create_engine, event
from sqlalchemy.exc import DBAPIError, OperationalError

from core.storage.group_commit import Batcher

T = TypeVar("T")

_MIN_VERSION = (3, 35, 0)
"""RETURNING came with 3.35 (sqlite.org/releaselog)."""

SYNCHRONOUS = "FULL"
"""An intent to pay must survive a power cut."""

_MAX_BATCH = 64
_READ_BUSY_TIMEOUT_S = 0.02
"""How long a read on the event loop may wait for a lock, which is held only during recovery after a crash."""


class SqliteWriter:
    """Reads and writes with the synchronous driver. Belongs to one event loop; `close` ends it."""

    def __init__(self, url: URL, write_lock: asyncio.Semaphore, *, busy_timeout_s: float) -> None:
        """`write_lock` is held while writing, and must be held by every other writer of this process."""
        self._write_lock = write_lock
        self._closed = False
        self._reader, self._writer = _one_connection(url), _one_connection(url)
        prepare(self._reader, _READ_BUSY_TIMEOUT_S, transactions=False)
        prepare(self._writer, busy_timeout_s, transactions=False)  # `_commit` begins and ends them
        self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="sqlite-writer")
        # A batch fails as a whole only in the commit, and then none of its writes happened.
        self._batches = Batcher(self._in_thread, max_batch=_MAX_BATCH, away=(Exception,))

    async def read(self, work: Callable[[Connection], T]) -> T:
        """Run one short query on the event loop, or in the writer thread if the database is locked."""
        self._check_open()
        try:
            return work(self._reading)
        except OperationalError:
            return await self.write(work)

    @cached_property
    def _reading(self) -> Connection:
        """Stays open, like `_writing`: checking a connection out and in costs more than a short read."""
        return self._reader.connect()

    @cached_property
    def _writing(self) -> Connection:
        return self._writer.connect()

    async def write(self, work: Callable[[Connection], T]) -> T:
        """Run a short write in the writer thread; waiting writes share a commit.

        An error in one write rolls back only that write. A cancelled caller's write may still have happened.
        """
        self._check_open()
        result: T = await self._batches.call(work)
        return result

    def _check_open(self) -> None:
        """Raise a database error to tasks that still run while the process ends, which they handle like any other."""
        if self._closed:
            raise OperationalError("none", None, sqlite3.ProgrammingError("The database is closed."))

    async def _in_thread(self, works: Sequence[Callable[[Connection], Any]]) -> Sequence[Any]:
        async with self._write_lock:
            return await asyncio.get_running_loop().run_in_executor(self._thread, self._commit, works)

    def _commit(self, works: Sequence[Callable[[Connection], Any]]) -> list[Any]:
        """Run all in one transaction, each in a savepoint where there are several."""
        connection = self._writing
        connection.exec_driver_sql("BEGIN IMMEDIATE")
        try:
            done = [works[0](connection)] if len(works) == 1 else [_guarded(connection, work) for work in works]
            connection.exec_driver_sql("COMMIT")
        except BaseException:
            if _driver_of(connection).in_transaction:  # SQLite rolls back by itself when the disk is full
                connection.exec_driver_sql("ROLLBACK")
            raise
        return done

    async def close(self) -> None:
        await self._batches.close()
        self._closed = True
        await asyncio.to_thread(self._thread.shutdown)
        self._reader.dispose()
        self._writer.dispose()


def execute(connection: Connection, sql: str, *values: Any) -> tuple[Sequence[Any], int]:
    """Run one statement by the driver itself. Returns its rows, with named fields, and how many it changed."""
    cursor = _driver_of(connection).cursor()
    cursor.row_factory = _named
    try:
        return cursor.execute(sql, values).fetchall(), cursor.rowcount
    except sqlite3.Error as error:
        raise DBAPIError.instance(sql, None, error, sqlite3.Error) from error


def _named(cursor: sqlite3.Cursor, values: tuple[Any, ...]) -> Any:
    return _row_type(tuple(column[0] for column in cursor.description))._make(values)


@lru_cache
def _row_type(names: tuple[str, ...]) -> Any:
    return namedtuple("Row", names, rename=True)


def _guarded(connection: Connection, work: Callable[[Connection], Any]) -> Any:
    driver = _driver_of(connection)  # SQLAlchemy's own savepoints cost as much as most writes
    driver.execute("SAVEPOINT one_work")
    try:
        result = work(connection)
    except Exception as error:  # raised to its caller; the other writes are kept
        connection.exec_driver_sql("ROLLBACK TO one_work")
        result = error
    driver.execute("RELEASE one_work")
    return result


def _driver_of(connection: Connection) -> Any:
    return connection.connection.driver_connection


def _one_connection(url: URL) -> Engine:
    return create_engine(
        url.set(drivername="sqlite+pysqlite"), poolclass=StaticPool, connect_args={"check_same_thread": False}
    )


def prepare(engine: Engine, busy_timeout_s: float, *, transactions: bool = True) -> None:
    """Set up durability, and begin `transactions` explicitly, since the driver begins them too late."""

    @event.listens_for(engine, "connect")
    def _on_connect(connection: Any, _record: Any) -> None:
        connection.isolation_level = None
        cursor = connection.cursor()
        cursor.execute(f"PRAGMA busy_timeout = {int(busy_timeout_s * 1000)}")
        cursor.execute("PRAGMA journal_mode = WAL")
        cursor.execute(f"PRAGMA synchronous = {SYNCHRONOUS}")
        cursor.execute("PRAGMA foreign_keys = ON")
        cursor.close()

    if transactions:  # any listener makes the engine look for further listeners at each statement

        @event.listens_for(engine, "begin")
        def _on_begin(connection: Connection) -> None:
            reading = connection.get_execution_options().get("readonly", False)
            connection.exec_driver_sql("BEGIN" if reading else "BEGIN IMMEDIATE")


def too_old() -> str | None:
    """Return one sentence if this Python's SQLite is too old to be used, else None."""
    if sqlite3.sqlite_version_info >= _MIN_VERSION:
        return None
    return (
        f"This Python comes with SQLite {sqlite3.sqlite_version}, but 3.35 or newer is needed: "
        "use a newer Python, or set DATABASE_URL to a PostgreSQL."
    )
