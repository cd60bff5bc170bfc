"""fal's platform API: prices, lost requests, billing events, credit and erasure (OpenAPI v1, 2026-08-21).

Only `erase` writes. No job needs any of this to run.
"""

from collections.abc import AsyncIterator, Mapping, Sequence
from datetime import UTC, datetime
from decimal import Decimal
from http import HTTPStatus
from typing import Any, Literal

import structlog

from core.domain.errors import ProviderError, ProviderHalted, ProviderUnavailable
from core.domain.models import MODELS, ModelSpec
from core.domain.money import MAX_BILLED_UNITS, NANOUSD_PER_USD, UNREADABLE_PRICE_NANOUSD, bounded_number
from core.ports import BillingEvent, SearchResult, is_staged
from core.upscalers.fal.json_answer import MAX_NUMBER, Answer, dig, objects
from core.upscalers.fal.submit import path_segment, valid_request_id
from core.upscalers.fal.transport import KeyKind, Transport

log = structlog.get_logger(__name__)

PAGE_SIZE = 100
MAX_PAGES = 50
CLOCK_SKEW_S = 3600.0
"""How far this machine's clock may be ahead of fal's, such as by summer time, before a lost request is not listed."""

_FINAL_REFUSALS = frozenset(
    {HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN, HTTPStatus.NOT_FOUND, HTTPStatus.NOT_IMPLEMENTED}
)
"""Responses to a listing that a retry will not change: the key may not read it, or it does not exist."""


class PlatformApi:
    def __init__(self, transport: Transport) -> None:
        self._transport = transport
        self._config = transport.config
        self._last_refusal: int | None = None

    async def unit_price(self, model: ModelSpec = MODELS.default) -> int | None:
        """Implement `core.ports.Upscaler.unit_price`. Only prices in USD per megapixel count."""
        try:
            answer = await self._ask_price(model)
        except ProviderUnavailable:
            return None
        for entry in objects(answer.at("prices")) if answer.ok else ():
            unit, currency = str(entry.get("unit", "")).lower(), str(entry.get("currency", "")).upper()
            ours = entry.get("endpoint_id") == model.endpoint and currency == "USD"
            if ours and ("megapixel" in unit or unit == "mp"):
                price = _nanousd(entry.get("unit_price"))
                return UNREADABLE_PRICE_NANOUSD if price is None else price
        log.warning("fal_price_unknown", status=answer.status, endpoint=model.endpoint)
        return None

    async def _ask_price(self, model: ModelSpec) -> Answer:
        url = self._transport.url("api", "/models/pricing", {"endpoint_id": model.endpoint})
        return await self._transport.read("GET", url, attempts=2)

    async def check_key(self) -> Literal["ok", "refused", "unreachable"]:
        try:
            answer = await self._ask_price(self._config.models.default)
        except ProviderUnavailable:
            return "unreachable"
        refused = answer.status in {HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN}
        return "refused" if refused else "ok" if answer.ok else "unreachable"

    async def find(self, staged_url: str, *, since: float, model: ModelSpec = MODELS.default) -> SearchResult:
        """Implement `core.ports.Upscaler.find`.

        Conclusive if the listing was read to its end and had every request's input. Whether fal lists requests that
        are still waiting or running is not documented, so an empty listing alone proves nothing about a recent one.
        """
        params = {
            "endpoint_id": model.endpoint,
            "start": _iso(since - CLOCK_SKEW_S),
            "expand": "payloads",
            "limit": str(PAGE_SIZE),
        }
        is_complete, running = True, list[str]()
        self._last_refusal = None
        try:
            async for item in self._entries("/models/requests/by-endpoint", params, "items", "api"):
                sent = item.get("json_input")
                is_complete = is_complete and isinstance(sent, dict)
                request_id = valid_request_id(item.get("request_id"))
                if request_id is not None and item.get("ended_at") is None:
                    running.append(request_id)
                if not isinstance(sent, dict) or not is_staged(sent.get("image_url"), staged_url):
                    continue
                if request_id is not None:
                    return SearchResult(request_id, conclusive=True)
        except ProviderError:
            # A later search, or a webhook, may still find the request.
            possible = bool(self._config.public_url) or self._last_refusal not in _FINAL_REFUSALS
            return SearchResult(None, conclusive=False, possible=possible)
        return SearchResult(None, conclusive=is_complete, running=tuple(running))

    async def billing_events(self, start: float, end: float) -> Sequence[BillingEvent] | None:
        """Implement `core.ports.Upscaler.billing_events`. Needs the admin key; at most 90 days.

        An event of a request that is listed twice, such as on two pages as others came meanwhile, counts once.
        """
        if self._config.admin_key is None:
            return None
        window = {"start": _iso(start), "end": _iso(end), "limit": "1000"}
        ours = sorted({model.endpoint for model in self._config.models.known if model.backend == "fal"})
        listed = [
            _billing_event(item, end)
            for endpoint in ours
            async for item in self._entries(
                "/models/billing-events", {**window, "endpoint_id": endpoint}, "billing_events", "admin"
            )
        ]
        unnamed = [event for event in listed if not event.request_id]
        return [*unnamed, *dict.fromkeys(event for event in listed if event.request_id)]

    async def credit(self) -> int | None:
        """Return the account's credit in nano-dollars; None without an admin key or a clear answer."""
        if self._config.admin_key is None:
            return None
        url = self._transport.url("api", "/account/billing", {"expand": "credits"})
        answer = await self._transport.read("GET", url, key="admin")
        return _nanousd(answer.at("credits", "current_balance")) if answer.ok else None

    async def takes_work_again(self, halted: ProviderHalted) -> bool:
        return await self.check_key() == "ok" if halted.kind == "key" else (await self.credit() or 0) > 0

    async def erase(self, request_id: str) -> None:
        """Implement `core.ports.Upscaler.erase`. Without an admin key, the files expire by their lifetime instead."""
        if self._config.admin_key is None:
            return
        url = self._transport.url("api", f"/models/requests/{path_segment(request_id)}/payloads")
        headers = {"Idempotency-Key": f"erase-{request_id}"}
        answer = await self._transport.read("DELETE", url, key="admin", headers=headers)
        if not answer.ok and answer.status != HTTPStatus.NOT_FOUND:
            raise ProviderUnavailable

    async def _entries(
        self, path: str, params: dict[str, str], name: str, key: KeyKind
    ) -> AsyncIterator[Mapping[str, Any]]:
        """Yield every entry of every page. Raises ProviderUnavailable if not all pages can be read."""
        cursor: str | None = None
        for _ in range(MAX_PAGES):
            query = params if cursor is None else {**params, "cursor": cursor}
            answer = await self._transport.read("GET", self._transport.url("api", path, query), key=key)
            data = answer.data() if answer.ok else None
            if not isinstance(listed := dig(data, name), list):
                self._last_refusal = answer.status
                raise ProviderUnavailable
            for item in objects(listed):
                yield item
            cursor = dig(data, "next_cursor")
            if not dig(data, "has_more") or not isinstance(cursor, str):
                return
        raise ProviderUnavailable


def _iso(at: float) -> str:
    return datetime.fromtimestamp(at, UTC).isoformat()


def _decimal(value: Any) -> Decimal | None:
    # `str` of a long integer takes quadratic time.
    good = isinstance(value, float | str) or (isinstance(value, int) and abs(value) <= MAX_NUMBER)
    return bounded_number(str(value)) if good else None


def _nanousd(value: Any) -> int | None:
    usd = _decimal(value)
    return None if usd is None or usd > MAX_BILLED_UNITS else int((usd * NANOUSD_PER_USD).to_integral_value())


def _billing_event(item: Mapping[str, Any], end: float) -> BillingEvent:
    """The event; without a cost if it or the units are unreadable, and at `end` if its time is."""
    units = _decimal(item.get("output_units"))
    cost = _decimal(item.get("cost_estimate_nano_usd"))
    nanousd = int(cost) if cost is not None else _nanousd(item.get("cost_total"))
    if units is None or units > MAX_BILLED_UNITS:
        units, nanousd = Decimal(0), None
    try:
        at = datetime.fromisoformat(str(item.get("timestamp"))).timestamp()
    except ValueError:
        at = end
    return BillingEvent(valid_request_id(item.get("request_id")) or "", at, units, nanousd)
