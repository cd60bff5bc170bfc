"""Expected finish times: the median seconds per megapixel of earlier jobs, plus half of it per queued request."""

from collections import defaultdict, deque
from statistics import median

from core.domain.models import ALL, DEFAULT_MODEL
from core.ports import AppState, TypedState

_KEPT = 50
_PRIOR_S_PER_MP = 2.5
"""A guess, used until the first jobs have ended."""

_FLOOR_S = 2.0


class FinishTimes:
    """Durations of the last jobs, per backend and model, stored in `AppState`."""

    def __init__(self, state: AppState, backend: str) -> None:
        self._saved = TypedState(state, "eta", list[float])
        self._backend = backend
        self._samples: defaultdict[str, deque[float]] = defaultdict(lambda: deque(maxlen=_KEPT))
        self._unsaved = 0

    def _key(self, model: str) -> str:
        return self._backend if model == DEFAULT_MODEL else f"{self._backend}:{model}"

    async def load(self) -> None:
        for model in ALL.ids:
            self._samples[model].extend(await self._saved.get(self._key(model)) or ())

    async def learn(self, megapixels: int, seconds: float, model: str = DEFAULT_MODEL) -> None:
        """Add the duration of one job at the provider. Every tenth is stored."""
        if seconds <= 0:
            return
        self._samples[model].append(seconds / max(1, megapixels))
        self._unsaved += 1
        if self._unsaved >= 10:
            self._unsaved = 0
            for name, samples in self._samples.items():
                await self._saved.put(self._key(name), [round(value, 4) for value in samples])

    def expected_s(self, megapixels: int, ahead: int = 0, model: str = DEFAULT_MODEL) -> float:
        """Seconds until a job of this size is done, with `ahead` requests before it."""
        samples = self._samples.get(model)
        per_mp = median(samples) if samples else _PRIOR_S_PER_MP
        own = max(_FLOOR_S, per_mp * max(1, megapixels))
        return own * (1 + 0.5 * ahead)
