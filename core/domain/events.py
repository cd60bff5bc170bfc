"""What can happen to a job, as its snapshots. A job's stream ends with exactly one terminal event."""

from dataclasses import dataclass

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
    """The job as it is after the event, so a consumer that sees only the newest one misses nothing.

    `id` is strictly increasing within a job, also over restarts: milliseconds of unix time, or one more than the last.
    """

    id: int
    job: Job

    @property
    def kind(self) -> str:
        """What has happened, by the state that it led to; `progressed` while the job is under way."""
        return _KINDS.get(self.job.state, "progressed")
