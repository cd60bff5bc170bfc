"""The clock, as a dependency."""

import asyncio
import time
from typing import Protocol

from core.ports.ownership import awake_clock_s


class Clock(Protocol):
    """A clock that tests can move."""

    def now(self) -> float:
        """Unix time in seconds."""

    async def sleep(self, seconds: float) -> None:
        """Return when `seconds` have passed on this clock."""


class SystemClock:
    """The machine's clock; when that is set forward or back, this one follows at half to double speed.

    A jump would otherwise end every running wait at once, or prolong it by the size of the jump.
    """

    def __init__(self) -> None:
        self._at, self._awake_s = time.time(), awake_clock_s()

    def now(self) -> float:
        """Unix time in seconds; never decreases."""
        awake_s = awake_clock_s()
        passed_s = max(0.0, awake_s - self._awake_s)
        self._at = min(max(time.time(), self._at + passed_s / 2), self._at + passed_s * 2)
        self._awake_s = awake_s
        return self._at

    async def sleep(self, seconds: float) -> None:
        """Wait on the event loop."""
        await asyncio.sleep(seconds)
