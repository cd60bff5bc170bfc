"""Seeing a request through when its caller is cancelled: a message whose ts nobody noted would hang about for ever."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any, TypeVar

T = TypeVar("T")

SEE_THROUGH_S = 3.0
"""How long a cancelled caller still waits for the answer to a request that has left. Usually a tenth of a second."""


async def see_through(
    start: Callable[[Callable[[], None]], Coroutine[Any, Any, T]],
    keep: Callable[[T], Awaitable[None]],
    never_left: Callable[[], Awaitable[None]],
) -> T:
    """Run `start` (it calls what it is given when the request leaves) and `keep` its answer, also when cancelled.

    Cancelled before the request left, it is dropped and `never_left` is called. The cancellation goes on in any case.
    """
    left = False

    def leaving() -> None:
        nonlocal left
        left = True

    task = asyncio.get_running_loop().create_task(start(leaving))
    try:
        answer = await asyncio.shield(task)
    except asyncio.CancelledError:
        if left:
            await asyncio.wait({task}, timeout=SEE_THROUGH_S)
        if task.done() and not task.cancelled() and task.exception() is None:
            await keep(task.result())
        else:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)
            if not left:
                await never_left()
        raise
    await keep(answer)
    return answer
