"""The connection to the application's database, and its two kinds of transaction.

SQLite: write-ahead log, `synchronous=FULL` (an intent to pay must survive a power cut), writes begin IMMEDIATE and go
through one lock, so that writers of this process never spin on each other; a second process waits up to 30 s.
PostgreSQL: READ COMMITTED; a semaphore keeps waiting transactions out of the pool's own queue. Source of both
settings: measurements on this project's kind of machine, 2026-11-22.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any, TypeVar

import asyncpg
from sqlalchemy import Connection, event, text
from sqlalchemy.exc import DBAPIError, DisconnectionError, OperationalError
from sqlalchemy.exc import TimeoutError as PoolTimeout
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine, create_async_engine

from core.storage.database_url import for_asyncpg, parse
from core.storage.sqlite.writer import SqliteWriter

T = TypeVar("T")

DATABASE_ERRORS = (DBAPIError, PoolTimeout)
"""What a transaction raises when the database refuses, is away, or has no connection free."""

_AWAY = (OSError, TimeoutError, asyncpg.PostgresError, asyncpg.InterfaceError)
_BUSY_TIMEOUT_S = 30.0
_POOL_SIZE = 10
_FRESH_S = 10.0
"""A connection that answered so shortly ago is not asked again whether it is alive."""


class Database:
    """One engine with `write()` and `read()` transactions."""

    def __init__(self, engine: AsyncEngine) -> None:
        self.engine = engine
        self.is_sqlite = engine.dialect.name == "sqlite"
        self._writers = asyncio.Semaphore(1 if self.is_sqlite else _POOL_SIZE - 2)
        self._writer = (
            SqliteWriter(engine.url, self._writers, busy_timeout_s=_BUSY_TIMEOUT_S) if self.is_sqlite else None
        )

    @classmethod
    def connect(cls, url: str) -> Database:
        """`sqlite:///path`, `postgresql://…` or the same with an async driver named."""
        parsed = parse(url)
        if parsed.get_backend_name() == "sqlite":
            engine = create_async_engine(parsed.set(drivername="sqlite+aiosqlite"), pool_size=5, max_overflow=0)
            _prepare_sqlite(engine)
        else:
            address = for_asyncpg(url)
            engine = create_async_engine(
                parsed.set(drivername="postgresql+asyncpg", query={}),
                async_creator=lambda: asyncpg.connect(address.dsn, timeout=address.timeout_s),
                pool_size=_POOL_SIZE,
                max_overflow=0,
                pool_recycle=1800,
            )
            _ping_the_rested(engine)
        return cls(engine)

    @asynccontextmanager
    async def write(self) -> AsyncIterator[AsyncConnection]:
        """A transaction that may write; committed on leaving, rolled back on an exception."""
        async with self._writers, self._connected() as connection, connection.begin():
            yield connection

    @asynccontextmanager
    async def read(self) -> AsyncIterator[AsyncConnection]:
        """A transaction that only reads."""
        async with self._connected() as connection:
            await connection.execution_options(readonly=True)
            async with connection.begin():
                yield connection

    @asynccontextmanager
    async def _connected(self) -> AsyncIterator[AsyncConnection]:
        """A connection of the pool. A server that is away is an OperationalError, as any other trouble with it is."""
        connection = self.engine.connect()
        try:
            await connection.start()
        except _AWAY as error:  # SQLAlchemy passes the driver's own errors of connecting on as they are
            raise OperationalError("connect", None, error, connection_invalidated=True) from error
        try:
            yield connection
        finally:
            await connection.close()

    async def look(self, work: Callable[[Connection], T]) -> T:
        """Run one short, indexed query. On SQLite it happens at once, on the event loop: see `sqlite.writer`."""
        if self._writer is not None:
            return await self._writer.read(work)
        async with self._connected() as connection:
            await connection.execution_options(isolation_level="AUTOCOMMIT")  # one round trip instead of three
            return await connection.run_sync(work)

    async def change(self, work: Callable[[Connection], T]) -> T:
        """Run one short write in a transaction. On SQLite, those that wait together are committed together."""
        if self._writer is not None:
            return await self._writer.write(work)
        async with self.write() as connection:
            return await connection.run_sync(work)

    async def ping(self) -> None:
        """Raise if the database does not answer."""
        async with asyncio.timeout(5), self.read() as connection:
            await connection.execute(text("SELECT 1"))

    async def close(self) -> None:
        if self._writer is not None:
            await self._writer.close()
        await self.engine.dispose()


def _ping_the_rested(engine: AsyncEngine) -> None:
    """Try a connection before use only where it rested for a while: asking each time costs a round trip of four."""

    @event.listens_for(engine.sync_engine, "checkin")
    def _on_checkin(_connection: Any, record: Any) -> None:
        record.info["rests_since"] = time.monotonic()

    @event.listens_for(engine.sync_engine, "checkout")
    def _on_checkout(connection: Any, record: Any, _proxy: Any) -> None:
        if time.monotonic() - record.info.get("rests_since", float("inf")) < _FRESH_S:
            return
        try:
            engine.dialect.do_ping(connection)
        except Exception as error:  # whatever a dead connection answers, the pool makes a new one
            raise DisconnectionError from error


def _prepare_sqlite(engine: AsyncEngine) -> None:
    """Transactions begun by us (the driver's own begin too late), and the durability settings."""

    @event.listens_for(engine.sync_engine, "connect")
    def _on_connect(connection: Any, _record: Any) -> None:
        connection.isolation_level = None
        cursor = connection.cursor()
        cursor.execute(f"PRAGMA busy_timeout = {int(_BUSY_TIMEOUT_S * 1000)}")
        cursor.execute("PRAGMA journal_mode = WAL")
        cursor.execute("PRAGMA synchronous = FULL")
        cursor.execute("PRAGMA foreign_keys = ON")
        cursor.close()

    @event.listens_for(engine.sync_engine, "begin")
    def _on_begin(connection: Connection) -> None:
        reading = connection.get_execution_options().get("readonly", False)
        connection.exec_driver_sql("BEGIN" if reading else "BEGIN IMMEDIATE")
