"""One area of `AppState` whose values are all of one type."""

from collections.abc import Callable, Mapping
from typing import Any, Generic, TypeVar

from pydantic import TypeAdapter, ValidationError

from core.ports.storage import AppState

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
        return self.read(await self.state.get(self.area, key))

    def read(self, value: Any | None) -> T | None:
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
            new = update(self.read(value))
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


async def read_together(*wanted: tuple[TypedState[Any], str]) -> list[Any]:
    """What `get` gives for each of these areas and keys, by one query; all are kept in the state of the first."""
    values = await wanted[0][0].state.get_all([(area.area, key) for area, key in wanted])
    return [area.read(value) for (area, _), value in zip(wanted, values, strict=True)]
