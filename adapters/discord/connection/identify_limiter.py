"""Limits all processes together, through the database, to one IDENTIFY per 5 s and `shard_id % max_concurrency`.

discord.py's own hook only spaces the shards of one process. Exceeding the spacing costs the session, and 1000
IDENTIFYs a day reset the token (gateway page, read 2026-11-22).
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import asdict, dataclass, replace
from functools import partial
from typing import Any

import structlog

from adapters.discord.outbound.delivery_state import PLATFORM
from core.ports import AppState, Clock, OperatorAlerts, TypedState
from core.presentation.texts import operator_texts

log = structlog.get_logger(__name__)

SPACING_S = 5.0
MARGIN_S = 0.25
POLL_S = 0.25
MAX_WAIT_S = 150.0
"""Below the library's 180 s for a first connect; the library cuts a reconnect at 60 s and retries it."""

CRASH_LOOP_WINDOW_S = 600.0
MAX_PAUSE_S = 120.0
"""A shard whose sessions are refused again and again uses at most 720 of Discord's 1000 IDENTIFYs a day."""

ALERT_BELOW_SHARE = 0.25
MIN_RESET_WAIT_S = 60.0
"""The shortest wait when no IDENTIFY is left, whatever `reset_after` says."""

REFRESH_AFTER_S = 600.0
"""How often the count in the database is compared with Discord's: others may use the same token."""

DAY_S = 86_400.0
_AREA = "discord-identify"


@dataclass(frozen=True, slots=True)
class SessionLimits:
    """From `GET /gateway/bot`: `remaining` IDENTIFYs of `total` are left until the reset in `reset_after_s`."""

    total: int = 1000
    remaining: int = 1000
    reset_after_s: float = 0.0
    max_concurrency: int = 1

    @classmethod
    def of(cls, found: Mapping[str, Any]) -> SessionLimits:
        reported = found.get("session_start_limit") or {}
        reset_s = float(reported.get("reset_after", 0)) / 1000
        total = int(reported.get("total", 1000))
        return cls(
            total, int(reported.get("remaining", total)), reset_s, max(1, int(reported.get("max_concurrency") or 1))
        )


@dataclass(frozen=True, slots=True)
class StoredLimits(SessionLimits):
    """The limits at a time (unix seconds), shared by all processes."""

    at: float = 0.0


class IdentifyLimiter:
    def __init__(
        self,
        state: AppState,
        clock: Clock,
        app_id: int,
        limits: SessionLimits,
        fetch_limits: Callable[[], Awaitable[SessionLimits]],
        operator: OperatorAlerts,
    ) -> None:
        self._state = state
        self._stored = TypedState(state, _AREA, StoredLimits, ttl_s=DAY_S)
        self._clock = clock
        self._app_id = app_id
        self._initial: SessionLimits | None = limits
        self._max_concurrency = limits.max_concurrency
        self._fetch_limits = fetch_limits
        self._operator = operator
        self._recent: dict[int, tuple[float, int]] = {}

    async def wait(self, shard_id: int) -> None:
        """Return when this shard may IDENTIFY. Raises TimeoutError after MAX_WAIT_S."""
        await self._back_off(shard_id)
        key = f"{self._app_id}:{shard_id % self._max_concurrency}"
        async with asyncio.timeout(MAX_WAIT_S):
            while not await self._state.claim(_AREA, key, ttl_s=SPACING_S + MARGIN_S):
                await self._clock.sleep(POLL_S)
        await self._spend()
        log.debug("discord_identify", shard=shard_id)

    async def _spend(self) -> None:
        """Count this IDENTIFY for all processes; when none is left, wait for the reset.

        One too many makes Discord reset the token.
        """
        now = self._clock.now()
        left = await self._current_limits(now)
        while left.remaining <= 0:
            wait_s = max(MIN_RESET_WAIT_S, left.reset_after_s)
            self._alert_operator(0, left.total, now + wait_s)
            log.error("discord_identifies_used_up", wait_s=wait_s)
            await self._clock.sleep(wait_s)
            now, left = self._clock.now(), await self._fetch_limits()
        left = replace(left, remaining=left.remaining - 1)
        await self._stored.put(f"{self._app_id}:left", StoredLimits(**asdict(left), at=now))
        if left.remaining <= left.total * ALERT_BELOW_SHARE:
            self._alert_operator(left.remaining, left.total, now + left.reset_after_s)

    def _alert_operator(self, left: int, total: int, until_at: float) -> None:
        notice = partial(operator_texts.few_connects_left, PLATFORM, left, total, until_at)
        self._operator.tell(f"connects:{PLATFORM}", notice)

    async def _current_limits(self, now: float) -> SessionLimits:
        """The lower of the database's count and Discord's, which is fetched every REFRESH_AFTER_S."""
        stored = await self._stored.get(f"{self._app_id}:left")
        counted = None
        if stored is not None and now < stored.at + stored.reset_after_s:
            passed_s = now - stored.at
            reset_s = stored.reset_after_s - passed_s
            counted = SessionLimits(stored.total, stored.remaining, reset_s, stored.max_concurrency)
            if passed_s < REFRESH_AFTER_S and self._initial is None and counted.remaining > 0:
                return counted
        reported, self._initial = self._initial or await self._fetch_limits(), None
        if counted is None or reported.remaining <= counted.remaining:
            return reported
        return replace(reported, remaining=counted.remaining) if counted.remaining > 0 else reported

    async def _back_off(self, shard_id: int) -> None:
        """Pause 5, 10, 20 … 120 s from the third session on that one shard needs in a row."""
        now = self._clock.now()
        last, count = self._recent.get(shard_id, (0.0, 0))
        count = count + 1 if now - last < CRASH_LOOP_WINDOW_S else 1
        self._recent[shard_id] = (now, count)
        if count > 2:
            pause_s = min(MAX_PAUSE_S, SPACING_S * 2.0 ** (count - 3))
            log.warning("discord_sessions_refused", shard=shard_id, in_a_row=count, pause_s=pause_s)
            await self._clock.sleep(pause_s)
