"""The unit price now: what the provider says, remembered for a while, with the configured price behind it.

A change of price touches no quote and no hold that was already made: both carry their own price.
"""

from __future__ import annotations

import asyncio

import structlog

from core.domain.money import DEFAULT_UNIT_PRICE_NANOUSD, NANOUSD_PER_USD
from core.ports import AppState, Clock, LogOnly, OperatorAlerts, UnclearPrice, Upscaler

log = structlog.get_logger(__name__)

_FRESH_S = 3600.0
"""How long an answer is taken as it is. Prices change a few times a year."""

_RETRY_S = 300.0
_KEPT_S = 7 * 86_400.0
"""How long the last answer outlives a provider that says nothing; then the configured price counts."""

_ASK_S = 5.0
_HIGHEST_NANOUSD = 10 * NANOUSD_PER_USD
"""A hundred times the price on the model's page: dearer than any such model is."""

_AREA = "price"


class PriceBook:
    """`unit_price` never fails and never waits longer than a few seconds.

    `configured_nanousd` is the operator's own price (`UPSCALE_PRICE_PER_MP_USD`, None = not set). It counts where the
    provider says nothing, and where it is the dearer of the two: an estimate is never below what may be charged.
    Without it, the price on the model's page stands behind the provider's answer.
    """

    def __init__(
        self,
        upscaler: Upscaler,
        state: AppState,
        clock: Clock,
        *,
        configured_nanousd: int | None = None,
        alerts: OperatorAlerts | None = None,
    ) -> None:
        self._alerts = alerts or LogOnly()
        self._upscaler = upscaler
        self._state = state
        self._clock = clock
        self._configured = configured_nanousd
        self._lock = asyncio.Lock()
        self._price: int | None = None
        self._known_at = float("-inf")
        self._asked_at = float("-inf")
        self._loaded = False

    async def unit_price(self) -> int:
        """Nano-dollars per output megapixel."""
        async with self._lock:
            await self._load()
            now = self._clock.now()
            if not self._is_within(self._known_at, _FRESH_S, now) and not self._is_within(
                self._asked_at, _RETRY_S, now
            ):
                self._asked_at = now
                await self._ask(now)
            return self._now(now)

    def _now(self, now: float) -> int:
        if self._price is not None and self._is_within(self._known_at, _KEPT_S, now):
            return max(self._price, self._configured or 0)
        return DEFAULT_UNIT_PRICE_NANOUSD if self._configured is None else self._configured

    def _is_within(self, since: float, span_s: float, now: float) -> bool:
        # A clock set back must not make an old answer look new for years.
        return -span_s <= now - since < span_s

    async def _load(self) -> None:
        if self._loaded:
            return
        self._loaded = True
        kept = await self._state.get(_AREA, self._upscaler.name)
        if isinstance(kept, dict) and isinstance(kept.get("nanousd"), int) and isinstance(kept.get("at"), float):
            self._price, self._known_at = kept["nanousd"], kept["at"]

    async def _ask(self, now: float) -> None:
        try:
            async with asyncio.timeout(_ASK_S):
                price = await self._upscaler.unit_price()
        except TimeoutError:
            price = None
        if price is None:
            return
        if not 0 < price <= _HIGHEST_NANOUSD:
            log.warning("price_implausible", nanousd=price)
            self._alerts.tell(UnclearPrice(self._now(now)))
            return
        if price != self._price:
            log.info("price_changed", old_nanousd=self._price, new_nanousd=price, configured_nanousd=self._configured)
        self._price, self._known_at = price, now
        await self._state.put(_AREA, self._upscaler.name, {"nanousd": price, "at": now})
