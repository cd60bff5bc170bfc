"""Keeps an adapter connected: starts it again, ever more slowly, when its connection dies for good."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable

import structlog

from core.ports import ChatAdapter, LoginRefused

log = structlog.get_logger(__name__)

_FIRST_PAUSE_S = 1.0
_LONGEST_PAUSE_S = 60.0
_HEALTHY_S = 120.0
"""A connection that held this long starts again without delay when it breaks."""


async def supervise(
    adapter: ChatAdapter, stopping: asyncio.Event, refuse: Callable[[str], None], told_ready: Callable[[str], None]
) -> None:
    """Serve until cancelled or stopping.

    Credentials refused at the first start are told to `refuse`, which ends the process: waiting would mend nothing. A
    platform that refuses us later (a token revoked while running) must not take the other platforms down.
    """
    pause_s = _FIRST_PAUSE_S
    was_ready = False

    def ready() -> None:
        nonlocal was_ready
        if not was_ready:
            told_ready(adapter.name)
        was_ready = True
        log.info("adapter_ready", adapter=adapter.name)

    while not stopping.is_set():
        started_at = time.monotonic()
        try:
            await adapter.serve(ready)
            log.warning("adapter_ended", adapter=adapter.name)
        except LoginRefused as refusal:
            log.error("adapter_refused", adapter=adapter.name, reason=str(refusal))
            if not was_ready:
                refuse(str(refusal))
                return
        except Exception:
            log.exception("adapter_broke", adapter=adapter.name)
        if time.monotonic() - started_at > _HEALTHY_S:
            pause_s = _FIRST_PAUSE_S
        await asyncio.sleep(pause_s)
        pause_s = min(_LONGEST_PAUSE_S, pause_s * 2)
