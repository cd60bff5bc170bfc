"""Which processes are alive, and the taking over of dead ones' jobs.

Every process holds a lock under its own name for as long as it lives: a file lock beside the SQLite file, or a
session advisory lock on PostgreSQL. A lock that can be taken belongs to nobody alive; whoever takes it resumes that
name's jobs and removes it. A frozen process keeps its lock and is left alone; one whose lock was lost all the same
(its connection was cut) is struck off first, so that it changes nothing when it wakes up, and then signs in anew.
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
from core.storage.database import DATABASE_ERRORS, DRIVER_ERRORS, Database
from core.storage.database_url import for_asyncpg

log = structlog.get_logger(__name__)

_SETTLED_S = 10.0
"""A PostgreSQL restart frees every lock at once: nobody is declared dead until the server is up for so long."""

_LEASE_S = 0.8
"""How long what was confirmed counts: shorter than the time for which a lock must be seen free."""

_TICK_S = 0.005
"""So that a look that is due is never a moment too early."""

_KEEPALIVES = "SET tcp_keepalives_idle = 5; SET tcp_keepalives_interval = 2; SET tcp_keepalives_count = 3"
"""As statements: poolers refuse them as parameters of the connection."""

_TAKE = "SELECT pg_try_advisory_lock($1)"
_LOOK = """
SELECT json_build_object(
  'tokens', (SELECT coalesce(json_object_agg(name, token), '{}') FROM replicas),
  'held', ARRAY(
    SELECT classid::bigint << 32 | objid::bigint FROM pg_locks
    WHERE locktype = 'advisory' AND objsubid = 1 AND granted
      AND database = (SELECT oid FROM pg_database WHERE datname = current_database())))
"""
"""All in one round trip, however many processes there are: the token of every name, and the numbers locked now."""

TakeOver = Callable[[str, str], Awaitable[None]]
"""Gets the name, and the token of a process that died; none where it left orderly."""


def new_name() -> str:
    return f"p-{secrets.token_hex(6)}"


class FileRoster:
    """For one machine: `<folder>/<name>.lock`, locked by its owner (the kernel frees it with the process)."""

    def __init__(self, folder: Path, replicas: Replicas) -> None:
        self._folder = folder
        self._replicas = replicas
        self._own: FileLock | None = None
        self._name = ""
        self.token = new_token()
        self.due_s = float("inf")

    async def sign_in(self, name: str) -> None:
        """Hold the lock of this name until `sign_out` or death."""
        self._folder.mkdir(parents=True, exist_ok=True)
        self._name = name
        self._own = FileLock(self._path(name), timeout=5)
        self._own.acquire()
        self.token = new_token()
        await self._replicas.sign_in(name, self.token)

    async def sign_out(self) -> None:
        """Leave orderly; unfinished jobs are for others to take over at once."""
        if self._own is not None:
            await _leave(self._replicas, self._name)
            self._own.release()
            self._own = None

    async def confirm(self) -> float:
        """For ever: a process that is stopped keeps the lock of its file."""
        return float("inf")

    async def stay(self) -> Mapping[str, str]:
        """Sign in anew where this process was taken for dead; the token of every name."""
        tokens = await self._replicas.tokens()
        if self._name and (tokens.get(self._name) != self.token or not self._path(self._name).exists()):
            log.warning("signed_in_anew", replica=self._name)
            await self.sign_out()
            await self.sign_in(self._name)
        return tokens

    async def take_dead(self, take_over: TakeOver) -> None:
        """Try every other name's lock, of a file or of a row (a restored database has rows without files)."""
        tokens = await self.stay()
        for name in sorted({path.stem for path in self._folder.glob("p-*.lock")} | set(tokens)):
            if name != self._name:
                await self._try(name, take_over)

    async def _try(self, name: str, take_over: TakeOver) -> None:
        with suppress(Timeout), FileLock(self._path(name), timeout=0):
            await _take(self._replicas, name, take_over)
            self._path(name).unlink(missing_ok=True)

    def _path(self, name: str) -> Path:
        return self._folder / f"{name}.lock"


class PostgresRoster:
    """For many machines: a session advisory lock per name on a connection of its own (never through a pooler)."""

    dead_after_s = 1.0
    """A lock must be seen free for so long before its owner is dead: longer than any lease lasts."""

    def __init__(self, url: str, replicas: Replicas, arrived: asyncio.Event | None = None) -> None:
        """`arrived` is set when a job was handed over by a process that runs none."""
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
        """In how many seconds somebody whose lock was seen free may be dead."""
        seen_s = min(self._free_since.values(), default=float("inf"))
        return max(0.0, seen_s + self.dead_after_s - awake_clock_s())

    async def sign_out(self) -> None:
        if self._connection is not None:
            await _leave(self._replicas, self._name)
            await self._connection.close(timeout=5)
            self._connection = None

    async def confirm(self) -> float:
        """The lock was held at some instant after now; who sees it free must see so for longer than this lease."""
        asked_s = awake_clock_s()
        try:
            await self._ask("SELECT 1")
        except DRIVER_ERRORS as trouble:
            raise LeaseUnsure from trouble
        return asked_s + _LEASE_S

    async def stay(self) -> Mapping[str, str]:
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
        """The tokens, and which numbers are locked; signs in anew where this process was taken for dead."""
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
                await _take(self._replicas, name, take_over)
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
        """One question at a time on the connection that holds the lock."""
        async with self._asking:
            if self._connection is None:
                raise ConnectionError("not signed in")
            try:
                return await self._connection.fetchval(query, *values, timeout=5)
            except asyncpg.InternalClientError:
                self._connection.terminate()  # the server has said that it closes it, and may never do so
                raise

    async def _uptime_s(self) -> float:
        return float(await self._ask("SELECT extract(epoch FROM now() - pg_postmaster_start_time())::float"))


Roster: TypeAlias = FileRoster | PostgresRoster
"""Where processes sign in; to its own process it is the lease."""


def make_roster(database: Database, url: str, folder: Path, replicas: Replicas, arrived: asyncio.Event) -> Roster:
    return (
        FileRoster(folder, replicas) if database.is_sqlite else PostgresRoster(for_asyncpg(url).dsn, replicas, arrived)
    )


async def _leave(replicas: Replicas, name: str) -> None:
    """Give the token back, so that nobody takes the end for a death. A database that is away learns it too late."""
    try:
        await replicas.revoke(name)
    except DATABASE_ERRORS as trouble:
        log.warning("left_unsaid", replica=name, kind=type(trouble).__name__)


async def _take(replicas: Replicas, name: str, take_over: TakeOver) -> None:
    """First the dead process loses its token, should it still live; its name goes last, when its jobs are taken."""
    await take_over(name, await replicas.revoke(name))
    await replicas.strike(name)


def _number(name: str) -> int:
    """The name as the 64-bit number that advisory locks are taken by."""
    return int.from_bytes(hashlib.sha256(name.encode()).digest()[:8], "big", signed=True)


async def watch(roster: Roster, take_over: TakeOver | None, *, every_s: float = 0.25) -> None:
    """Look for the dead, sooner where one is due; without `take_over` (no jobs run here) only stay signed in."""
    quiet_until = 0.0
    while True:
        pause_s = every_s
        try:
            await (roster.take_dead(take_over) if take_over is not None else roster.stay())
            pause_s = min(every_s, roster.due_s + _TICK_S)
        except Exception as trouble:  # the database, a disk: the next look may be luckier
            if time.monotonic() >= quiet_until:
                log.warning("roster_unavailable", kind=type(trouble).__name__)
                quiet_until = time.monotonic() + 60
        await asyncio.sleep(pause_s)
