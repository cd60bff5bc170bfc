"""Lets first answers go before all other work: in a rush of events, none of them may miss Discord's 3 s.

Whoever has acknowledged waits here, for a short time at most, until the rush is over; only then the work begins.
Ordinary traffic is not held back at all.
"""

import asyncio
import time
from collections import deque

MAX_WAIT_S = 1.5
"""So that an unbroken stream of events cannot hold work back for ever."""

MAX_UNANSWERED = 4
"""So many first answers under way at once are no rush."""

BURST_ARRIVALS, BURST_WINDOW_S = 12, 0.25
"""More arrivals than this in this time are a rush, even when each is answered at once."""

CHECK_S = 0.05


class AckPriority:
    """Watches how many interactions arrive, and how many are not acknowledged yet."""

    def __init__(self) -> None:
        self._unanswered: set[int] = set()
        self._arrivals: deque[float] = deque(maxlen=BURST_ARRIVALS + 1)
        self._calm = asyncio.Event()
        self._calm.set()

    def arrived(self, interaction_id: int) -> None:
        """An interaction waits for its first answer."""
        self._unanswered.add(interaction_id)
        self._arrivals.append(time.monotonic())
        if self._calm.is_set() and self._is_burst():
            self._calm.clear()
            asyncio.get_running_loop().call_later(CHECK_S, self._check)

    def answered(self, interaction_id: int) -> None:
        """It has one, or will never get one. Repeats do nothing."""
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
        """Return when there is no rush, after 1.5 s at the latest."""
        if self._calm.is_set():
            return
        try:
            async with asyncio.timeout(MAX_WAIT_S):
                await self._calm.wait()
        except TimeoutError:
            return
