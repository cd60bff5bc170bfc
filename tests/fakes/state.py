"""The small durable values and what is kept of a job's message, in memory."""

import json
from collections import defaultdict
from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Any

from sqlalchemy.exc import OperationalError

from core.domain.job import Job
from core.jobs.reply_state import StoredReplyState, UnstoredStates
from core.ports import Clock, SystemClock
from tests.fakes.core import OwnLease


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

    async def get_all(self, wanted: Sequence[tuple[str, str]]) -> Sequence[Any | None]:
        return [await self.get(area, key) for area, key in wanted]

    async def put(self, area: str, key: str, value: Any, *, ttl_s: float | None = None) -> None:
        self.values[area, key] = json.loads(json.dumps(value))
        self._expiries[area, key] = None if ttl_s is None else self._clock.now() + ttl_s

    async def change(
        self, area: str, key: str, update: Callable[[Any | None], Any | None], *, ttl_s: float | None = None
    ) -> None:
        if (value := update(await self.get(area, key))) is None:
            await self.delete(area, key)
        else:
            await self.put(area, key, value, ttl_s=ttl_s)

    async def delete(self, area: str, key: str) -> None:
        self.values.pop((area, key), None)

    async def delete_where(self, is_meant: Callable[[str, str, Any], bool]) -> None:
        for (area, key), value in [*self.values.items()]:
            if is_meant(area, key, value):
                await self.delete(area, key)

    async def keys(self, area: str) -> Sequence[str]:
        return [key for known, key in {**self.values, **self.claims} if known == area]

    async def claim(self, area: str, key: str, *, ttl_s: float) -> bool:
        now = self._clock.now()
        if self.claims.get((area, key), 0.0) > now:
            return False
        self.claims[area, key] = now + (self.identify_ttl_s if self.identify_ttl_s is not None else ttl_s)
        return True


class CutStates:
    """The job store's delivery states; the connection is cut when something is to be stored that `cut_by` names."""

    def __init__(self, cut_by: Callable[[Mapping[str, Any]], bool]) -> None:
        self.values: dict[str, dict[str, Any]] = defaultdict(dict)
        self.cut = False
        self._cut_by = cut_by
        self.unstored = UnstoredStates(self, OwnLease(), None, None)  # type: ignore[arg-type]

    def of(self, job: Job) -> StoredReplyState:
        """The job's reply state in a process that lives on."""
        return StoredReplyState(self.unstored, job)

    async def back(self) -> None:
        self.cut, self._cut_by = False, lambda values: False
        await self.unstored.flush_all()

    async def delivery_state(self, job_id: str) -> dict[str, Any]:
        self._check()
        return dict(self.values[job_id])

    async def change_delivery_state(
        self, job_id: str, values: Mapping[str, Any], *, owners: Collection[str] | None = None
    ) -> bool:
        self.cut = self.cut or self._cut_by(values)
        self._check()
        self.values[job_id].update(json.loads(json.dumps(dict(values))))
        return True

    def _check(self) -> None:
        if self.cut:
            raise OperationalError("connect", None, OSError("cut"))


class MemoryReplyState:
    """Durable notes of one job, as long as the dictionary lives."""

    def __init__(self, values: dict[str, Any]) -> None:
        self._values = values

    async def load(self) -> dict[str, Any]:
        return dict(self._values)

    async def save(self, **values: Any) -> None:
        self._values.update(json.loads(json.dumps(values)))

    async def record(self, **values: Any) -> None:
        await self.save(**values)

    async def remove_later(self, message: Mapping[str, Any]) -> None:
        self._values.setdefault("must_go", []).append(dict(message))
