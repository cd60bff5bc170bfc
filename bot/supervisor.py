"""Keep an adapter connected: restart it, with exponential backoff, when its connection ends. Also close all parts."""

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
_MAX_PAUSE_S = 60.0
_STORAGE_ERRORS = (*DATABASE_ERRORS, StorageUnavailable)
_HEALTHY_S = 120.0
"""A connection that lasted this long is restarted with the first pause."""


async def close_all(*parts: Callable[[], Awaitable[object]]) -> None:
    """Close the parts in order, all of them even if some fail. Raises the last unexpected error at the end."""
    async with contextlib.AsyncExitStack() as stack:
        for close in reversed(parts):
            stack.push_async_callback(_close, close)


async def _close(close: Callable[[], Awaitable[object]]) -> None:
    with contextlib.suppress(OSError, TimeoutError):  # a connection that cannot be closed properly is gone anyway
        await close()


async def supervise(
    name: str,
    serve: Callable[[Callable[[], None]], Awaitable[None]],
    stopping: asyncio.Event,
    on_refused: Callable[[str], None],
    on_ready: Callable[[str], None],
) -> None:
    """Let the adapter of this name serve until cancelled or stopping.

    If its credentials are refused at the first start, calls `on_refused`, which ends the process, since waiting would
    not help. If they are refused later (a token revoked while running), the other platforms must stay up.
    """
    pause_s = _FIRST_PAUSE_S
    was_ready = False

    def ready() -> None:
        nonlocal was_ready
        if not was_ready:
            on_ready(name)
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
                on_refused(str(refusal))
                return
        except Exception as error:
            if ExceptionGroup("", [error]).split(_STORAGE_ERRORS)[1] is None:
                log.warning("adapter_without_database", adapter=name, pause_s=pause_s)
            else:
                log.exception("adapter_broke", adapter=name)
        if time.monotonic() - started_at > _HEALTHY_S:
            pause_s = _FIRST_PAUSE_S
        await asyncio.sleep(pause_s)
        pause_s = min(_MAX_PAUSE_S, pause_s * 2)
