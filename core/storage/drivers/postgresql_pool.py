"""Connections to PostgreSQL that stay open between uses, last in, first out.

Checking a connection out of SQLAlchemy's pool and back in takes three greenlets and a task, which costs more than a
short query (measured 2026-11-30: 230 of 420 µs of CPU). Here a use costs none of them.
"""

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, nullcontext, suppress
from dataclasses import dataclass
from typing import Any

import asyncpg
from sqlalchemy.exc import DBAPIError, OperationalError
from sqlalchemy.exc import TimeoutError as PoolTimeout
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

MAX_CONNECTIONS = 10
DRIVER_ERRORS = (OSError, TimeoutError, asyncpg.PostgresError, asyncpg.InterfaceError, asyncpg.InternalClientError)
"""A database's errors as asyncpg raises them; the last one on a connection that the server is just closing."""

_WAIT_S = 30.0
_PING_AFTER_S = 10.0
"""A connection that was idle for longer is pinged before use."""

_PING_TIMEOUT_S = 5.0
_CLOSE_AFTER_S = 50.0
"""A connection that was idle for longer is closed, except the last one. Shorter than the interval of `close_idle`."""

_CLOSE_AFTER_OPEN_S = 1_800.0


@dataclass(slots=True)
class OpenConnection:
    """`driver` is the `connection`'s own, for statements that need nothing of SQLAlchemy."""

    connection: AsyncConnection
    driver: Any
    opened_at: float
    idle_since: float = 0.0

    async def close(self) -> None:
        await self.connection.invalidate()  # without waiting for a server that does not answer
        await self.connection.close()


class ConnectionPool:
    """Belongs to one event loop. `engine` has no pool of its own."""

    def __init__(self, engine: AsyncEngine) -> None:
        self._engine = engine
        self._free: list[OpenConnection] = []
        self._slots = asyncio.Semaphore(MAX_CONNECTIONS)

    @asynccontextmanager
    async def use(self) -> AsyncIterator[OpenConnection]:
        """A connection for one user, closed if its use fails. Raises OperationalError, and PoolTimeout after 30 s."""
        try:
            async with asyncio.timeout(_WAIT_S) if self._slots.locked() else nullcontext():
                await self._slots.acquire()
        except TimeoutError:
            raise PoolTimeout("no connection became free") from None
        try:
            taken = await self._take()
            try:
                yield taken
            except BaseException as error:  # perhaps in the middle of a statement
                await asyncio.shield(asyncio.create_task(taken.close()))
                if isinstance(error, DRIVER_ERRORS):
                    raise DBAPIError("driver", None, error) from error
                raise
            taken.idle_since = time.monotonic()
            self._free.append(taken)
        finally:
            self._slots.release()

    async def _take(self) -> OpenConnection:
        while self._free:
            found = self._free.pop()
            if await _is_usable(found):
                return found
            await found.close()
        try:
            connection = await self._engine.connect()
        except DRIVER_ERRORS as error:  # SQLAlchemy does not wrap the driver's errors while connecting
            raise OperationalError("connect", None, error, connection_invalidated=True) from error
        return OpenConnection(connection, (await connection.get_raw_connection()).driver_connection, time.monotonic())

    async def close_idle(self) -> None:
        """Close the connections that were idle for about a minute, except one."""
        before = time.monotonic() - _CLOSE_AFTER_S
        idle = [one for one in self._free[:-1] if one.idle_since < before]
        self._free = [one for one in self._free if one not in idle]
        for one in idle:
            await one.close()

    async def close(self) -> None:
        while self._free:
            await self._free.pop().close()


async def _is_usable(found: OpenConnection) -> bool:
    now = time.monotonic()
    if found.driver.is_closed() or now - found.opened_at > _CLOSE_AFTER_OPEN_S:
        return False
    if now - found.idle_since > _PING_AFTER_S:
        with suppress(*DRIVER_ERRORS):
            await found.driver.fetchrow(";", timeout=_PING_TIMEOUT_S)
            return True
        return False
    return True
