"""The small durable values and a job's memo, in memory."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

from core.ports.clock import Clock, SystemClock


class MemoryState:
    """`core.ports.AppState`. Share one between two adapters to have two replicas.

    `identify_ttl_s` replaces the time that every claim asks for.
    """

    def __init__(self, clock: Clock | None = None) -> None:
        self.values: dict[tuple[str, str], Any] = {}
        self.claims: dict[tuple[str, str], float] = {}
        self.identify_ttl_s: float | None = None
        self._expiries: dict[tuple[str, str], float | None] = {}
        self._clock = clock or SystemClock()

    async def get(self, area: str, key: str) -> Any | None:
        expires_at = self._expiries.get((area, key))
        return None if expires_at is not None and expires_at <= self._clock.now() else self.values.get((area, key))

    async def put(self, area: str, key: str, value: Any, *, ttl_s: float | None = None) -> None:
        self.values[area, key] = json.loads(json.dumps(value))
        self._expiries[area, key] = None if ttl_s is None else self._clock.now() + ttl_s

    async def delete(self, area: str, key: str) -> None:
        self.values.pop((area, key), None)

    async def keys(self, area: str) -> Sequence[str]:
        return [key for known, key in {**self.values, **self.claims} if known == area]

    async def claim(self, area: str, key: str, *, ttl_s: float) -> bool:
        now = self._clock.now()
        if self.claims.get((area, key), 0.0) > now:
            return False
        self.claims[area, key] = now + (self.identify_ttl_s if self.identify_ttl_s is not None else ttl_s)
        return True


class MemoryReplyState:
    """Durable notes of one job, as long as the dictionary lives."""

    def __init__(self, values: dict[str, Any]) -> None:
        self._values = values

    async def load(self) -> dict[str, Any]:
        return dict(self._values)

    async def save(self, **values: Any) -> None:
        self._values.update(json.loads(json.dumps(values)))

    async def leave(self, message: Mapping[str, Any]) -> None:
        self._values.setdefault("must_go", []).append(dict(message))
