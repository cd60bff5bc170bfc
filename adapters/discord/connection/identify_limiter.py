"""One IDENTIFY per 5 s for each `shard_id % max_concurrency`, kept by all processes through the database.

discord.py's own hook only spaces the shards of one process. Exceeding the spacing costs the session, and 1000
IDENTIFYs a day reset the token (gateway page, read 2026-11-22).
"""

from __future__ import annotations

import asyncio

import structlog

from core.ports import AppState, Clock

log = structlog.get_logger(__name__)

SPACING_S = 5.0
MARGIN_S = 0.25
POLL_S = 0.25
LONGEST_WAIT_S = 150.0
"""Below the library's 180 s for a first connect; a reconnect is cut at 60 s by the library and tried again."""

CALM_S = 600.0
LONGEST_PAUSE_S = 120.0
"""Sessions that are refused again and again: at most 720 a day for one shard, of Discord's 1000."""

_AREA = "discord-identify"


class IdentifyTurns:
    """Turns to IDENTIFY, one at a time over all processes."""

    def __init__(self, state: AppState, clock: Clock, app_id: int, max_concurrency: int) -> None:
        self._state = state
        self._clock = clock
        self._app_id = app_id
        self._max_concurrency = max(1, max_concurrency)
        self._recent: dict[int, tuple[float, int]] = {}

    async def wait(self, shard_id: int) -> None:
        """Return when this shard may IDENTIFY. Raises TimeoutError when it is never its turn."""
        await self._calm_down(shard_id)
        key = f"{self._app_id}:{shard_id % self._max_concurrency}"
        async with asyncio.timeout(LONGEST_WAIT_S):
            while not await self._state.claim(_AREA, key, ttl_s=SPACING_S + MARGIN_S):
                await self._clock.sleep(POLL_S)
        log.debug("discord_identify", shard=shard_id)

    async def _calm_down(self, shard_id: int) -> None:
        """Growing pauses when one shard needs session after session: 5, 10, 20 … 120 s, from the third on."""
        now = self._clock.now()
        last, count = self._recent.get(shard_id, (0.0, 0))
        count = count + 1 if now - last < CALM_S else 1
        self._recent[shard_id] = (now, count)
        if count > 2:
            pause_s = min(LONGEST_PAUSE_S, SPACING_S * 2.0 ** (count - 3))
            log.warning("discord_sessions_refused", shard=shard_id, in_a_row=count, pause_s=pause_s)
            await self._clock.sleep(pause_s)
