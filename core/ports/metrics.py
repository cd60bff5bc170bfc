"""What the core tells about itself, in numbers.

Implemented in `bot.observability.metrics`; the core knows no metrics library.
"""

from __future__ import annotations

from typing import Literal, Protocol


class Metrics(Protocol):
    """A sink for figures. Every call is cheap, never waits and never raises."""

    def job(self, platform: str, state: str) -> None:
        """One job reached this state (`accepted`, or a value of `JobState`)."""

    def stage(self, stage: str, seconds_s: float) -> None:
        """One step of the pipeline (`stage`, `hold`, `submit`, `wait`, `fetch`, `deliver` …) took this long."""

    def provider_request(self, call: str, outcome: str) -> None:
        """One request to the provider: which call, and `ok` or the error's code."""

    def delivered(self, platform: str, shape: str) -> None:
        """One result reached its member in this shape (`core.domain.job.DeliveryKind`)."""

    def money(self, kind: Literal["held", "charged", "released"], nanousd: int) -> None:
        """Money was held, charged or given back."""

    def queue(self, name: str, length: int) -> None:
        """How many are in this line now."""

    def incident(self, area: str) -> None:
        """Something unforeseen was caught in this area."""


class NoMetrics:
    """Counts nothing; for tests and for the command line."""

    def job(self, platform: str, state: str) -> None:
        """Nothing."""

    def stage(self, stage: str, seconds_s: float) -> None:
        """Nothing."""

    def provider_request(self, call: str, outcome: str) -> None:
        """Nothing."""

    def delivered(self, platform: str, shape: str) -> None:
        """Nothing."""

    def money(self, kind: Literal["held", "charged", "released"], nanousd: int) -> None:
        """Nothing."""

    def queue(self, name: str, length: int) -> None:
        """Nothing."""

    def incident(self, area: str) -> None:
        """Nothing."""
