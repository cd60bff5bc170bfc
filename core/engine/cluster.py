"""Detects dead processes and takes over their jobs.

Every process holds a lock under its own name while it lives: a file lock beside the SQLite file, or a session advisory
lock on PostgreSQL. A lock that can be acquired belongs to a dead process: whoever acquires it resumes that process's
jobs. A frozen process keeps its lock. One that lost its lock (its connection was cut) has its token revoked, so that it
changes nothing when it resumes, and then signs in again.
"""

import asyncio
import hashlib
import json
import secrets
import time
from collections.abc import Awaitable, Callable, Collection, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any, TypeAlias

import asyncpg
import structlog
from filelock import FileLock, Timeout

from core.engine.replicas import Replicas
from core.engine.work import CHANNEL
from core.ports.ownership import LeaseUnsure, awake_clock_s, new_token
from core.storage.database import DATABASE_ERRORS, Database
from core.storage.database_url import for_asyncpg
from core.storage.drivers.postgresql_pool import DRIVER_ERRORS

log = structlog.get_logger(__name__)

_SETTLED_S = 10.0
"""A restart of PostgreSQL frees every lock: no process is considered dead until the server has run this long."""

_LEASE_S = 0.8
"""How long a confirmed lease is valid: shorter than the time for which a lock must be seen free."""

_TICK_S = 0.005
"""Added to a pause, so that the next check is not too early."""

_KEEPALIVES = "SET tcp_keepalives_idle = 5; SET tcp_keepalives_interval = 2; SET tcp_keepalives_count = 3"
"""As statements, because poolers refuse them as connection parameters."""

_TAKE = "SELECT pg_try_advisory_lock($1)"
_LOOK = """
SELECT json_build_object(
  'tokens', (SELECT coalesce(json_object_agg(name, token), '{}') FROM replicas),
  'held', ARRAY(
    SELECT classid::bigint << 32 | objid::bigint FROM pg_locks
    WHERE locktype = 'advisory' AND objsubid = 1 AND granted
      AND database = (SELECT oid FROM pg_database WHERE datname = current_database())))
"""
"""One round trip: the token of every name, and the numbers of all advisory locks."""

TakeOver = Callable[[str, str], Awaitable[None]]
"""Called with the name and token of a dead process; the token is empty if the process signed out."""


def new_name() -> str:
    return f"p-{secrets.token_hex(6)}"


class FileRoster:
    """For one machine: file locks `<folder>/<name>.lock`, which the kernel releases with the process."""

    def __init__(self, folder: Path, replicas: Replicas) -> None:
        self._folder = folder
        self._replicas = replicas
        self._own: FileLock | None = None
        self._name = ""
        self.token = new_token()
        self.due_s = float("inf")

    async def sign_in(self, name: str) -> None:
        self._folder.mkdir(parents=True, exist_ok=True)
        self._name = name
        self._own = FileLock(self._path(name), timeout=5)
        self._own.acquire()
        self.token = new_token()
        await self._replicas.sign_in(name, self.token)

    async def sign_out(self) -> None:
        """Release the lock; others may take over unfinished jobs at once."""
        if self._own is not None:
            await _revoke_own(self._replicas, self._name)
            self._own.release()
            self._own = None

    async def confirm(self) -> float:
        """Infinite, since a suspended process keeps its file lock."""
        return float("inf")

    async def keep_signed_in(self) -> Mapping[str, str]:
        """Sign in again if this process was considered dead; the token of every name."""
        tokens = await self._replicas.tokens()
        if self._name and (tokens.get(self._name) != self.token or not self._path(self._name).exists()):
            log.warning("signed_in_anew", replica=self._name)
            await self.sign_out()
            await self.sign_in(self._name)
        return tokens

    async def take_dead(self, take_over: TakeOver) -> None:
        """Try the locks of all other names; a restored database has rows without files."""
        tokens = await self.keep_signed_in()
        for name in sorted({path.stem for path in self._folder.glob("p-*.lock")} | set(tokens)):
            if name != self._name:
                await self._try(name, take_over)

    async def _try(self, name: str, take_over: TakeOver) -> None:
        # Another user's file, such as root's: whether its process lives cannot be seen.
        with suppress(Timeout, PermissionError), FileLock(self._path(name), timeout=0):
            await _take_jobs(self._replicas, name, take_over)
            self._path(name).unlink(missing_ok=True)

    def _path(self, name: str) -> Path:
        return self._folder / f"{name}.lock"


class PostgresRoster:
    """For many machines: a session advisory lock per name on its own connection, which must not use a pooler."""

    dead_after_s = 1.0
    """How long a lock must be seen free until its owner is considered dead: longer than any lease."""

    def __init__(self, url: str, replicas: Replicas, arrived: asyncio.Event | None = None) -> None:
        """`arrived` is set when another process has added work without an owner."""
        self._url = url
        self._arrived = arrived or asyncio.Event()
        self._replicas = replicas
        self._connection: Any = None
        self._asking = asyncio.Lock()
        self._name = ""
        self._free_since: dict[str, float] = {}
        self.token = new_token()

    async def sign_in(self, name: str) -> None:
        self._name = name
        if self._connection is None or self._connection.is_closed():
            await self._connect()
        self.token = new_token()
        await self._replicas.sign_in(name, self.token)

    @property
    def due_s(self) -> float:
        """Seconds until a process whose lock was seen free may be considered dead."""
        seen_s = min(self._free_since.values(), default=float("inf"))
        return max(0.0, seen_s + self.dead_after_s - awake_clock_s())

    async def sign_out(self) -> None:
        if self._connection is not None:
            await _revoke_own(self._replicas, self._name)
            await self._connection.close(timeout=5)
            self._connection = None

    async def confirm(self) -> float:
        """The lock is held at some time after the call, and must be seen free for longer than a lease to be taken."""
        asked_s = awake_clock_s()
        try:
            await self._ask("SELECT 1")
        except DRIVER_ERRORS as trouble:
            raise LeaseUnsure from trouble
        return asked_s + _LEASE_S

    async def keep_signed_in(self) -> Mapping[str, str]:
        tokens, _ = await self._look()
        return tokens

    async def take_dead(self, take_over: TakeOver) -> None:
        tokens, held = await self._look()
        self._free_since = {name: at for name, at in self._free_since.items() if name in tokens}
        for name in sorted(tokens):
            if _number(name) in held:
                self._free_since.pop(name, None)
            elif name != self._name:
                await self._try(name, take_over)

    async def _look(self) -> tuple[Mapping[str, str], Collection[int]]:
        """The tokens and the locked numbers. Signs in again if this process was considered dead."""
        if self._connection is None or self._connection.is_closed():
            self._free_since.clear()
            await self._connect()
        seen = json.loads(await self._ask(_LOOK))
        if seen["tokens"].get(self._name) != self.token:
            log.warning("signed_in_anew", replica=self._name)
            await self.sign_in(self._name)
        return seen["tokens"], frozenset(seen["held"])

    async def _try(self, name: str, take_over: TakeOver) -> None:
        if not await self._ask(_TAKE, _number(name)):
            self._free_since.pop(name, None)
            return
        try:
            if await self._uptime_s() < _SETTLED_S:
                self._free_since.clear()
                return
            now_s = awake_clock_s()
            if now_s - self._free_since.setdefault(name, now_s) >= self.dead_after_s:
                await _take_jobs(self._replicas, name, take_over)
                del self._free_since[name]
        finally:
            await self._ask("SELECT pg_advisory_unlock($1)", _number(name))

    async def _connect(self) -> None:
        connection = await asyncpg.connect(
            self._url, timeout=10, server_settings={"application_name": f"upscale-bot {self._name}"}
        )
        await connection.execute(_KEEPALIVES, timeout=5)
        if not await connection.fetchval(_TAKE, _number(self._name), timeout=5):
            await connection.close(timeout=5)
            raise ConnectionError("an earlier connection of this process still holds its name")
        await connection.add_listener(CHANNEL, lambda *_: self._arrived.set())
        self._connection = connection

    async def _ask(self, query: str, *values: Any) -> Any:
        """Run one query at a time on the connection that holds the lock."""
        async with self._asking:
            if self._connection is None:
                raise ConnectionError("not signed in")
            try:
                return await self._connection.fetchval(query, *values, timeout=5)
            except asyncpg.InternalClientError:
                self._connection.terminate()  # the server announced its end, and may never close it
                raise

    async def _uptime_s(self) -> float:
        return float(await self._ask("SELECT extract(epoch FROM now() - pg_postmaster_start_time())::float"))


Roster: TypeAlias = FileRoster | PostgresRoster
"""Also implements `core.ports.Lease` for its own process."""


def make_roster(database: Database, url: str, folder: Path, replicas: Replicas, arrived: asyncio.Event) -> Roster:
    return (
        FileRoster(folder, replicas) if database.is_sqlite else PostgresRoster(for_asyncpg(url).dsn, replicas, arrived)
    )


async def _revoke_own(replicas: Replicas, name: str) -> None:
    """Revoke the own token, so that the end does not count as a death. Ignores an unavailable database."""
    try:
        await replicas.revoke(name)
    except DATABASE_ERRORS as trouble:
        log.warning("left_unsaid", replica=name, kind=type(trouble).__name__)


async def _take_jobs(replicas: Replicas, name: str, take_over: TakeOver) -> None:
    """Revoke the token first, in case the process is alive; delete the name last, after its jobs are taken over."""
    await take_over(name, await replicas.revoke(name))
    await replicas.remove(name)


def _number(name: str) -> int:
    return int.from_bytes(hashlib.sha256(name.encode()).digest()[:8], "big", signed=True)


async def watch(roster: Roster, take_over: TakeOver | None, *, every_s: float = 0.25) -> None:
    """Look for dead processes, again and again; without `take_over` (no jobs run here) only stay signed in."""
    quiet_until = 0.0
    while True:
        pause_s = every_s
        try:
            await (roster.take_dead(take_over) if take_over is not None else roster.keep_signed_in())
            pause_s = min(every_s, roster.due_s + _TICK_S)
        except Exception as trouble:  # the database or a disk
            if time.monotonic() >= quiet_until:
                log.warning("roster_unavailable", kind=type(trouble).__name__)
                quiet_until = time.monotonic() + 60
        await asyncio.sleep(pause_s)
