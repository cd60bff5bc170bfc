"""The price of a megapixel for each model: the provider's, cached, or else the one in the model's file.

Quotes and holds carry their own price, so a change does not affect them.
"""

import asyncio
from dataclasses import dataclass
from functools import partial

import structlog

from core.domain.models import DEFAULT_MODEL, MODELS, Models, ModelSpec
from core.ports import AppState, Clock, OperatorAlerts, TypedState, Upscaler
from core.presentation.texts import operator_texts

log = structlog.get_logger(__name__)

_FRESH_S = 3600.0
"""How long an answer is used. Prices change a few times a year."""

_RETRY_S = 300.0
_KEPT_S = 7 * 86_400.0
"""How long the last answer is used while the provider gives none; then the configured price is used."""

_ASK_S = 5.0
_RANGE = 100
"""So many times the price on the model's page, or that part of it; an answer beyond is not believed."""

_AREA = "price"


@dataclass(frozen=True, slots=True)
class _Answer:
    """The provider's price of one model, and when it was given (unix seconds)."""

    nanousd: int
    at: float


class PriceBook:
    """`unit_price` never fails and never waits longer than a few seconds.

    `configured_nanousd` is the operator's price of flux (`UPSCALE_PRICE_PER_MP_USD`, None = not set). It is used if the
    provider gives no price, and if it is higher, so that an estimate is never below the charge.
    """

    def __init__(
        self,
        upscaler: Upscaler,
        state: AppState,
        clock: Clock,
        alerts: OperatorAlerts,
        *,
        configured_nanousd: int | None = None,
        models: Models = MODELS,
    ) -> None:
        self._models = models
        self._alerts = alerts
        self._upscaler = upscaler
        self._answers = TypedState(state, _AREA, _Answer, ttl_s=_KEPT_S)
        self._clock = clock
        self._configured = configured_nanousd
        self._lock = asyncio.Lock()
        self._known: dict[str, _Answer | None] = {}
        self._asked_at: dict[str, float] = {}

    async def unit_price(self, model: ModelSpec = MODELS.default) -> int:
        if not model.unit_price_nanousd:
            return 0
        async with self._lock:
            if model.id not in self._known:
                self._known[model.id] = await self._answers.get(self._key(model))
            now, known = self._clock.now(), self._known[model.id]
            asked_at = self._asked_at.get(model.id, float("-inf"))
            if not (known and self._is_within(known.at, _FRESH_S, now)) and not self._is_within(
                asked_at, _RETRY_S, now
            ):
                self._asked_at[model.id] = now
                await self._ask(model, now)
            return self._effective(model, now)

    async def smallest(self) -> int:
        """Nano-dollars of the cheapest job that costs anything: one megapixel of the cheapest such model."""
        prices = [await self.unit_price(model) for model in self._models]
        return min((price for price in prices if price), default=0)

    def _effective(self, model: ModelSpec, now: float) -> int:
        configured = self._configured if model.id == DEFAULT_MODEL else None
        known = self._known[model.id]
        if known is not None and self._is_within(known.at, _KEPT_S, now):
            return max(known.nanousd, configured or 0)
        return model.unit_price_nanousd if configured is None else configured

    def _is_within(self, since: float, span_s: float, now: float) -> bool:
        # After the clock is set back, an old answer must not count as new for years.
        return -span_s <= now - since < span_s

    def _key(self, model: ModelSpec) -> str:
        """Release 0.1.0 had one model and stored only the provider's name."""
        return self._upscaler.name if model.id == DEFAULT_MODEL else f"{self._upscaler.name}:{model.id}"

    async def _ask(self, model: ModelSpec, now: float) -> None:
        try:
            async with asyncio.timeout(_ASK_S):
                price = await self._upscaler.unit_price(model)
        except TimeoutError:
            return
        if price is None:
            return
        if not model.unit_price_nanousd / _RANGE <= price <= model.unit_price_nanousd * _RANGE:
            log.warning("price_implausible", model=model.id, nanousd=price)
            self._alerts.tell("price", partial(operator_texts.unclear_price, self._effective(model, now)))
            return
        old = self._known[model.id]
        if old is None or price != old.nanousd:
            log.info("price_changed", model=model.id, old_nanousd=old and old.nanousd, new_nanousd=price)
        self._known[model.id] = answer = _Answer(price, now)
        await self._answers.put(self._key(model), answer)
