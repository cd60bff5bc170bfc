"""Clocks that satisfy `core.ports.Clock` (see also `core.FakeClock`, which wakes sleepers in order)."""

import asyncio
import time
from datetime import UTC, datetime

import pytest

NOON = datetime(2026, 11, 23, 12, 0, tzinfo=UTC).timestamp()
"""A Monday."""


class HandClock:
    """Time that passes only by sleeping, at once, or by setting `at`."""

    def __init__(self, at: float = NOON) -> None:
        self.at = at

    def now(self) -> float:
        return self.at

    async def sleep(self, seconds: float) -> None:
        self.at += seconds
        await asyncio.sleep(0)


@pytest.fixture
def clock() -> HandClock:
    return HandClock()


class ShiftedClock:
    """Real time plus `offset_s`. Sleeping takes at most `nap_s`, and moves nothing."""

    def __init__(self, nap_s: float = 0.002) -> None:
        self.offset_s = 0.0
        self.slept: list[float] = []
        self._nap_s = nap_s

    def now(self) -> float:
        return time.time() + self.offset_s

    async def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        await asyncio.sleep(min(seconds, self._nap_s))


class JumpingClock(ShiftedClock):
    """As `ShiftedClock`, but whoever has slept finds that the whole time has passed."""

    async def sleep(self, seconds: float) -> None:
        await super().sleep(seconds)
        self.offset_s += seconds
