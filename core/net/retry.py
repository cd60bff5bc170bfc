"""The one way to try again: bounded in tries or in time, with growing jittered pauses on an injected clock.

And the one way to wait for whichever comes first.
"""

import asyncio
import random
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import TypeVar

from core.ports import Clock

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Backoff:
    """Pauses in seconds: `first_s`, doubled each time up to `cap_s`, with 25 % jitter either way.

    What the other side asks for (a 429's Retry-After) counts instead, up to `asked_cap_s`.
    """

    first_s: float = 0.5
    cap_s: float = 30.0
    asked_cap_s: float = 120.0

    def pause_s(self, attempt: int, asked_s: float | None = None) -> float:
        """The pause after try number `attempt` (from 1) failed."""
        if asked_s is not None:
            return min(self.asked_cap_s, max(0.0, asked_s))
        return min(self.cap_s, self.first_s * 2.0 ** min(attempt - 1, 30)) * random.uniform(0.75, 1.25)


async def retry(
    call: Callable[[], Awaitable[T]],
    *,
    clock: Clock,
    pause: Callable[[Exception, int], float | None],
    attempts: int = 1_000_000,
    within_s: float = float("inf"),
) -> T:
    """`call()` until it returns.

    `pause(error, attempt)` answers how long to wait after a failure (`attempt` counts from 1), or None when trying
    again makes no sense. The last error is raised then, after `attempts` tries, or when the next try would start
    later than `within_s` seconds after the first. CancelledError is no Exception and ends it at once.
    """
    deadline = clock.now() + within_s
    attempt = 0
    while True:
        attempt += 1
        try:
            return await call()
        except Exception as error:
            wait_s = pause(error, attempt)
            if wait_s is None or attempt >= attempts or clock.now() + wait_s > deadline:
                raise
        await clock.sleep(wait_s)


async def first_of(*waits: Awaitable[object]) -> None:
    """Until one of these ends, however it does; the others, but for tasks of the caller's own, are cancelled."""
    tasks = [asyncio.ensure_future(wait) for wait in waits]
    try:
        await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for task in {*tasks}.difference(waits):
            task.cancel()
