"""The platform API: prices, models, request listing, billing events, credit, erasure (OpenAPI v1, 2026-08-21)."""

from __future__ import annotations

import time
from datetime import UTC, datetime
from decimal import Decimal
from typing import TYPE_CHECKING, Any

from aiohttp import web

from tests.emulators.fal.state import FalJob
from tests.typed import unwrap

if TYPE_CHECKING:
    from tests.emulators.fal.server import FalEmulator, Handler


def routes(fal: FalEmulator) -> list[tuple[str, str, str, str, Handler]]:
    api = PlatformApi(fal)
    return [
        ("api", "pricing", "GET", "/v1/models/pricing", api.pricing),
        ("api", "by_endpoint", "GET", "/v1/models/requests/by-endpoint", api.by_endpoint),
        ("api", "billing_events", "GET", "/v1/models/billing-events", api.billing_events),
        ("api", "billing", "GET", "/v1/account/billing", api.billing),
        ("api", "erase", "DELETE", "/v1/models/requests/{id}/payloads", api.erase),
    ]


def _error(status: int, kind: str, message: str) -> web.Response:
    return web.json_response({"error": {"type": kind, "message": message, "request_id": "api-1"}}, status=status)


class PlatformApi:
    def __init__(self, fal: FalEmulator) -> None:
        self._fal = fal

    def _refuse(self, request: web.Request, *, admin: bool = False) -> web.Response | None:
        header = request.headers.get("Authorization", "")
        key = header.removeprefix("Key ")
        if not header.startswith("Key ") or key not in self._fal.api_keys | self._fal.admin_keys:
            return _error(401, "authorization_error", "Authentication required")
        if admin and key not in self._fal.admin_keys:
            return _error(403, "authorization_error", "Access denied")
        return None

    async def pricing(self, request: web.Request) -> web.StreamResponse:
        if refusal := self._refuse(request):
            return refusal
        endpoints = [e for e in request.query.get("endpoint_id", "").split(",") if e]
        if not 1 <= len(endpoints) <= 50:
            return _error(400, "validation_error", "endpoint_id: 1 to 50")
        prices = [
            {"endpoint_id": e, "unit_price": self._fal.price_of(e), "unit": "megapixels", "currency": "USD"}
            for e in endpoints
            if e in self._fal.schemas
        ]
        return web.json_response({"prices": prices, "next_cursor": None, "has_more": False})

    async def by_endpoint(self, request: web.Request) -> web.StreamResponse:
        if refusal := self._refuse(request):
            return refusal
        query = request.query
        known = {"endpoint_id", "start", "end", "status", "request_id", "expand", "limit", "cursor"}
        if not query.get("endpoint_id") or set(query) - known:
            return _error(400, "validation_error", "endpoint_id is required; unknown fields are refused")
        limit = int(query.get("limit", "50"))
        if not 1 <= limit <= 100:
            return _error(400, "validation_error", "limit: 1 to 100")
        start = datetime.fromisoformat(query["start"]) if "start" in query else None
        found = [j for j in self._fal.jobs.values() if self._listed(j, query, start)]
        offset = int(query.get("cursor", "0"))
        limit = min(limit, self._fal.page_limit)
        page = found[offset : offset + limit]
        more = offset + limit < len(found)
        items = [self._item(job, query.get("expand") == "payloads") for job in page]
        cursor = str(offset + limit) if more else None
        return web.json_response({"items": items, "next_cursor": cursor, "has_more": more})

    def _listed(self, job: FalJob, query: Any, start: datetime | None) -> bool:
        if job.endpoint != query["endpoint_id"] or job.removed:
            return False
        if "request_id" in query and job.request_id != query["request_id"]:
            return False
        return start is None or job.sent_at >= start

    def _item(self, job: FalJob, payloads: bool) -> dict[str, Any]:
        item: dict[str, Any] = {
            "request_id": job.request_id,
            "endpoint_id": job.endpoint,
            "sent_at": job.sent_at.isoformat(),
            "started_at": job.started_at.isoformat() if job.started_at else None,
            "ended_at": job.ended_at.isoformat() if job.ended_at else None,
            "status_code": job.result_status if job.status == "COMPLETED" else None,
            "duration": job.inference_s,
        }
        stored = job.headers.get("x-fal-store-io") != "0" and not job.erased
        if payloads and stored:
            item |= {"json_input": job.model_input, "json_output": job.result_body}
        return item

    async def billing_events(self, request: web.Request) -> web.StreamResponse:
        if refusal := self._refuse(request, admin=True):
            return refusal
        now_s = time.monotonic()
        events = []
        for job in self._fal.jobs.values():
            if request.query.get("endpoint_id", job.endpoint) != job.endpoint:
                continue
            done_s = job.completed_at_s
            if job.units is None or done_s is None or now_s - done_s < self._fal.billing_delay_s:
                continue
            events.append(self._event(job))
        return web.json_response({"billing_events": events, "next_cursor": None, "has_more": False})

    def _event(self, job: FalJob) -> dict[str, Any]:
        units, price = Decimal(job.units or "0"), Decimal(str(self._fal.price_of(job.endpoint)))
        cost = units * price
        return {
            "request_id": job.request_id,
            "endpoint_id": job.endpoint,
            "timestamp": unwrap(job.ended_at).astimezone(UTC).isoformat(),
            "output_units": float(units),
            "unit_price": float(price),
            "percent_discount": 0,
            "cost_subtotal": float(cost),
            "cost_discount": 0,
            "cost_total": float(cost),
            "cost_estimate_nano_usd": int(cost * 1_000_000_000),
        }

    async def billing(self, request: web.Request) -> web.StreamResponse:
        if refusal := self._refuse(request, admin=True):
            return refusal
        body: dict[str, Any] = {"username": "emulated-user"}
        if request.query.get("expand") == "credits":
            balance = 0.0 if self._fal.credit_exhausted else round(self._fal.credit_usd, 6)
            body["credits"] = {"current_balance": balance, "currency": "USD"}
        return web.json_response(body)

    async def erase(self, request: web.Request) -> web.StreamResponse:
        if refusal := self._refuse(request, admin=True):
            return refusal
        job = self._fal.jobs.get(request.match_info["id"])
        if job is None:
            return _error(404, "not_found", "no such request")
        job.erased = True
        results = []
        if isinstance(job.result_body, dict) and "image" in job.result_body:
            url = job.result_body["image"]["url"]
            self._fal.files.pop(url.removeprefix(self._fal.cdn_url), None)
            results.append({"link": url, "exception": None})
        return web.json_response({"cdn_delete_results": results})
