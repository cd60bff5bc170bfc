"""What every step works with, and the few things they all do: load, show progress, stop it."""

import asyncio
import dataclasses
import secrets
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Literal, TypeAlias
from weakref import WeakValueDictionary

import structlog

from core.budgets.prices import PriceBook
from core.domain.errors import InternalError, JobNotFound, StorageUnavailable, UpscaleError
from core.domain.job import Job, JobState, Progress, job_id_for
from core.domain.models import MODELS, Models, ModelSpec
from core.images.service import ImageService
from core.jobs.admission import Admission
from core.jobs.disk_budget import DiskBudget, DiskShares
from core.jobs.eta import FinishTimes
from core.jobs.event_bus import EventBus
from core.jobs.progress import Flag, ProgressLoop
from core.jobs.reply_state import StoredReplyState, UnstoredStates
from core.net.fetch import SourceFetcher
from core.net.signed_links import FileLinks
from core.net.turns import Turns
from core.ports import ChatAdapter, Clock, Lease, LeaseUnsure, Metrics, NotOwner, OperatorAlerts, Reply, Upscaler
from core.storage.database import DATABASE_ERRORS
from core.storage.files.job_files import JobFiles
from core.storage.jobs import SqlJobStore
from core.storage.ledger import SqlLedger
from core.storage.obligations import SqlObligations

log = structlog.get_logger(__name__)

SILENT_S = 30.0
"""Waiting longer than this on somebody else is told in the job's message."""

StepName: TypeAlias = Literal["prepare", "hold", "submit", "wait", "collect", "deliver", "announce", "end"]

INTERRUPTIONS = (NotOwner, LeaseUnsure, *DATABASE_ERRORS)
"""What ends a run of a step without saying anything of the job."""


@dataclass(frozen=True, slots=True)
class PipelineSettings:
    """Numbers that an operator may set, and the pipeline's own bounds. Units are in the names."""

    confirm_above_nanousd: int = 1_000_000_000
    confirm_within_s: float = 600
    download_parallel: int = 32
    pixels_parallel: int = 3
    """One more than image workers: a heavy picture that waits for another leaves its worker to light ones."""

    upload_parallel: int = 6
    disk: DiskShares = field(default_factory=DiskShares)
    fetch_parallel: int = 6
    """Large results arriving side by side: more of them would be no sooner here, but the event loop less prompt."""

    submit_retry_s: float = 1800
    """How long the upload, and a submit that surely did not arrive, are tried again (fal busy, not reachable)."""

    source_retry_s: float = 600
    """How long an attachment that its platform does not hand over just now is asked for again."""

    submit_search_s: float = 180
    """How long a submit that may have arrived is searched for at the provider. Three times a usual job's length,
    because requests may be listed there only once they have ended."""

    cancel_grace_s: float = 120
    """How long the end of a cancelled request is waited for, to learn whether it is billed."""

    collect_retry_s: float = 7 * 86_400
    """How long after the submit a result is asked for and fetched: as long as fal keeps it (RETENTION_DAYS)."""

    start_within_s: float = 6 * 3600
    """When the provider gives up a request that no runner has started (fal: `FalConfig.start_timeout_s`)."""

    deliver_retry_s: float = 2 * 86_400
    """How long a platform that is away is given the picture again, before the picture is only kept."""

    shares_progress: bool = False
    """Whether other processes show jobs that run here, and so need their progress stored."""


class RunningJobs:
    """What one process keeps of the jobs that it runs; gone with it, and made anew by whoever resumes them."""

    def __init__(
        self, settings: PipelineSettings, files: JobFiles, store: SqlJobStore, unstored: UnstoredStates
    ) -> None:
        self.loops: dict[str, ProgressLoop] = {}
        self.unstored = unstored
        self.turn = asyncio.Event()
        self.step_starts = Turns()
        self.disk = DiskBudget(files.data_dir / "jobs", settings.disk, store.owners_of)
        self.admission = Admission(
            downloads=settings.download_parallel, pixels=settings.pixels_parallel, uploads=settings.upload_parallel
        )
        self.fetch_slots = asyncio.Semaphore(settings.fetch_parallel)
        self.cancels: dict[str, Flag] = {}
        self._locks: WeakValueDictionary[str, asyncio.Lock] = WeakValueDictionary()

    async def quiet(self, job_id: str) -> bool:
        """No progress edit of this job by this process after this returns; whether an earlier one may still come."""
        loop = self.loops.pop(job_id, None)
        return loop is not None and await loop.stop()

    def cancel_event(self, job_id: str) -> Flag:
        return self.cancels.get(job_id) or self.cancels.setdefault(job_id, Flag())

    def lock(self, name: str) -> asyncio.Lock:
        """One at a time in this process, by name; forgotten when nobody holds or wants it."""
        return self._locks.setdefault(name, asyncio.Lock())

    def wake_waiting_jobs(self) -> None:
        self.turn.set()
        self.turn = asyncio.Event()


@dataclass(frozen=True)
class JobContext:
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
    """Further providers, by the backend that models and jobs name; any other is `upscaler`."""

    @cached_property
    def running(self) -> RunningJobs:
        unstored = UnstoredStates(self.store, self.lease, self.obligations, self.adapter)
        return RunningJobs(self.settings, self.files, self.store, unstored)

    async def load(self, job_id: str) -> Job:
        """The job's stored snapshot. Raises JobNotFound."""
        job = await self.store.get(job_id)
        if job is None:
            raise JobNotFound
        return job

    def model(self, job: Job) -> ModelSpec:
        """The model that the job is made with. Raises ModelFailed where nobody knows it any more."""
        return self.models.of(job.parameters)

    def provider(self, job: Job) -> Upscaler:
        """Who makes the job's picture: where it was sent already, else where its model is."""
        backend = job.remote.backend if job.remote is not None else self.model(job).backend
        return self.other_providers.get(backend, self.upscaler)

    async def confirm_owner(self, job_id: str) -> None:
        """To be awaited before anything is posted or settled: raises NotOwner where another process has the job."""
        await self.lease.confirm()
        await self.store.check_owner(job_id)

    async def quiet(self, job: Job) -> None:
        """No progress edit of this job after this returns; where one may still come, its end is owed a second time."""
        unsure = await self.running.quiet(job.id)
        if unsure or job.id in self.store.taken_over:
            await self.obligations.owe_restating(job)
            self.store.taken_over.discard(job.id)

    def adapter(self, platform: str) -> ChatAdapter:
        """The platform's adapter; a silent one for a platform that is not configured (any more)."""
        return self.adapters.get(platform, self.fallback_adapter)

    def reply(self, job: Job) -> Reply:
        state = StoredReplyState(self.store, self.running.unstored, self.obligations, job)
        return self.adapter(job.reply.platform).reply(job.reply, state)

    def show(self, job: Job, progress: Progress) -> Job:
        """Tell everybody how far the job is; the returned snapshot carries the progress."""
        job = dataclasses.replace(job, progress=progress)
        self.event_bus.publish(job)
        loop = self.running.loops.get(job.id)
        if loop is None:
            interval = self.adapter(job.reply.platform).min_edit_interval_s
            loop = self.running.loops[job.id] = ProgressLoop(
                self.reply(job),
                self.clock,
                min_interval_s=interval,
                check_owner=lambda: self.store.check_owner(job.id),
                share=self._store_progress if self.settings.shares_progress else None,
                late=self.obligations.owe_restating,
            )
        loop.show(job, progress)
        return job

    def publish_end(self, job: Job) -> None:
        """Nobody can cancel it any more; everybody hears of it."""
        self.running.cancels.pop(job.id, None)
        self.metrics.job(job.requester.platform, job.state.value)
        self.event_bus.publish(job)

    async def _store_progress(self, job: Job, progress: Progress) -> None:
        # Not while it is delivered: how long that is tried counts from the row's last change.
        await self.store.transition(job.id, (JobState.QUEUED, JobState.RUNNING), progress=progress)


class Incidents:
    """What nobody foresaw: logged once, kept, and shown to people as a reference that the operator can look up."""

    def __init__(self, ctx: JobContext) -> None:
        self._ctx = ctx

    async def incident(self, area: str, error: BaseException) -> str:
        """Log the unforeseen once and return the reference that people are shown."""
        reference = job_id_for(secrets.token_hex(16))
        log.error("incident", reference=reference, area=area, exc_info=error)
        self._ctx.metrics.incident(area)
        try:
            await self._ctx.store.add_incident(reference, area=area, kind=type(error).__name__, job_id="")
        except DATABASE_ERRORS as away:
            log.error("incident_not_kept", reference=reference, kind=type(away).__name__)
        return reference

    async def unforeseen(self, area: str, error: BaseException) -> UpscaleError:
        """Whatever a handler met, as a member of the tree. A database that is away is not written to."""
        if isinstance(error, UpscaleError):
            return error
        if isinstance(error, (*DATABASE_ERRORS, ConnectionError, TimeoutError)):
            log.error("storage_unavailable", area=area, kind=type(error).__name__)
            return StorageUnavailable()
        return InternalError(reference=await self.incident(area, error))
