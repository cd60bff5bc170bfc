"""What can happen to a job, as a closed union. A job's stream ends with exactly one terminal event.

Each event carries the job's snapshot after it, so a consumer that sees only the newest one misses nothing.
"""

from dataclasses import dataclass
from typing import TypeAlias

from core.domain.job import Job, Progress


@dataclass(frozen=True, slots=True, kw_only=True)
class _Event:
    id: int
    """Strictly increasing within a job, also over restarts: milliseconds of unix time, or one more than the last."""

    job: Job


@dataclass(frozen=True, slots=True, kw_only=True)
class PriceAsked(_Event):
    """The job waits for its requester to agree to the price in `job.quote`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Progressed(_Event):
    """Accepted, preparing, waiting, upscaling, or delivering; see `progress`."""

    progress: Progress


@dataclass(frozen=True, slots=True, kw_only=True)
class Finished(_Event):
    """Terminal: the result is delivered, or kept for `history` where it could not be (`job.delivery`)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Failed(_Event):
    """Terminal: `job.error` says why, `job.receipt` whether it was charged. Also a refusal (`job.state`)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Cancelled(_Event):
    """Terminal: stopped by a person, or not confirmed in time; `job.receipt` says what it cost."""


JobEvent: TypeAlias = PriceAsked | Progressed | Finished | Failed | Cancelled
