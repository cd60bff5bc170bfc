"""Time as a dependency."""

from __future__ import annotations

from typing import Protocol


class Clock(Protocol):
    """Time, so that tests can move it."""

    def now(self) -> float:
        """Unix time in seconds."""

    async def sleep(self, seconds: float) -> None:
        """Return when `seconds` have passed on this clock."""
