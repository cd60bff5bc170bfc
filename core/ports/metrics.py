"""What the core tells about itself, in numbers.

Implemented in `bot.observability.metrics`; the core knows no metrics library.
"""

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
    """A sink for figures. Every call is cheap, never waits and never raises."""

    def job(self, platform: str, state: str) -> None:
        """One job reached this state (`accepted`, or a value of `JobState`)."""

    def stage(self, stage: str, seconds_s: float, job_id: str) -> None:
        """One step of the pipeline (`prepare`, `hold`, `submit`, `wait`, `collect`, `deliver` …) took this long."""

    def provider_request(self, call: str, outcome: str) -> None:
        """One request to the provider: which call, and `ok` or the error's code."""

    def delivered(self, platform: str, shape: str) -> None:
        """One result reached its member in this shape (`core.domain.job.DeliveryKind`)."""

    def money(self, kind: Literal["held", "charged", "released"], nanousd: int) -> None:
        """Money was held, charged or given back."""

    def gauge(self, name: GaugeName, value: float) -> None:
        """A figure that goes up and down; the unit is in its name."""

    def incident(self, area: str) -> None:
        """Something unforeseen was caught in this area."""
