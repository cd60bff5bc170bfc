"""Keeps an adapter connected: starts it again, ever more slowly, when its connection dies. And the orderly end."""

import asyncio
import contextlib
import time
from collections.abc import Awaitable, Callable

import structlog

from core.domain.errors import StorageUnavailable
from core.ports import LoginRefused
from core.storage.database import DATABASE_ERRORS

log = structlog.get_logger(__name__)

_FIRST_PAUSE_S = 1.0
_LONGEST_PAUSE_S = 60.0
_STORAGE_AWAY = (*DATABASE_ERRORS, StorageUnavailable)
_HEALTHY_S = 120.0
"""A connection that held this long starts again without delay when it breaks."""


async def close_all(*parts: Callable[[], Awaitable[object]]) -> None:
    """In this order; one that breaks keeps no other open. The last unforeseen error is raised at the end."""
    async with contextlib.AsyncExitStack() as stack:
        for close in reversed(parts):
            stack.push_async_callback(_closed, close)


async def _closed(close: Callable[[], Awaitable[object]]) -> None:
    """A connection that cannot be closed properly is gone all the same."""
    with contextlib.suppress(OSError, TimeoutError):
        await close()


async def supervise(
    name: str,
    serve: Callable[[Callable[[], None]], Awaitable[None]],
    stopping: asyncio.Event,
    refuse: Callable[[str], None],
    told_ready: Callable[[str], None],
) -> None:
    """Let the adapter of this name serve until cancelled or stopping.

    Credentials refused at the first start are told to `refuse`, which ends the process: waiting would mend nothing. A
    platform that refuses us later (a token revoked while running) must not take the other platforms down.
    """
    pause_s = _FIRST_PAUSE_S
    was_ready = False

    def ready() -> None:
        nonlocal was_ready
        if not was_ready:
            told_ready(name)
        was_ready = True
        log.info("adapter_ready", adapter=name)

    while not stopping.is_set():
        started_at = time.monotonic()
        try:
            await serve(ready)
            log.warning("adapter_ended", adapter=name)
        except LoginRefused as refusal:
            log.error("adapter_refused", adapter=name, reason=str(refusal))
            if not was_ready:
                refuse(str(refusal))
                return
        except Exception as error:
            if ExceptionGroup("", [error]).split(_STORAGE_AWAY)[1] is None:
                log.warning("adapter_without_database", adapter=name, pause_s=pause_s)
            else:
                log.exception("adapter_broke", adapter=name)
        if time.monotonic() - started_at > _HEALTHY_S:
            pause_s = _FIRST_PAUSE_S
        await asyncio.sleep(pause_s)
        pause_s = min(_LONGEST_PAUSE_S, pause_s * 2)
