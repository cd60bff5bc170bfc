"""Events of a job. A job's stream ends with exactly one terminal event."""

from dataclasses import dataclass
from typing import Self

from core.domain.job import Job, JobState

_KINDS = {
    JobState.AWAITING_CONFIRMATION: "price_asked",
    JobState.SUCCEEDED: "finished",
    JobState.FAILED: "failed",
    JobState.REFUSED: "failed",
    JobState.CANCELLED: "cancelled",
}


@dataclass(frozen=True, slots=True)
class JobEvent:
    """A snapshot of the job after the event, so a consumer that sees only the newest one misses nothing.

    `id` increases strictly within a job, also across restarts: unix milliseconds, or the last id plus one.
    """

    id: int
    job: Job

    @classmethod
    def stored(cls, job: Job) -> Self:
        """The event of a stored row. Its id is the row's time of change, so it sorts with live events."""
        return cls(int(job.updated_at * 1000), job)

    @property
    def kind(self) -> str:
        """The event's name, from the job's state; `progressed` while the job runs."""
        return _KINDS.get(self.job.state, "progressed")
