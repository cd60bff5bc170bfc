"""Which processes are alive, and the taking over of dead ones' jobs.

Every process holds a lock under its own name for as long as it lives: a file lock beside the SQLite file, or a
session advisory lock on PostgreSQL. A lock that can be taken belongs to nobody alive; whoever takes it resumes that
name's jobs and removes it. A frozen process keeps its lock and is left alone.
"""

from __future__ import annotations

import asyncio
import hashlib
import secrets
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any, Protocol

import asyncpg
import structlog
from filelock import FileLock, Timeout

from core.ports import AppState
from core.storage.database_url import for_asyncpg

log = structlog.get_logger(__name__)

_LOOK_EVERY_S = 1.0
_SETTLED_S = 10.0
"""A PostgreSQL restart frees every lock at once: nobody is declared dead until the server is up for so long."""

_TAKE = "SELECT pg_try_advisory_lock($1)"

TakeOver = Callable[[str], Awaitable[None]]


def new_name() -> str:
    """A name that no process ever had."""
    return f"p-{secrets.token_hex(6)}"


class Roster(Protocol):
    """Where processes sign in."""

    async def sign_in(self, name: str) -> None:
        """Hold the lock of this name until `sign_out` or death."""

    async def sign_out(self) -> None:
        """Leave orderly; unfinished jobs are for others to take over at once."""

    async def take_dead(self, take_over: TakeOver) -> None:
        """Call `take_over` for each name whose owner is dead, while nobody else can, and strike the name off."""


class FileRoster:
    """For one machine: `<folder>/<name>.lock`, locked by its owner (the kernel frees it with the process)."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._own: FileLock | None = None
        self._name = ""

    async def sign_in(self, name: str) -> None:
        """Create and lock the own file."""
        self._folder.mkdir(parents=True, exist_ok=True)
        self._name = name
        self._own = FileLock(self._folder / f"{name}.lock", timeout=5)
        self._own.acquire()

    async def sign_out(self) -> None:
        """Unlock; the file stays for whoever takes the jobs over."""
        if self._own is not None:
            self._own.release()
            self._own = None

    async def take_dead(self, take_over: TakeOver) -> None:
        """Try every other file's lock."""
        for path in sorted(self._folder.glob("p-*.lock")):
            name = path.stem
            if name == self._name:
                continue
            lock = FileLock(path, timeout=0)
            try:
                lock.acquire()
            except Timeout:
                continue
            try:
                await take_over(name)
                path.unlink(missing_ok=True)
            finally:
                lock.release()


class PostgresRoster:
    """For many machines: a session advisory lock per name on a connection of its own (never through a pooler)."""

    def __init__(self, url: str, state: AppState) -> None:
        self._url = url
        self._state = state
        self._connection: Any = None
        self._name = ""
        self._free_once: set[str] = set()

    async def sign_in(self, name: str) -> None:
        """Connect, take the own lock, and write the name where others look."""
        self._name = name
        await self._connect()
        await self._state.put("replica", name, {"since": time.time()})

    async def sign_out(self) -> None:
        """Close the connection, which frees the lock."""
        if self._connection is not None:
            await self._connection.close(timeout=5)
            self._connection = None

    async def take_dead(self, take_over: TakeOver) -> None:
        """Try every other name's lock; one that is free twice running is dead."""
        if self._connection is None or self._connection.is_closed():
            self._free_once.clear()
            await self._connect()
        if await self._uptime_s() < _SETTLED_S:
            return
        for name in await self._state.keys("replica"):
            if name != self._name:
                await self._try(name, take_over)

    async def _try(self, name: str, take_over: TakeOver) -> None:
        if not await self._lock(name):
            self._free_once.discard(name)
            return
        try:
            if name in self._free_once:
                await take_over(name)
                await self._state.delete("replica", name)
            self._free_once ^= {name}
        finally:
            await self._connection.execute("SELECT pg_advisory_unlock($1)", _number(name), timeout=5)

    async def _connect(self) -> None:
        address = for_asyncpg(self._url)
        connection = await asyncpg.connect(
            address.dsn,
            timeout=address.timeout_s,
            server_settings={
                "application_name": f"upscale-bot {self._name}",
                "tcp_keepalives_idle": "5",
                "tcp_keepalives_interval": "2",
                "tcp_keepalives_count": "3",
            },
        )
        if not await connection.fetchval(_TAKE, _number(self._name), timeout=5):
            await connection.close(timeout=5)
            raise ConnectionError("an earlier connection of this process still holds its name")
        self._connection = connection

    async def _lock(self, name: str) -> bool:
        taken: bool = await self._connection.fetchval(_TAKE, _number(name), timeout=5)
        return taken

    async def _uptime_s(self) -> float:
        query = "SELECT extract(epoch FROM now() - pg_postmaster_start_time())::float"
        uptime_s: float = await self._connection.fetchval(query, timeout=5)
        return uptime_s


def _number(name: str) -> int:
    """The name as the 64-bit number that advisory locks are taken by."""
    return int.from_bytes(hashlib.sha256(name.encode()).digest()[:8], "big", signed=True)


async def watch(roster: Roster, take_over: TakeOver, *, every_s: float = _LOOK_EVERY_S) -> None:
    """Look for the dead every second, until cancelled. Trouble with the database is logged and outlived."""
    quiet_until = 0.0
    while True:
        try:
            await roster.take_dead(take_over)
        except Exception as trouble:  # the database, the engine's own tables, a disk: the next look may be luckier
            if time.monotonic() >= quiet_until:
                log.warning("roster_unavailable", kind=type(trouble).__name__)
                quiet_until = time.monotonic() + 60
        await asyncio.sleep(every_s)
