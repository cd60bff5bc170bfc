"""The application's database: connections, reads and writes.

SQLite: write-ahead log, `synchronous=FULL` (an intent to pay must survive a power cut). Writes begin IMMEDIATE and take
one lock, so that writers of this process never poll for each other; a second process waits up to 30 s.
PostgreSQL: READ COMMITTED; a semaphore keeps waiting transactions out of the pool's queue. Both settings were measured
on a machine like the project's, 2026-11-22.
"""

from __future__ import annotations

import asyncio
import secrets
import time
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import AsyncExitStack, ExitStack, asynccontextmanager
from typing import Any, TypeVar
from weakref import WeakKeyDictionary

import asyncpg
from sqlalchemy import Connection, Engine, Executable, event, text
from sqlalchemy.exc import DBAPIError, DisconnectionError, OperationalError
from sqlalchemy.exc import TimeoutError as PoolTimeout
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine, create_async_engine
from sqlalchemy.pool import QueuePool

from core.ports import NotUsable
from core.storage.database_url import AsyncpgAddress, for_asyncpg, parse
from core.storage.sqlite.writer import SqliteWriter, prepare

T = TypeVar("T")

DATABASE_ERRORS = (DBAPIError, PoolTimeout)
"""Raised by a transaction when the database refuses, cannot be reached, or has no free connection."""

_TRY_LOCK = "DO $$ BEGIN IF NOT pg_try_advisory_lock({0}) THEN RAISE lock_not_available; END IF; END $$"
DRIVER_ERRORS = (OSError, TimeoutError, asyncpg.PostgresError, asyncpg.InterfaceError, asyncpg.InternalClientError)
"""The same errors as asyncpg raises them; the last one on a connection that the server is just closing."""

_BUSY_TIMEOUT_S = 30.0
_MAX_CONNECTIONS = 10
_PING_AFTER_S = 10.0
"""A connection that was idle for longer is pinged before use."""

_CLOSE_AFTER_S = 50.0
"""A connection that was idle for longer is closed, except the last one. Shorter than the interval of `close_idle`."""


class Database:
    def __init__(self, engine: AsyncEngine, address: AsyncpgAddress | None = None) -> None:
        self.engine = engine
        self._address = address
        self.dialect = engine.dialect.name
        self.is_sqlite = self.dialect == "sqlite"
        self._writers = asyncio.Semaphore(1 if self.is_sqlite else _MAX_CONNECTIONS - 2)
        self._writer = (
            SqliteWriter(engine.url, self._writers, busy_timeout_s=_BUSY_TIMEOUT_S) if self.is_sqlite else None
        )

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
            async_creator=lambda: asyncpg.connect(address.dsn, timeout=address.timeout_s),
            pool_size=_MAX_CONNECTIONS,
            max_overflow=0,
            pool_use_lifo=True,
            pool_recycle=1800,
        )
        _ping_after_idling(engine.sync_engine)
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
            await connection.execution_options(readonly=True)
            async with connection.begin():
                yield connection

    @asynccontextmanager
    async def _connected(self) -> AsyncIterator[AsyncConnection]:
        """Take a connection of the pool. Raises OperationalError where the server cannot be reached."""
        async with AsyncExitStack() as stack:  # returns the connection also when its user is cancelled
            try:
                connection = await stack.enter_async_context(self.engine.connect())
            except DRIVER_ERRORS as error:  # SQLAlchemy does not wrap the driver's errors while connecting
                raise OperationalError("connect", None, error, connection_invalidated=True) from error
            yield connection

    async def rows(self, query: Executable) -> Sequence[Any]:
        """Fetch all rows of a query, in a transaction of its own."""
        async with self.read() as connection:
            return (await connection.execute(query)).all()

    async def run_read(self, work: Callable[[Connection], T]) -> T:
        """Run one short, indexed query. On SQLite it runs on the event loop: see `sqlite.writer`."""
        if self._writer is not None:
            return await self._writer.read(work)
        async with self._connected() as connection:
            await connection.execution_options(isolation_level="AUTOCOMMIT")  # one round trip instead of three
            return await connection.run_sync(work)

    async def first(self, query: Executable, values: Mapping[str, Any] | None = None) -> Any:
        """Return the first row of a short, indexed query, or None."""
        return await self.run_read(lambda connection: connection.execute(query, values).first())

    async def run_write(self, work: Callable[[Connection], T]) -> T:
        """Run one short write in a transaction. On SQLite, waiting writes share a commit."""
        if self._writer is not None:
            return await self._writer.write(work)
        async with self.write() as connection:
            return await connection.run_sync(work)

    async def run_statement(self, work: Callable[[Connection], T]) -> T:
        """Run a write of one statement, which PostgreSQL commits by itself: one round trip instead of three."""
        if self._writer is not None:
            return await self._writer.write(work)
        async with self._writers:
            return await self.run_read(work)

    async def execute(self, statement: Executable, values: Mapping[str, Any] | None = None) -> int:
        """Execute one statement that writes; returns the number of rows that it changed."""
        return await self.run_statement(lambda connection: connection.execute(statement, values).rowcount)

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
        if not self.is_sqlite:
            async with self.engine.connect() as connection:
                await connection.run_sync(lambda one: _close_idle(one.engine))  # this one stays open

    async def close(self) -> None:
        if self._writer is not None:
            await self._writer.close()
        await self.engine.dispose()


_OPEN: WeakKeyDictionary[Engine, int] = WeakKeyDictionary()
"""The number of open connections of each pool."""


def _ping_after_idling(engine: Engine) -> None:
    """Ping a connection before use only after it was idle: pinging each time adds one round trip to three."""
    _OPEN[engine] = 0

    @event.listens_for(engine, "connect")
    def _on_connect(_connection: Any, _record: Any) -> None:
        _OPEN[engine] += 1

    @event.listens_for(engine, "close")
    def _on_close(_connection: Any, _record: Any) -> None:
        _OPEN[engine] -= 1

    @event.listens_for(engine, "checkin")
    def _on_checkin(_connection: Any, record: Any) -> None:
        record.info["idle_since"] = time.monotonic()

    @event.listens_for(engine, "checkout")
    def _on_checkout(connection: Any, record: Any, _proxy: Any) -> None:
        if time.monotonic() - record.info.get("idle_since", float("inf")) < _PING_AFTER_S:
            return
        try:
            engine.dialect.do_ping(connection)
        except Exception as error:  # the pool then opens a new connection, whatever the error was
            raise DisconnectionError from error


def _close_idle(engine: Engine) -> None:
    assert isinstance(engine.pool, QueuePool)
    with ExitStack() as taken:  # returns all of them, also where one does not answer
        # The pool keeps a slot for each closed connection; checking that slot out would open it again.
        open_now = _OPEN[engine] - engine.pool.checkedout()
        idle = [taken.enter_context(engine.connect()) for _ in range(min(open_now, engine.pool.checkedin()))]
        for connection in idle:
            # A connection that died while idle was reopened by the check-out, and has no `idle_since`.
            if time.monotonic() - connection.info.get("idle_since", float("inf")) > _CLOSE_AFTER_S:
                connection.invalidate()
