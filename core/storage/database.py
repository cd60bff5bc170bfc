"""The application's database: connections, reads and writes.

SQLite: write-ahead log, `synchronous=FULL` (an intent to pay must survive a power cut). Writes begin IMMEDIATE and take
one lock, so that writers of this process never poll for each other; a second process waits up to 30 s.
PostgreSQL: READ COMMITTED; a semaphore keeps some connections free for reads. Both settings were measured on a machine
like the project's, 2026-11-22.
"""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from typing import Any, TypeVar, cast

import asyncpg
from sqlalchemy import Connection, Executable, NullPool, text
from sqlalchemy.exc import DataError, DBAPIError, IntegrityError
from sqlalchemy.exc import TimeoutError as PoolTimeout
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine, create_async_engine

from core.ports import NotUsable
from core.storage.database_url import AsyncpgAddress, for_asyncpg, parse
from core.storage.drivers import direct
from core.storage.drivers.postgresql_pool import MAX_CONNECTIONS, ConnectionPool
from core.storage.drivers.sqlite_writer import SqliteWriter, execute, prepare

T = TypeVar("T")

DATABASE_ERRORS = (DBAPIError, PoolTimeout)
"""Raised by a transaction when the database refuses, cannot be reached, or has no free connection."""

_VALUE_ERRORS = (DataError, IntegrityError, asyncpg.DataError, asyncpg.IntegrityConstraintViolationError)

_TRY_LOCK = "DO $$ BEGIN IF NOT pg_try_advisory_lock({0}) THEN RAISE lock_not_available; END IF; END $$"
_BUSY_TIMEOUT_S = 30.0


def is_refused(error: BaseException) -> bool:
    """Whether a value was rejected, which would be again. SQLAlchemy, and our pool, wrap asyncpg's errors."""
    driver = error.orig if isinstance(error, DBAPIError) else None
    return any(isinstance(one, _VALUE_ERRORS) for one in (error, driver, driver and driver.__cause__))


class Database:
    def __init__(self, engine: AsyncEngine, address: AsyncpgAddress | None = None) -> None:
        self.engine = engine
        self._address = address
        self.dialect = engine.dialect.name
        self.is_sqlite = self.dialect == "sqlite"
        self._writers = asyncio.Semaphore(1 if self.is_sqlite else MAX_CONNECTIONS - 2)
        self._writer = (
            SqliteWriter(engine.url, self._writers, busy_timeout_s=_BUSY_TIMEOUT_S) if self.is_sqlite else None
        )
        self._pool = ConnectionPool(engine)

    @classmethod
    def connect(cls, url: str) -> Database:
        """Accepts `sqlite:///path`, `postgresql://…`, or the same with an async driver named."""
        parsed = parse(url)
        if parsed.get_backend_name() == "sqlite":
            parsed = parsed.set(drivername="sqlite+aiosqlite")
            # Last in, first out: each connection in use caches 2 MB of the file.
            engine = create_async_engine(parsed, pool_size=5, max_overflow=0, pool_use_lifo=True)
            prepare(engine.sync_engine, _BUSY_TIMEOUT_S)
            return cls(engine)
        address = for_asyncpg(url)
        engine = create_async_engine(
            parsed.set(drivername="postgresql+asyncpg", query={}),
            async_creator=lambda: asyncpg.connect(address.dsn, timeout=address.timeout_s, record_class=direct.Row),
            poolclass=NullPool,
        )
        return cls(engine, address)

    @asynccontextmanager
    async def write(self) -> AsyncIterator[AsyncConnection]:
        """Begin a write transaction. On SQLite only for start-up and the command line: if it is cancelled, it keeps the
        lock for as long as anything refers to its cursor. `run_write` and `run_statement` cannot be interrupted.
        """
        async with self._writers, self._connected() as connection, connection.begin():
            yield connection

    @asynccontextmanager
    async def read(self) -> AsyncIterator[AsyncConnection]:
        async with self._connected() as connection:
            if self.is_sqlite:
                await connection.execution_options(readonly=True)
            async with connection.begin():
                yield connection

    @asynccontextmanager
    async def _connected(self) -> AsyncIterator[AsyncConnection]:
        if self.is_sqlite:
            async with self.engine.connect() as connection:
                yield connection
        else:
            async with self._pool.use() as opened:
                yield opened.connection

    async def rows(self, query: Executable) -> Sequence[Any]:
        """Fetch all rows of a query, in a transaction of its own."""
        async with self.read() as connection:
            return (await connection.execute(query)).all()

    async def run_read(self, work: Callable[[Connection], T]) -> T:
        """Run one short, indexed query. On SQLite it runs on the event loop: see `drivers.sqlite_writer`."""
        if self._writer is not None:
            return await self._writer.read(work)
        async with self._connected() as connection:
            return await connection.run_sync(_alone, work)

    async def first(self, query: Executable, values: Mapping[str, Any] | None = None) -> Any:
        """Return the first row of a short, indexed query, or None."""
        if (prepared := direct.prepared(self.dialect, query, values)) is None:
            return await self.run_read(lambda connection: connection.execute(query, values).first())
        if self._writer is not None:
            rows, _ = await self._writer.read(lambda connection: execute(connection, *prepared))
            return rows[0] if rows else None
        async with self._pool.use() as opened:
            return await opened.driver.fetchrow(*prepared)

    async def all(self, query: Executable, values: Mapping[str, Any] | None = None) -> Sequence[Any]:
        """Return all rows of a short, indexed query."""
        if (prepared := direct.prepared(self.dialect, query, values)) is None:
            return await self.run_read(lambda connection: connection.execute(query, values).all())
        if self._writer is not None:
            return (await self._writer.read(lambda connection: execute(connection, *prepared)))[0]
        async with self._pool.use() as opened:
            return cast(Sequence[Any], await opened.driver.fetch(*prepared))

    async def run_write(self, work: Callable[[Connection], T]) -> T:
        """Run one short write in a transaction. On SQLite, waiting writes share a commit."""
        if self._writer is not None:
            return await self._writer.write(work)
        async with self._writers, self._connected() as connection:
            return await connection.run_sync(_in_transaction, work)

    async def run_statement(self, work: Callable[[Connection], T]) -> T:
        """Run a write of one statement, which PostgreSQL commits by itself: one round trip instead of three."""
        if self._writer is not None:
            return await self._writer.write(work)
        async with self._writers:
            return await self.run_read(work)

    async def execute(self, statement: Executable, values: Mapping[str, Any] | None = None) -> int:
        """Execute one statement that writes; returns the number of rows that it changed."""
        if (prepared := direct.prepared(self.dialect, statement, values)) is None:
            return await self.run_statement(lambda connection: connection.execute(statement, values).rowcount)
        if self._writer is not None:
            return (await self._writer.write(lambda connection: execute(connection, *prepared)))[1]
        async with self._writers, self._pool.use() as opened:
            return int((await opened.driver.execute(*prepared)).split()[-1])  # such as "UPDATE 1"

    async def execute_first(self, statement: Executable, values: Mapping[str, Any]) -> Any:
        """Execute one statement that writes; returns the first row that it returns, or None."""
        if self._writer is not None:
            return await self._writer.write(lambda connection: connection.execute(statement, values).first())
        async with self._writers:
            return await self.first(statement, values)

    async def refuse_pooler(self) -> None:
        """Raise NotUsable where a lock does not belong to its connection. Raises asyncpg's own errors as well.

        A pooler in transaction mode gives a second client the first one's session, including its locks.
        """
        if self._address is None:
            return
        name, dsn = secrets.randbits(62), self._address.dsn
        first = await asyncpg.connect(dsn, timeout=self._address.timeout_s)
        try:  # without parameters, since prepared statements fail behind such a pooler for another reason
            await first.execute(f"SELECT pg_advisory_lock({name})", timeout=5)
            second = await asyncpg.connect(dsn, timeout=self._address.timeout_s)
            try:
                await second.execute(_TRY_LOCK.format(name), timeout=5)
            finally:
                await second.close(timeout=5)
        except asyncpg.LockNotAvailableError:
            return
        finally:
            await first.execute("SELECT pg_advisory_unlock_all()", timeout=5)
            await first.close(timeout=5)
        raise NotUsable(
            "DATABASE_URL leads through a pooler in transaction mode, where no process can hold a lock; "
            "name PostgreSQL itself, or a pooler's port in session mode."
        )

    async def ping(self) -> None:
        async with asyncio.timeout(5), self.read() as connection:
            await connection.execute(text("SELECT 1"))

    async def close_idle(self) -> None:
        """Close the connections to PostgreSQL that were idle for about a minute, except one."""
        await self._pool.close_idle()

    async def close(self) -> None:
        if self._writer is not None:
            await self._writer.close()
        await self._pool.close()
        await self.engine.dispose()


def _alone(connection: Connection, work: Callable[[Connection], T]) -> T:
    """Run a statement that PostgreSQL commits by itself: one round trip instead of three."""
    driver: Any = connection.connection.dbapi_connection
    driver.set_isolation_level("autocommit")
    result = work(connection)
    connection.rollback()  # ends only SQLAlchemy's notion of a transaction
    driver.set_isolation_level(None)
    return result


def _in_transaction(connection: Connection, work: Callable[[Connection], T]) -> T:
    with connection.begin():
        return work(connection)
