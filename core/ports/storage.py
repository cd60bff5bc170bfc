"""What the core keeps, and what carries jobs on. Implemented in `core.storage` and `core.engine.workflows`."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, Protocol, TypeAlias

from core.domain.job import Job, JobState, Remote, Requester


@dataclass(frozen=True, slots=True)
class OpenJobs:
    """Jobs that are under way; those that ask for agreement to a price are not counted."""

    waiting: int
    running: int
    oldest_at: float | None
    """Unix time at which the oldest of them was asked for."""


@dataclass(frozen=True, slots=True)
class OpenHere:
    """The unfinished jobs of a place, oldest first; `total` counts those beyond the listed ones too."""

    jobs: tuple[Job, ...]
    total: int


@dataclass(frozen=True, slots=True)
class Obligation:
    """Something still owed to a member's message: its job's end to be told, or a message to be removed.

    `data` is the adapter's own, for a removal. `tries` counts this one. Times are unix seconds.
    """

    id: str
    job_id: str
    kind: Literal["announce", "remove"]
    platform: str
    data: Mapping[str, Any]
    made_at: float
    expires_at: float
    tries: int


class Obligations(Protocol):
    """Rows of what is owed. The end of a job is noted by the transaction that ends it."""

    async def owe_removal(self, job: Job, data: Mapping[str, Any]) -> None:
        """Note a message that must go."""

    async def take_due(self, limit: int) -> Sequence[Obligation]:
        """Those whose time has come; nobody else is given them for two minutes."""

    async def postpone(self, obligation_id: str, *, asked_s: float | None = None) -> None:
        """Try again later, ever more seldom, and not before what the platform asked for."""

    async def fulfil(self, obligation_id: str) -> None:
        """Nothing of it is owed any more; absent is fine."""

    async def count(self) -> int:
        """How many are open."""


@dataclass(frozen=True, slots=True)
class SentRequest:
    """A job's request at the provider. Times are unix seconds."""

    job_id: str
    request_id: str
    made_at: float
    ended_at: float | None
    ended: bool


class JobStore(Protocol):
    """The jobs table. Every method is one transaction; `update` returns the new snapshot."""

    async def add(self, job: Job) -> tuple[Job, bool]:
        """Insert unless the key exists; returns the stored job and whether it is new."""

    async def get(self, job_id: str) -> Job | None:
        """One job's snapshot."""

    async def update(self, job_id: str, **changes: Any) -> Job:
        """Set these fields of `Job` and stamp `updated_at`."""

    async def claim(self, job_id: str, token: str) -> Job:
        """Make this token the row's owner and return the snapshot; `update` inside `owning` needs it.

        Raises NotOwner where the token belongs to no process that is signed in, and JobNotFound.
        """

    async def check_owner(self, job_id: str) -> None:
        """Raise NotOwner where this is `owning` the job with a token that the row no longer carries."""

    async def mark_submit(self, job_id: str, allowed: Sequence[str], remote: Remote) -> Job | None:
        """Set `remote` where the paid call's mark is one of the `allowed`; None where it is another.

        Raises NotOwner unless the row's owner is the token of this `owning` and still signed in.
        """

    async def history(
        self, who: Requester | None, *, limit: int, before: float | None = None, before_id: str = ""
    ) -> Sequence[Job]:
        """A member's newest jobs (on this platform), or everybody's, newest first.

        Those older than `before`, and those of just then whose id comes before `before_id`.
        """

    async def memo(self, job_id: str) -> dict[str, Any]:
        """The adapter's small durable notes of a job."""

    async def save_memo(self, job_id: str, memo: Mapping[str, Any]) -> None:
        """Replace them."""

    async def transition(self, job_id: str, allowed: Sequence[JobState], **changes: Any) -> Job | None:
        """Like `update`, but only out of one of the `allowed` states; None where the job is in another."""

    async def earlier_result(self, fingerprint: str, requester: Requester) -> Job | None:
        """A succeeded job with the same picture and parameters that this person may be given."""

    async def unconfirmed_before(self, now: float) -> Sequence[Job]:
        """Jobs whose price was not agreed to in time."""

    async def cancel_requests(self) -> Sequence[str]:
        """Ids of unfinished jobs that somebody wants stopped."""

    async def finished_before(self, at: float, *, limit: int = 200) -> Sequence[Job]:
        """Ended jobs whose images are still kept though they ended before `at`."""

    async def unfinished(self, *, updated_before: float) -> Sequence[str]:
        """Ids of jobs that should be moving but were not touched since `updated_before`, oldest first."""

    async def of_workspace(self, platform: str, workspace_id: str, *, after_id: str = "") -> Sequence[Job]:
        """A workspace's jobs whose images are kept, by id, some hundreds from `after_id` on."""

    async def owners_of(self, job_ids: Sequence[str]) -> Mapping[str, tuple[Requester, bool]]:
        """Who asked for these jobs, and whether they are paid for (or cost nothing); unknown ones are left out."""

    async def with_request(self, request_id: str) -> Job | None:
        """The job that this request at the provider belongs to."""

    def sent_requests(self, since: float) -> AsyncIterator[SentRequest]:
        """The requests at the provider of all jobs made since then, oldest first."""

    async def of_requests(self, request_ids: Sequence[str]) -> Sequence[SentRequest]:
        """Those of these requests that some job of ours made."""

    async def older_than_possible(self, *, working_since: float, delivering_since: float) -> tuple[int, str]:
        """How many unfinished jobs were made before these times, and the oldest one's id."""

    async def open_jobs(self) -> OpenJobs:
        """How many jobs wait and run, over all processes, and since when the oldest does."""

    async def open_in(self, workspace: tuple[str, str] | None, *, limit: int) -> OpenHere:
        """Unfinished jobs of this (platform, workspace id), or of all; also those that ask for agreement to a price."""

    async def count_takeover(self, job_id: str) -> int:
        """One more process died with this job; how many in all."""

    async def remove(self, job_id: str) -> None:
        """Delete the row; money rows live elsewhere."""

    async def add_incident(self, reference: str, *, area: str, kind: str, job_id: str) -> None:
        """Remember that something unforeseen happened."""

    async def incident(self, reference: str) -> Mapping[str, Any] | None:
        """What is known of a reference."""

    async def forget_expired(self, incidents_before: float) -> None:
        """Delete small state whose time is over, and incidents older than `incidents_before`."""


class AppState(Protocol):
    """Small durable JSON values by (area, key), encrypted at rest: command hashes, installations, defaults, locks."""

    async def get(self, area: str, key: str) -> Any | None:
        """The value, or None."""

    async def put(self, area: str, key: str, value: Any, *, ttl_s: float | None = None) -> None:
        """Store it (JSON-safe); forgotten after `ttl_s`."""

    async def delete(self, area: str, key: str) -> None:
        """Forget it; absent is fine."""

    async def keys(self, area: str) -> Sequence[str]:
        """All keys of an area."""

    async def claim(self, area: str, key: str, *, ttl_s: float) -> bool:
        """Take a named turn that nobody else (in any process) can take for `ttl_s`; False if it is taken."""


JobPart: TypeAlias = Literal["request", "confirmed", "deliver", "announce"]
"""What of a job is begun: up to the price, what follows agreement to it, a delivery alone, its last words."""


class JobEngine(Protocol):
    """Durable execution of jobs."""

    async def start(self, job_id: str, *, part: JobPart = "request") -> None:
        """Begin (or, for the same job and part, do nothing): the job will be carried on until it ends."""
