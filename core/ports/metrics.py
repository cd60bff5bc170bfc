"""Metrics of the core. Implemented in `bot.observability.metrics`; the core knows no metrics library."""

from typing import Literal, Protocol, TypeAlias

GaugeName: TypeAlias = Literal[
    "jobs_waiting",
    "jobs_running",
    "oldest_job_seconds",
    "jobs_stuck",
    "obligations_open",
    "processes_running_jobs",
    "budget_used_ratio",
    "credit_usd",
    "disk_free_bytes",
    "provider_halted",
    "reconcile_difference_usd",
    "event_loop_lag_seconds",
]


class Metrics(Protocol):
    """A sink for metrics. Every call is cheap, never waits and never raises."""

    def job(self, platform: str, state: str) -> None:
        """Count a job that reached `state` (`accepted`, or a value of `JobState`)."""

    def stage(self, stage: str, seconds_s: float, job_id: str) -> None:
        """Record how long a step (`prepare`, `hold`, `submit`, `wait`, `collect`, `deliver` …) took."""

    def provider_request(self, call: str, outcome: str) -> None:
        """Count a request to the provider; `outcome` is `ok` or the error's code."""

    def delivered(self, platform: str, shape: str) -> None:
        """Count a delivered result; `shape` is a `core.domain.job.DeliveryKind`."""

    def money(self, kind: Literal["held", "charged", "released"], nanousd: int) -> None:
        """Add an amount that was held, charged or released."""

    def gauge(self, name: GaugeName, value: float) -> None:
        """Set a gauge; its unit is part of its name."""

    def incident(self, area: str) -> None:
        """Count an unforeseen error that was caught in `area`."""
