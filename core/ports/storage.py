"""Stored state, and the engine that runs jobs. Implemented in `core.storage` and `core.engine`."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Generic, Literal, Protocol, TypeAlias, TypeVar

from pydantic import TypeAdapter, ValidationError

from core.domain.errors import StorageUnavailable
from core.domain.job import Job


@dataclass(frozen=True, slots=True)
class OpenJobCounts:
    """Counts of unfinished jobs, without those that wait for a price to be confirmed."""

    waiting: int
    running: int
    oldest_at: float | None
    """Unix time at which the oldest of them was requested."""


@dataclass(frozen=True, slots=True)
class UnfinishedJobs:
    """The unfinished jobs of a place, oldest first; `total` also counts those that are not listed."""

    jobs: tuple[Job, ...]
    total: int


ObligationKind: TypeAlias = Literal["announce", "again", "remove", "stray"]


@dataclass(frozen=True, slots=True)
class Obligation:
    """A pending change of a job's messages: report its end, report it `again`, or remove a message.

    A `stray` message is removed once its job has ended, unless the job's delivery state names it by then. `data`
    describes the message to remove, for the adapter. `tries` includes the current one. Times are unix seconds.
    """

    id: str
    job_id: str
    kind: ObligationKind
    platform: str
    data: Mapping[str, Any]
    made_at: float
    expires_at: float
    tries: int


@dataclass(frozen=True, slots=True)
class SentRequest:
    """A job's request to the provider. Times are unix seconds."""

    job_id: str
    request_id: str
    made_at: float
    ended_at: float | None
    ended: bool


class AppState(Protocol):
    """Small durable JSON values by (area, key), encrypted at rest: command hashes, installations, defaults, locks."""

    async def get(self, area: str, key: str) -> Any | None:
        """Return the value, or None."""

    async def get_all(self, wanted: Sequence[tuple[str, str]]) -> Sequence[Any | None]:
        """Return the value, or None, of each (area, key)."""

    async def put(self, area: str, key: str, value: Any, *, ttl_s: float | None = None) -> None:
        """Store a JSON-safe value, which expires after `ttl_s`."""

    async def change(
        self, area: str, key: str, update: Callable[[Any | None], Any | None], *, ttl_s: float | None = None
    ) -> None:
        """Atomically, over all processes, replace the value by `update(value)`; None deletes it.

        `update` may run in another thread, and more than once. If it raises, nothing changes and the error is raised.
        """

    async def delete(self, area: str, key: str) -> None:
        """Delete the value, if there is one."""

    async def delete_where(self, is_meant: Callable[[str, str, Any], bool]) -> None:
        """Delete, in every area, the values for which `is_meant(area, key, value)`. Reads all values."""

    async def keys(self, area: str) -> Sequence[str]:
        """All keys of an area."""

    async def claim(self, area: str, key: str, *, ttl_s: float) -> bool:
        """Take a named lock for `ttl_s`; False if any process holds it. It is not released before it expires."""


JobPart: TypeAlias = Literal["request", "confirmed", "deliver", "announce"]
"""What to run of a job: up to the price, all that follows its confirmation, a delivery alone, the final message."""


class JobEngine(Protocol):
    """Durable execution of jobs."""

    @property
    def token(self) -> str:
        """The token under which this process runs jobs; empty if it runs none."""

    async def start(self, job_id: str, *, part: JobPart = "request") -> None:
        """Run this part until it ends, also after a restart. Does nothing while the same part is already running."""


T = TypeVar("T")


class TypedState(Generic[T]):
    """Values of type `kind` by key; each expires `ttl_s` seconds after it was stored (None: never)."""

    def __init__(self, state: AppState, area: str, kind: type[T], *, ttl_s: float | None = None) -> None:
        self.state = state
        self.area = area
        self._codec = TypeAdapter(kind)
        self._ttl_s = ttl_s

    async def get(self, key: str) -> T | None:
        """The value; None if there is none, or this release cannot read its form."""
        return self.decode(await self.state.get(self.area, key))

    def decode(self, value: Any | None) -> T | None:
        """The stored value as `get` returns it."""
        try:
            return self._codec.validate_python(value) if value is not None else None
        except ValidationError:
            return None

    async def put(self, key: str, value: T) -> None:
        """Store or replace the value."""
        await self.state.put(self.area, key, self._codec.dump_python(value, mode="json"), ttl_s=self._ttl_s)

    async def change(self, key: str, update: Callable[[T | None], T | None]) -> None:
        """Atomically replace the value by `update(value)`; see `AppState.change`.

        Raises StorageUnavailable, and keeps the value, if this release cannot read it (a newer one wrote it).
        """

        def changed(value: Any | None) -> Any | None:
            old = self.decode(value)
            if old is None and value is not None:
                raise StorageUnavailable
            new = update(old)
            return None if new is None else self._codec.dump_python(new, mode="json")

        await self.state.change(self.area, key, changed, ttl_s=self._ttl_s)

    async def delete(self, key: str) -> None:
        """Delete the value, if there is one."""
        await self.state.delete(self.area, key)

    async def delete_below(self, prefix: str) -> None:
        """Delete all values whose keys begin with `prefix`."""
        for key in await self.state.keys(self.area):
            if key.startswith(prefix):
                await self.delete(key)

    async def count(self) -> int:
        """The number of values."""
        return len(await self.state.keys(self.area))

    async def items(self) -> Mapping[str, T]:
        """Every value by its key."""
        found = {key: await self.get(key) for key in await self.state.keys(self.area)}
        return {key: value for key, value in found.items() if value is not None}


async def get_many(*wanted: tuple[TypedState[Any], str]) -> list[Any]:
    """`get` for several areas and keys by one query; all areas must share the state of the first."""
    values = await wanted[0][0].state.get_all([(area.area, key) for area, key in wanted])
    return [area.decode(value) for (area, _), value in zip(wanted, values, strict=True)]
