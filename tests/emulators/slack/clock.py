"""A clock that a test moves by hand and that otherwise runs with the wall. It must not know Slack."""

import asyncio
import time


class MovableClock:
    """Seconds since the epoch, plus whatever the test added. Sleepers wake when the clock is moved past them."""

    def __init__(self) -> None:
        self._offset_s = 0.0
        self._moved = asyncio.Event()

    def now(self) -> float:
        return time.time() + self._offset_s

    def advance(self, seconds: float) -> None:
        self._offset_s += seconds
        self._moved.set()
        self._moved = asyncio.Event()

    async def sleep_until(self, due_s: float) -> None:
        """Return once `now()` has reached `due_s`, whether time passed or was moved."""
        while (left_s := due_s - self.now()) > 0:
            try:
                await asyncio.wait_for(self._moved.wait(), timeout=left_s)
            except TimeoutError:
                continue

    async def sleep(self, seconds: float) -> None:
        """As `core.ports.Clock`, so that the bot's time moves with Slack's."""
        await self.sleep_until(self.now() + seconds)
