"""What every step of a job works with: the ports and settings of this process, and the jobs that it runs."""

import asyncio
import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property, partial
from typing import Literal, TypeAlias
from weakref import WeakValueDictionary

from core.budgets.prices import PriceBook
from core.domain.errors import JobNotFound
from core.domain.job import Job, JobState, Progress
from core.domain.models import MODELS, Models, ModelSpec
from core.images.service import ImageService
from core.jobs.admission import Admission
from core.jobs.disk_budget import DiskBudget, DiskShares
from core.jobs.event_bus import EventBus
from core.jobs.progress import FinishTimes, ProgressLoop
from core.jobs.reply_state import StoredReplyState, UnstoredStates
from core.net.fetch import SourceFetcher
from core.net.retry import Flag
from core.net.signed_links import FileLinks
from core.net.turns import Turns
from core.ports import ChatAdapter, Clock, Lease, LeaseUnsure, Metrics, NotOwner, OperatorAlerts, Reply, Upscaler
from core.storage.database import DATABASE_ERRORS
from core.storage.files.job_files import JobFiles
from core.storage.jobs import SqlJobStore
from core.storage.ledger import SqlLedger
from core.storage.obligations import SqlObligations

SILENT_S = 30.0
"""The job's message names what the job waits for once the wait is longer than this."""

StepName: TypeAlias = Literal["prepare", "hold", "submit", "wait", "collect", "deliver", "announce", "end"]

INTERRUPTIONS = (NotOwner, LeaseUnsure, *DATABASE_ERRORS)
"""Errors that end a run of a step and say nothing about the job: the step is run again, or by another process."""


@dataclass(frozen=True, slots=True)
class PipelineSettings:
    confirm_above_nanousd: int = 1_000_000_000
    confirm_within_s: float = 600
    download_parallel: int = 32
    pixels_parallel: int = 3
    """One more than there are image workers: while a heavy image waits for another, its worker takes light ones."""

    upload_parallel: int = 6
    disk: DiskShares = field(default_factory=DiskShares)
    fetch_parallel: int = 6
    """Concurrent downloads of results. More would not end sooner and would slow down the event loop."""

    submit_retry_s: float = 1800
    """For how long the upload, and a submit that certainly did not arrive, are retried (fal busy or unreachable)."""

    source_retry_s: float = 600
    """For how long the download of an attachment is retried while its platform is unavailable."""

    submit_search_s: float = 180
    """For how long a submit that may have arrived is searched for at the provider: three times the length of a usual
    job, because the provider may list requests only after they have ended."""

    cancel_grace_s: float = 120
    """How long to wait for the end of a cancelled request, to learn whether it is billed."""

    collect_retry_s: float = 7 * 86_400
    """How long after the submit a result is requested and fetched: as long as fal keeps it (RETENTION_DAYS)."""

    start_within_s: float = 6 * 3600
    """After this the provider gives up a request that no runner has started (fal: `FalConfig.start_timeout_s`)."""

    deliver_retry_s: float = 2 * 86_400
    """For how long delivery to an unavailable platform is retried, before the result is only kept."""

    shares_progress: bool = False
    """Store progress in the job's row, for processes that show jobs which run here."""


class RunningJobs:
    """What this process holds for the jobs that it runs: edits, cancel requests, locks, slots and shares of the disk.

    Lost with the process; whoever resumes a job starts anew.
    """

    def __init__(self, ctx: "JobContext") -> None:
        settings = ctx.settings
        self._ctx = ctx
        self.loops: dict[str, ProgressLoop] = {}
        self.unstored = UnstoredStates(ctx.store, ctx.lease, ctx.obligations, ctx.adapter)
        self.slot_freed = asyncio.Event()
        self.step_starts = Turns()
        self.disk = DiskBudget(ctx.files.data_dir / "jobs", settings.disk, ctx.store.owners_of)
        self.admission = Admission(
            downloads=settings.download_parallel, pixels=settings.pixels_parallel, uploads=settings.upload_parallel
        )
        self.fetch_slots = asyncio.Semaphore(settings.fetch_parallel)
        self._cancels: WeakValueDictionary[str, Flag] = WeakValueDictionary()
        self._locks: WeakValueDictionary[str, asyncio.Lock] = WeakValueDictionary()

    def cancel_event(self, job_id: str) -> Flag:
        """The flag that ends a wait of this job here; it exists while somebody holds it. The row says the same."""
        return self._cancels.setdefault(job_id, Flag())

    def lock(self, name: str) -> asyncio.Lock:
        """The lock of this name in this process; it exists while somebody holds or awaits it."""
        return self._locks.setdefault(name, asyncio.Lock())

    def wake_waiting_jobs(self) -> None:
        self.slot_freed.set()
        self.slot_freed = asyncio.Event()

    def reply(self, job: Job) -> Reply:
        return self._ctx.adapter(job.reply.platform).reply(job.reply, StoredReplyState(self.unstored, job))

    def show(self, job: Job, progress: Progress) -> None:
        """Publish the progress to followers and to the job's message. Never waits."""
        ctx, job = self._ctx, dataclasses.replace(job, progress=progress)
        ctx.event_bus.publish(job)
        loop = self.loops.get(job.id)
        if loop is None:
            loop = self.loops[job.id] = ProgressLoop(
                self.reply(job),
                ctx.clock,
                min_interval_s=ctx.adapter(job.reply.platform).min_edit_interval_s,
                check_owner=partial(ctx.store.check_owner, job.id),
                share=self._store_progress if ctx.settings.shares_progress else None,
                late=ctx.obligations.owe_restating,
            )
        loop.show(job, progress)

    async def _store_progress(self, job: Job, progress: Progress) -> None:
        # Not during delivery: its retries are counted from the row's last change.
        await self._ctx.store.transition(job.id, (JobState.QUEUED, JobState.RUNNING), progress=progress)

    async def stop_edits(self, job_id: str) -> bool:
        """Stop this process's progress edits of the job; True if an edit made before may still take effect."""
        loop = self.loops.pop(job_id, None)
        return loop is not None and await loop.stop()

    async def stop_progress(self, job: Job) -> None:
        """The same; the final edit is repeated later where an earlier edit, here or elsewhere, may overwrite it."""
        unsure = await self.stop_edits(job.id)
        if unsure or job.id in self._ctx.store.taken_over:
            await self._ctx.obligations.owe_restating(job)
            self._ctx.store.taken_over.discard(job.id)

    def publish_end(self, job: Job) -> None:
        self._ctx.metrics.job(job.requester.platform, job.state.value)
        self._ctx.event_bus.publish(job)


@dataclass(frozen=True)
class JobContext:
    """The ports and settings that a process's jobs are run with."""

    store: SqlJobStore
    obligations: SqlObligations
    ledger: SqlLedger
    upscaler: Upscaler
    images: ImageService
    sources: SourceFetcher
    files: JobFiles
    event_bus: EventBus
    prices: PriceBook
    finish_times: FinishTimes
    clock: Clock
    adapters: Mapping[str, ChatAdapter]
    fallback_adapter: ChatAdapter
    links: FileLinks
    metrics: Metrics
    operator: OperatorAlerts
    lease: Lease
    settings: PipelineSettings = PipelineSettings()
    models: Models = MODELS
    other_providers: Mapping[str, Upscaler] = field(default_factory=dict)
    """Providers by the backend that models and jobs name; `upscaler` serves every other."""

    @cached_property
    def running(self) -> RunningJobs:
        return RunningJobs(self)

    async def load(self, job_id: str) -> Job:
        """The job's stored snapshot. Raises JobNotFound."""
        job = await self.store.get(job_id)
        if job is None:
            raise JobNotFound
        return job

    def model(self, job: Job) -> ModelSpec:
        """Raises ModelFailed if the job's model no longer exists."""
        return self.models.of(job.parameters)

    def provider(self, job: Job) -> Upscaler:
        """The provider that has the job's request, or else that of its model."""
        backend = job.remote.backend if job.remote is not None else self.model(job).backend
        return self.other_providers.get(backend, self.upscaler)

    async def confirm_owner(self, job_id: str) -> None:
        """Call before anything is posted. Raises NotOwner if another process has the job, LeaseUnsure."""
        await self.lease.confirm()
        await self.store.check_owner(job_id)

    def adapter(self, platform: str) -> ChatAdapter:
        """The platform's adapter, or one that shows nothing if the platform is not configured (any more)."""
        return self.adapters.get(platform, self.fallback_adapter)
