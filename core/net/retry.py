"""The only retry helper: limited in attempts or in time, with exponential backoff and jitter on an injected clock."""

import asyncio
import random
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import TypeVar

from core.ports import Clock

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Backoff:
    """Exponential backoff: `first_s`, doubled each time up to `cap_s`, with 25 % jitter either way.

    A longer pause that the server asks for (Retry-After of a 429) is used instead, up to `asked_cap_s`; one of 0 or in
    the past, repeated for ever, must not make the loop a hot one.
    """

    first_s: float = 0.5
    cap_s: float = 30.0
    asked_cap_s: float = 120.0

    def pause_s(self, attempt: int, asked_s: float | None = None) -> float:
        """Return the pause after attempt number `attempt` (from 1) failed."""
        own_s = min(self.cap_s, self.first_s * 2.0 ** min(attempt - 1, 30)) * random.uniform(0.75, 1.25)
        return max(own_s, min(self.asked_cap_s, asked_s or 0.0))


async def retry(
    call: Callable[[], Awaitable[T]],
    *,
    clock: Clock,
    pause: Callable[[Exception, int], float | None],
    attempts: int = 1_000_000,
    within_s: float = float("inf"),
) -> T:
    """Call `call` until it returns.

    `pause(error, attempt)` returns the seconds to wait after a failure (`attempt` counts from 1), or None to give up.
    The last error is raised then, after `attempts` attempts, or when the next attempt would start later than
    `within_s` seconds after the first. CancelledError ends it immediately.
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


class Flag(asyncio.Future[None]):
    """An event that is set once. Unlike `asyncio.Event`: no queue of 700 bytes, and `first_of` needs no task for it."""

    __slots__ = ()

    def set(self) -> None:
        if not self.done():
            self.set_result(None)


async def first_of(*waits: Awaitable[object]) -> None:
    """Wait until one ends, also with an error. The others are cancelled, except tasks and flags that were passed in."""
    tasks = [asyncio.ensure_future(wait) for wait in waits]
    try:
        await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for task in {*tasks}.difference(waits):
            task.cancel()
