"""Writes first and acknowledges then, so that nothing that was acknowledged can be lost, within Discord's time."""

import asyncio
import math
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any, TypeVar

from core.domain.errors import StorageUnavailable

T = TypeVar("T")
WRITTEN_WITHIN_S = 1.5
"""Of Discord's 3 s for the first answer; the rest is left for the answer itself."""

SLOW_WITHIN_S = 10.0
CANCELLED_WITHIN_S = 0.2


async def nothing() -> None:
    """What was read is no promise yet."""


class Commits:
    """The writes of this process, and when one was last seen to succeed."""

    def __init__(self) -> None:
        self._last_s = -math.inf

    async def first(
        self, write: Coroutine[Any, Any, T], acknowledge: Callable[[], Awaitable[None]], *, always: bool = True
    ) -> T:
        """What `write` gives, acknowledged. Refusals of it are raised before the acknowledgement.

        Where the database is only slow, because many write at once, it is acknowledged and waited for. Raises
        StorageUnavailable where nothing at all was written meanwhile. Not `always`: only where it is slow, because
        what is shown next is an answer as well.
        """
        began_s = asyncio.get_running_loop().time()
        task = asyncio.create_task(write, name="discord-commit")
        try:
            await asyncio.wait({task}, timeout=WRITTEN_WITHIN_S)
            if not task.done() and self._last_s < began_s:
                raise StorageUnavailable
            if task.done():
                _result(task)
            if always or not task.done():
                await acknowledge()
                await asyncio.wait({task}, timeout=SLOW_WITHIN_S)
            if not task.done():
                raise StorageUnavailable
            self._last_s = asyncio.get_running_loop().time()
            return _result(task)
        finally:
            if not task.done():
                task.cancel()
                await asyncio.wait({task}, timeout=CANCELLED_WITHIN_S)


def _result(task: asyncio.Task[T]) -> T:
    try:
        return task.result()
    except (OSError, TimeoutError) as error:  # of the way to the database
        raise StorageUnavailable from error
