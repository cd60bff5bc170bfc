"""Bounded retries for what discord.py does not retry itself (resets and time-outs on Linux, 503)."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import TypeVar

from adapters.discord.outbound.errors import asked_s, is_transient
from core.net.retry import Backoff, retry
from core.ports import Clock

T = TypeVar("T")
ATTEMPTS = 4
BACKOFF = Backoff(first_s=0.4, cap_s=5.0, asked_cap_s=60.0)


async def steadily(call: Callable[[], Awaitable[T]], clock: Clock, *, attempts: int = ATTEMPTS) -> T:
    """`call()` until it works, at most `attempts` times; pauses of about 0.4, 0.8, 1.6 s, or what Discord asks for.

    Only for what may safely be done twice (PATCH, or a POST with a nonce). `call` must make its files afresh each
    time: a `discord.File` used twice silently uploads nothing. Raises the last error.
    """

    def pause_s(error: Exception, attempt: int) -> float | None:
        return BACKOFF.pause_s(attempt, asked_s(error)) if is_transient(error) else None

    return await retry(call, clock=clock, pause=pause_s, attempts=attempts)
