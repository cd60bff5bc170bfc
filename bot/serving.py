"""Keeps an adapter connected: starts it again, ever more slowly, when its connection dies for good."""

from __future__ import annotations

import asyncio
import time

import structlog

from core.ports import ChatAdapter

log = structlog.get_logger(__name__)

_FIRST_PAUSE_S = 1.0
_LONGEST_PAUSE_S = 60.0
_HEALTHY_S = 120.0
"""A connection that held this long starts again without delay when it breaks."""


async def supervise(adapter: ChatAdapter, stopping: asyncio.Event) -> None:
    """Serve until cancelled or stopping."""
    pause_s = _FIRST_PAUSE_S
    while not stopping.is_set():
        started_at = time.monotonic()
        try:
            await adapter.serve(lambda: log.info("adapter_ready", adapter=adapter.name))
            log.warning("adapter_ended", adapter=adapter.name)
        except Exception:
            log.exception("adapter_broke", adapter=adapter.name)
        if time.monotonic() - started_at > _HEALTHY_S:
            pause_s = _FIRST_PAUSE_S
        await asyncio.sleep(pause_s)
        pause_s = min(_LONGEST_PAUSE_S, pause_s * 2)
