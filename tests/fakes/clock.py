"""Clocks that satisfy `core.ports.Clock` (see also `core.FakeClock`, which wakes sleepers in order)."""

from __future__ import annotations

import asyncio
import time
from datetime import UTC, datetime

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


class ShiftedClock:
    """Real time plus an offset. Sleeping takes at most `nap_s`; with `jumps` time passes all the same."""

    def __init__(self, nap_s: float = 0.002, *, jumps: bool = False) -> None:
        self.offset_s = 0.0
        self.slept: list[float] = []
        self._nap_s = nap_s
        self._jumps = jumps

    def now(self) -> float:
        return time.time() + self.offset_s

    async def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        await asyncio.sleep(min(seconds, self._nap_s))
        self.offset_s += seconds if self._jumps else 0.0
