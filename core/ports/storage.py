"""What the core keeps, and what carries jobs on. Implemented in `core.storage` and `core.engine`."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Generic, Literal, Protocol, TypeAlias, TypeVar

from pydantic import TypeAdapter, ValidationError

from core.domain.job import Job


@dataclass(frozen=True, slots=True)
class OpenJobCounts:
    """Jobs that are under way; those that ask for agreement to a price are not counted."""

    waiting: int
    running: int
    oldest_at: float | None
    """Unix time at which the oldest of them was asked for."""


@dataclass(frozen=True, slots=True)
class UnfinishedJobs:
    """The unfinished jobs of a place, oldest first; `total` counts those beyond the listed ones too."""

    jobs: tuple[Job, ...]
    total: int


ObligationKind: TypeAlias = Literal["announce", "again", "remove", "stray"]


@dataclass(frozen=True, slots=True)
class Obligation:
    """Something still owed to a member's message: its job's end to be told (`again`), or a message to be removed.

    A `stray` is removed once its job has ended, unless the job's notes name it by then. `data` is the adapter's own,
    for a removal. `tries` counts this one. Times are unix seconds.
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
    """A job's request at the provider. Times are unix seconds."""

    job_id: str
    request_id: str
    made_at: float
    ended_at: float | None
    ended: bool


class AppState(Protocol):
    """Small durable JSON values by (area, key), encrypted at rest: command hashes, installations, defaults, locks."""

    async def get(self, area: str, key: str) -> Any | None:
        """The value, or None."""

    async def get_all(self, wanted: Sequence[tuple[str, str]]) -> Sequence[Any | None]:
        """The same for each of these areas and keys."""

    async def put(self, area: str, key: str, value: Any, *, ttl_s: float | None = None) -> None:
        """Store it (JSON-safe); forgotten after `ttl_s`."""

    async def change(
        self, area: str, key: str, update: Callable[[Any | None], Any | None], *, ttl_s: float | None = None
    ) -> None:
        """Replace the value by what `update` makes of it (None: forget it), as one change among all processes.

        `update` may run in another thread, and more than once; what it raises is raised, and nothing is changed.
        """

    async def delete(self, area: str, key: str) -> None:
        """Forget it; absent is fine."""

    async def keys(self, area: str) -> Sequence[str]:
        """All keys of an area."""

    async def claim(self, area: str, key: str, *, ttl_s: float) -> bool:
        """Take a named turn that nobody else (in any process) can take for `ttl_s`; False if it is taken."""


JobPart: TypeAlias = Literal["request", "confirmed", "deliver", "announce"]
"""What of a job is begun: up to the price, what follows agreement to it, a delivery alone, its last words."""


class JobEngine(Protocol):
    """Durable execution of jobs."""

    async def start(self, job_id: str, *, part: JobPart = "request") -> None:
        """Begin this part: it will be carried on until it ends. While it is under way, the same part does nothing."""


T = TypeVar("T")


class TypedState(Generic[T]):
    """Values of `kind` by key; each is forgotten `ttl_s` seconds after it was stored (None: never)."""

    def __init__(self, state: AppState, area: str, kind: type[T], *, ttl_s: float | None = None) -> None:
        self.state = state
        self.area = area
        self._codec = TypeAdapter(kind)
        self._ttl_s = ttl_s

    async def get(self, key: str) -> T | None:
        """The value; None where there is none, or one that an older version stored in another form."""
        return self.decode(await self.state.get(self.area, key))

    def decode(self, value: Any | None) -> T | None:
        """The stored value as `get` gives it."""
        try:
            return self._codec.validate_python(value) if value is not None else None
        except ValidationError:
            return None

    async def put(self, key: str, value: T) -> None:
        """Store it, replacing what was there."""
        await self.state.put(self.area, key, self._codec.dump_python(value, mode="json"), ttl_s=self._ttl_s)

    async def change(self, key: str, update: Callable[[T | None], T | None]) -> None:
        """Replace the value by what `update` makes of it, whoever else does so now; see `AppState.change`."""

        def changed(value: Any | None) -> Any | None:
            new = update(self.decode(value))
            return None if new is None else self._codec.dump_python(new, mode="json")

        await self.state.change(self.area, key, changed, ttl_s=self._ttl_s)

    async def delete(self, key: str) -> None:
        """Forget it; absent is fine."""
        await self.state.delete(self.area, key)

    async def delete_below(self, prefix: str) -> None:
        """Forget all whose keys begin so."""
        for key in await self.state.keys(self.area):
            if key.startswith(prefix):
                await self.delete(key)

    async def count(self) -> int:
        """How many there are."""
        return len(await self.state.keys(self.area))

    async def items(self) -> Mapping[str, T]:
        """Every value by its key."""
        found = {key: await self.get(key) for key in await self.state.keys(self.area)}
        return {key: value for key, value in found.items() if value is not None}


async def get_many(*wanted: tuple[TypedState[Any], str]) -> list[Any]:
    """What `get` gives for each of these areas and keys, by one query; all are kept in the state of the first."""
    values = await wanted[0][0].state.get_all([(area.area, key) for area, key in wanted])
    return [area.decode(value) for (area, _), value in zip(wanted, values, strict=True)]
