"""Bounded retries for what discord.py does not retry itself (resets and time-outs on Linux, 503)."""

from __future__ import annotations

import random
from collections.abc import Awaitable, Callable
from typing import TypeVar

from adapters.discord.outbound.errors import is_transient
from core.ports import Clock

T = TypeVar("T")
ATTEMPTS = 4
FIRST_PAUSE_S = 0.4


async def steadily(call: Callable[[], Awaitable[T]], clock: Clock, *, attempts: int = ATTEMPTS) -> T:
    """`call()` until it works, at most `attempts` times; pauses of about 0.4, 0.8, 1.6 s between.

    Only for what may safely be done twice (PATCH, or a POST with a nonce). `call` must make its files afresh each
    time: a `discord.File` used twice silently uploads nothing. Raises the last error.
    """
    for attempt in range(1, attempts):
        try:
            return await call()
        except Exception as error:
            if not is_transient(error):
                raise
        await clock.sleep(FIRST_PAUSE_S * 2 ** (attempt - 1) * random.uniform(0.7, 1.3))
    return await call()
