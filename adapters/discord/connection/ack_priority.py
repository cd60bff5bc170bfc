"""Gives acknowledgements priority over all other work, so that none misses Discord's 3 s in a burst of events.

A handler that has acknowledged waits here, for a short time at most, until the burst is over. Ordinary traffic is not
delayed.
"""

import asyncio
import time
from collections import deque
from contextlib import suppress

MAX_WAIT_S = 1.5
"""An endless stream of events delays a handler no longer than this."""

MAX_UNANSWERED = 4
"""More pending acknowledgements than this are a burst."""

BURST_ARRIVALS, BURST_WINDOW_S = 12, 0.25
"""More arrivals than this within the window are a burst, even if each is acknowledged at once."""

CHECK_S = 0.05


class AckPriority:
    def __init__(self) -> None:
        self._unanswered: set[int] = set()
        self._arrivals: deque[float] = deque(maxlen=BURST_ARRIVALS + 1)
        self._calm = asyncio.Event()
        self._calm.set()

    def arrived(self, interaction_id: int) -> None:
        """Count an interaction that waits for its acknowledgement."""
        self._unanswered.add(interaction_id)
        self._arrivals.append(time.monotonic())
        if self._calm.is_set() and self._is_burst():
            self._calm.clear()
            asyncio.get_running_loop().call_later(CHECK_S, self._check)

    def answered(self, interaction_id: int) -> None:
        """The interaction is acknowledged, or never will be. Idempotent."""
        self._unanswered.discard(interaction_id)

    def _is_burst(self) -> bool:
        if len(self._unanswered) > MAX_UNANSWERED:
            return True
        return len(self._arrivals) > BURST_ARRIVALS and time.monotonic() - self._arrivals[0] < BURST_WINDOW_S

    def _check(self) -> None:
        if self._is_burst():
            asyncio.get_running_loop().call_later(CHECK_S, self._check)
        else:
            self._calm.set()

    async def wait_until_calm(self) -> None:
        """Return when there is no burst, after MAX_WAIT_S at the latest."""
        with suppress(TimeoutError):
            async with asyncio.timeout(MAX_WAIT_S):
                await self._calm.wait()
