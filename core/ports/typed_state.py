"""One area of `AppState` whose values are all of one type."""

from collections.abc import Mapping
from typing import Generic, TypeVar

from pydantic import TypeAdapter, ValidationError

from core.ports.storage import AppState

T = TypeVar("T")


class TypedState(Generic[T]):
    """Values of `kind` by key; each is forgotten `ttl_s` seconds after it was stored (None: never)."""

    def __init__(self, state: AppState, area: str, kind: type[T], *, ttl_s: float | None = None) -> None:
        self._state = state
        self._area = area
        self._codec = TypeAdapter(kind)
        self._ttl_s = ttl_s

    async def get(self, key: str) -> T | None:
        """The value; None where there is none, or one that an older version stored in another form."""
        value = await self._state.get(self._area, key)
        try:
            return self._codec.validate_python(value) if value is not None else None
        except ValidationError:
            return None

    async def put(self, key: str, value: T) -> None:
        """Store it, replacing what was there."""
        await self._state.put(self._area, key, self._codec.dump_python(value, mode="json"), ttl_s=self._ttl_s)

    async def delete(self, key: str) -> None:
        """Forget it; absent is fine."""
        await self._state.delete(self._area, key)

    async def delete_below(self, prefix: str) -> None:
        """Forget all whose keys begin so."""
        for key in await self._state.keys(self._area):
            if key.startswith(prefix):
                await self.delete(key)

    async def count(self) -> int:
        """How many there are."""
        return len(await self._state.keys(self._area))

    async def items(self) -> Mapping[str, T]:
        """Every value by its key."""
        found = {key: await self.get(key) for key in await self._state.keys(self._area)}
        return {key: value for key, value in found.items() if value is not None}
