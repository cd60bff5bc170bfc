"""The connection to the application's database, and its two kinds of transaction.

SQLite: write-ahead log, `synchronous=FULL` (an intent to pay must survive a power cut), writes begin IMMEDIATE and go
through one lock, so that writers of this process never spin on each other; a second process waits up to 30 s.
PostgreSQL: READ COMMITTED; a semaphore keeps waiting transactions out of the pool's own queue. Source of both
settings: measurements on this project's kind of machine, 2026-11-22.
"""

from __future__ import annotations

import asyncio
import secrets
import time
from collections.abc import AsyncIterator, Callable, Sequence
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
"""What a transaction raises when the database refuses, is away, or has no connection free."""

_TAKE_TOO = "DO $$ BEGIN IF NOT pg_try_advisory_lock({0}) THEN RAISE lock_not_available; END IF; END $$"
DRIVER_ERRORS = (OSError, TimeoutError, asyncpg.PostgresError, asyncpg.InterfaceError, asyncpg.InternalClientError)
"""What asyncpg itself raises there; the last one on a connection that the server is just closing."""

_BUSY_TIMEOUT_S = 30.0
_MOST_CONNECTIONS = 10
_FRESH_S = 10.0
"""A connection that answered so shortly ago is not asked again whether it is alive."""

_RESTED_S = 50.0
"""A connection that nobody needed for so long is closed, but for the last one. Less than the time between looks."""


class Database:
    def __init__(self, engine: AsyncEngine, address: AsyncpgAddress | None = None) -> None:
        self.engine = engine
        self._address = address
        self.is_sqlite = engine.dialect.name == "sqlite"
        self._writers = asyncio.Semaphore(1 if self.is_sqlite else _MOST_CONNECTIONS - 2)
        self._writer = (
            SqliteWriter(engine.url, self._writers, busy_timeout_s=_BUSY_TIMEOUT_S) if self.is_sqlite else None
        )

    @classmethod
    def connect(cls, url: str) -> Database:
        """`sqlite:///path`, `postgresql://…` or the same with an async driver named."""
        parsed = parse(url)
        if parsed.get_backend_name() == "sqlite":
            parsed = parsed.set(drivername="sqlite+aiosqlite")
            # The newest first: each connection that is used keeps 2 MB of the file in memory.
            engine = create_async_engine(parsed, pool_size=5, max_overflow=0, pool_use_lifo=True)
            prepare(engine.sync_engine, _BUSY_TIMEOUT_S)
            return cls(engine)
        address = for_asyncpg(url)
        engine = create_async_engine(
            parsed.set(drivername="postgresql+asyncpg", query={}),
            async_creator=lambda: asyncpg.connect(address.dsn, timeout=address.timeout_s),
            pool_size=_MOST_CONNECTIONS,
            max_overflow=0,
            pool_use_lifo=True,
            pool_recycle=1800,
        )
        _ping_the_rested(engine.sync_engine)
        return cls(engine, address)

    @asynccontextmanager
    async def write(self) -> AsyncIterator[AsyncConnection]:
        """On SQLite for the start and the terminal alone: one that is cancelled holds the lock for as long as anything
        refers to its cursor, which may be long. `change` and `once` are never cut in two.
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
        """A connection of the pool. A server that is away is an OperationalError, as any other trouble with it is."""
        async with AsyncExitStack() as stack:  # gives it back whole, also where its user is cancelled meanwhile
            try:
                connection = await stack.enter_async_context(self.engine.connect())
            except DRIVER_ERRORS as error:  # SQLAlchemy passes the driver's own errors of connecting on as they are
                raise OperationalError("connect", None, error, connection_invalidated=True) from error
            yield connection

    async def rows(self, query: Executable) -> Sequence[Any]:
        """What this query finds, in a transaction of its own."""
        async with self.read() as connection:
            return (await connection.execute(query)).all()

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

    async def once(self, work: Callable[[Connection], T]) -> T:
        """The same for one statement, which on PostgreSQL commits by itself: one round trip instead of three."""
        if self._writer is not None:
            return await self._writer.write(work)
        async with self._writers:
            return await self.look(work)

    async def run(self, statement: Executable) -> None:
        """One statement that writes."""
        await self.once(lambda connection: connection.execute(statement).rowcount)

    async def refuse_pooler(self) -> None:
        """Raise NotUsable where a lock does not belong to its connection, and what asyncpg raises.

        Behind a pooler in transaction mode a second client is given the first one's session, and its locks.
        """
        if self._address is None:
            return
        name, dsn = secrets.randbits(62), self._address.dsn
        first = await asyncpg.connect(dsn, timeout=self._address.timeout_s)
        try:  # by statements without parameters: those with some fail on their own behind such a pooler
            await first.execute(f"SELECT pg_advisory_lock({name})", timeout=5)
            second = await asyncpg.connect(dsn, timeout=self._address.timeout_s)
            try:
                await second.execute(_TAKE_TOO.format(name), timeout=5)
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

    async def close_rested(self) -> None:
        """Close all connections to PostgreSQL but one that nobody has needed for a minute."""
        if not self.is_sqlite:
            async with self.engine.connect() as connection:
                await connection.run_sync(lambda one: _close_rested(one.engine))  # this one stays

    async def close(self) -> None:
        if self._writer is not None:
            await self._writer.close()
        await self.engine.dispose()


_OPEN: WeakKeyDictionary[Engine, int] = WeakKeyDictionary()
"""How many connections each pool has open."""


def _ping_the_rested(engine: Engine) -> None:
    """Try a connection before use only where it rested for a while: asking each time costs a round trip of four."""
    _OPEN[engine] = 0

    @event.listens_for(engine, "connect")
    def _on_connect(_connection: Any, _record: Any) -> None:
        _OPEN[engine] += 1

    @event.listens_for(engine, "close")
    def _on_close(_connection: Any, _record: Any) -> None:
        _OPEN[engine] -= 1

    @event.listens_for(engine, "checkin")
    def _on_checkin(_connection: Any, record: Any) -> None:
        record.info["rests_since"] = time.monotonic()

    @event.listens_for(engine, "checkout")
    def _on_checkout(connection: Any, record: Any, _proxy: Any) -> None:
        if time.monotonic() - record.info.get("rests_since", float("inf")) < _FRESH_S:
            return
        try:
            engine.dialect.do_ping(connection)
        except Exception as error:  # whatever a dead connection answers, the pool makes a new one
            raise DisconnectionError from error


def _close_rested(engine: Engine) -> None:
    """See `Database.close_rested`; for an engine that hands out the newest first."""
    assert isinstance(engine.pool, QueuePool)
    with ExitStack() as taken:  # all go back, also where the database does not answer for one of them
        # The pool keeps an empty place for what was closed, and to take that place would open it again.
        open_now = _OPEN[engine] - engine.pool.checkedout()
        resting = [taken.enter_context(engine.connect()) for _ in range(min(open_now, engine.pool.checkedin()))]
        for connection in resting:
            # One that had died while it rested was opened anew just now, and has never rested.
            if time.monotonic() - connection.info.get("rests_since", float("inf")) > _RESTED_S:
                connection.invalidate()
