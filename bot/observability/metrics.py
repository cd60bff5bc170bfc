"""Prometheus metrics, implementing `core.ports.metrics.Metrics`. No label contains a person, a place or a job.

Names follow Prometheus' conventions: base units, `_total` for counters.
"""

import asyncio
from typing import Literal

from prometheus_client import (
    CollectorRegistry,
    Counter,
    Gauge,
    Histogram,
    PlatformCollector,
    ProcessCollector,
    generate_latest,
)

from bot.observability.tracing import StageSpans
from core.domain.money import NANOUSD_PER_USD
from core.ports import GaugeName

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"
_STAGE_BUCKETS_S = (0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 120, 300, 900, 3600)

LEVELS: dict[GaugeName, str] = {
    "jobs_waiting": "Jobs that are accepted and not yet at the model, over all processes.",
    "jobs_running": "Jobs at the model or being delivered, over all processes.",
    "oldest_job_seconds": "Age of the oldest unfinished job that asks nobody anything.",
    "jobs_stuck": "Unfinished jobs that are older than a job can be.",
    "processes_running_jobs": "Living processes of the roles all and worker.",
    "obligations_open": "Results and failures that their members do not know yet, and messages to be removed.",
    "budget_used_ratio": "Share of the tightest limit for everything that is used or held (1 is all).",
    "credit_usd": "Credit left at fal, where the admin key lets us ask.",
    "disk_free_bytes": "Free space where DATA_DIR lies.",
    "provider_halted": "1 while fal refuses our account, else 0.",
    "reconcile_difference_usd": "Sum of the differences that the last reconciliation found.",
    "event_loop_lag_seconds": "How late the event loop woke a timer, at worst since the last look.",
}


class PrometheusMetrics:
    """One app's metrics, in a registry of its own, so that two apps in one process do not mix."""

    def __init__(self, version: str, spans: StageSpans | None = None, role: str = "all") -> None:
        self._spans = spans
        self.registry = CollectorRegistry()
        ProcessCollector(registry=self.registry)
        PlatformCollector(registry=self.registry)
        self._jobs = self._counter("jobs", "Jobs that reached a state.", "platform", "state")
        self._provider = self._counter("provider_requests", "Requests to the provider.", "call", "outcome")
        self._deliveries = self._counter("deliveries", "Results delivered, by shape.", "platform", "shape")
        self._dollars = self._counter("usd", "Dollars held, charged and given back.", "kind")
        self._incidents = self._counter("incidents", "Unforeseen errors caught.", "area")
        self._levels: dict[GaugeName, Gauge] = {}
        for kind in ("held", "charged", "released"):
            self._dollars.labels(kind)  # from nought on, so that the first amount is an increase
        self._stages = Histogram(
            "upscale_stage_seconds",
            "Seconds that a step of a job took.",
            ["stage"],
            buckets=_STAGE_BUCKETS_S,
            registry=self.registry,
        )
        self._info = Gauge(
            "upscale_info", "Always 1; version and role are labels.", ["version", "role"], registry=self.registry
        )
        self._info.labels(version, role).set(1)

    def _counter(self, name: str, text: str, *labels: str) -> Counter:
        return Counter(f"upscale_{name}", text, labels, registry=self.registry)

    def render(self) -> bytes:
        return generate_latest(self.registry)

    def job(self, platform: str, state: str) -> None:
        self._jobs.labels(platform, state).inc()

    def stage(self, stage: str, seconds_s: float, job_id: str) -> None:
        """Record how long a step took, and send it as a span if tracing is on."""
        self._stages.labels(stage).observe(seconds_s)
        if self._spans is not None:
            self._spans.stage(stage, seconds_s, job_id)

    async def close(self) -> None:
        if self._spans is not None:
            await asyncio.to_thread(self._spans.close)

    def provider_request(self, call: str, outcome: str) -> None:
        self._provider.labels(call, outcome).inc()

    def delivered(self, platform: str, shape: str) -> None:
        self._deliveries.labels(platform, shape).inc()

    def money(self, kind: Literal["held", "charged", "released"], nanousd: int) -> None:
        self._dollars.labels(kind).inc(max(0, nanousd) / NANOUSD_PER_USD)

    def gauge(self, name: GaugeName, value: float) -> None:
        """Set a level. One that was never set is not exported: an unknown credit must not look like none left."""
        if name not in self._levels:
            self._levels[name] = Gauge(f"upscale_{name}", LEVELS[name], registry=self.registry)
        self._levels[name].set(value)

    def incident(self, area: str) -> None:
        self._incidents.labels(area).inc()
