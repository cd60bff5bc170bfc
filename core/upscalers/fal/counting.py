"""Counts every request to fal by call and outcome, for the metrics. Nothing else may depend on it."""

from __future__ import annotations

from types import SimpleNamespace

import aiohttp
from yarl import URL

from core.ports import Metrics

_BY_ENDING = (
    ("/storage/auth/token", "token"),
    ("/storage/upload/initiate", "initiate"),
    ("/files/upload", "upload"),
    ("/status/stream", "stream"),
    ("/status", "status"),
    ("/cancel", "cancel"),
    ("/models/pricing", "price"),
    ("/models/requests/by-endpoint", "find"),
    ("/models/billing-events", "billing_events"),
    ("/account/billing", "credit"),
    ("/payloads", "erase"),
    ("/.well-known/jwks.json", "webhook_keys"),
)


def call_name(method: str, url: URL) -> str:
    """Which call an address is, in a handful of words; never anything of the address itself."""
    path = url.path
    for ending, name in _BY_ENDING:
        if path.endswith(ending):
            return name
    if "/requests/" in path:
        return "result"
    return {"POST": "submit", "PUT": "store"}.get(method, "download")


def counting(metrics: Metrics) -> aiohttp.TraceConfig:
    """A trace that reports each request once, when its answer begins or its failure is known."""

    async def ended(_s: aiohttp.ClientSession, _c: SimpleNamespace, p: aiohttp.TraceRequestEndParams) -> None:
        status = p.response.status
        metrics.provider_request(call_name(p.method, p.url), "ok" if status < 400 else f"http_{status}")

    async def failed(_s: aiohttp.ClientSession, _c: SimpleNamespace, p: aiohttp.TraceRequestExceptionParams) -> None:
        metrics.provider_request(call_name(p.method, p.url), "network")

    trace = aiohttp.TraceConfig()
    trace.on_request_end.append(ended)
    trace.on_request_exception.append(failed)
    return trace
