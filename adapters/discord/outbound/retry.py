"""Bounded retries for what discord.py does not retry itself (resets and time-outs on Linux, 503)."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import TypeVar

import discord

from adapters.discord.outbound import errors
from adapters.discord.outbound.payload import TooLargeHere
from adapters.discord.outbound.rate_limit import Pauses
from core.domain.errors import DeliveryUnavailable
from core.net.retry import Backoff, retry
from core.ports import Clock

T = TypeVar("T")
ATTEMPTS = 4
LONGEST_PAUSE_S = 10.0
"""A longer pause that Discord asks for is left to the caller, who waits it out without holding anything."""
BACKOFF = Backoff(first_s=0.4, cap_s=5.0, asked_cap_s=60.0)


async def steadily(call: Callable[[], Awaitable[T]], clock: Clock, *, attempts: int = ATTEMPTS) -> T:
    """`call()` until it works, at most `attempts` times; pauses of about 0.4, 0.8, 1.6 s, or what Discord asks for.

    Only for what may safely be done twice (PATCH, or a POST with a nonce). `call` must make its files afresh each
    time: a `discord.File` used twice silently uploads nothing. Raises the last error.
    """

    def pause_s(error: Exception, attempt: int) -> float | None:
        return BACKOFF.pause_s(attempt, errors.asked_s(error)) if errors.is_transient(error) else None

    return await retry(call, clock=clock, pause=pause_s, attempts=attempts)


class Calls:
    """Calls about one message that keep every pause that Discord asked for at its place, whichever call it told."""

    def __init__(self, pauses: Pauses, clock: Clock) -> None:
        self._pauses = pauses
        self._clock = clock

    async def run(self, call: Callable[[], Awaitable[T]], attempts: int = ATTEMPTS, place: str = "") -> T:
        """As `steadily`. HTTPException passes; the rest becomes the core's error, a refused size TooLargeHere."""
        pause_s = self._pauses.left_s(place)
        if pause_s > 0:
            if attempts == 1 or pause_s > LONGEST_PAUSE_S:
                raise DeliveryUnavailable(retry_after_s=pause_s)
            await self._clock.sleep(pause_s)
        try:
            return await steadily(call, self._clock, attempts=attempts)
        except discord.HTTPException as error:
            if errors.is_too_large(error):
                raise TooLargeHere from error
            if errors.is_transient(error):
                raise errors.to_delivery_error(error) from error
            raise
        except errors.TRANSIENT as error:
            raise errors.to_delivery_error(error) from error
