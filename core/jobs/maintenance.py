"""Periodic tasks: cancellations from other processes, expired quotes, holds, abandoned jobs, and retention.

A task that fails is logged and runs again at its next interval.
"""

import asyncio
import contextlib
import random
from collections.abc import Awaitable, Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import partial

import structlog

from core.accounts.service import Accounts
from core.domain.errors import InternalError, LedgerUnavailable, StorageUnavailable
from core.domain.job import Job, JobState
from core.engine.engine import Engine
from core.engine.work import TAKEN_AT_ONCE, Work
from core.jobs.endings import fulfil_due
from core.jobs.steps import Pipeline
from core.ports import JobPart
from core.presentation.texts import operator_texts
from core.storage.database import DATABASE_ERRORS

log = structlog.get_logger(__name__)

_MAX_TAKEOVERS = 5
"""If more processes died while they ran the job, the job is considered the cause."""

_MAX_TAKEOVERS_PAID = 100
"""A result that is paid for is fetched for days, through many restarts."""

_STALE_S = 45.0
_MAX_WORK_S = 86_400.0
"""Besides the time that fal may queue a request: slots, downloads, an unavailable provider."""

_PAGE = 500
_PARALLEL = 8
_MAX_PAGES = 100
"""In one run of a task: 50,000 jobs a minute."""

_UPLOAD_KEPT_S = 86_400
_COPIES_KEPT_S = 6 * 3600
_INCIDENTS_KEPT_S = 90 * 86_400


@dataclass(frozen=True, slots=True)
class MaintenanceTask:
    """`work` is called every `every_s` seconds, and at once when `wake` is set."""

    name: str
    every_s: float
    work: Callable[[], Awaitable[object]]
    wake: asyncio.Event | None = None


async def repeat_all(tasks: Iterable[MaintenanceTask]) -> None:
    async with asyncio.TaskGroup() as group:
        for task in tasks:
            group.create_task(_repeat(task), name=f"maintenance-{task.name}")


async def _repeat(task: MaintenanceTask) -> None:
    wake = task.wake or asyncio.Event()
    while True:
        wake.clear()
        try:
            await task.work()
        except (*DATABASE_ERRORS, LedgerUnavailable, StorageUnavailable) as trouble:
            log.warning("duty_delayed", task=task.name, kind=type(trouble).__name__)
        except Exception:
            log.exception("duty_failed", task=task.name)
        with contextlib.suppress(TimeoutError):
            # Jitter: tasks in step would all want a connection at the same moment.
            async with asyncio.timeout(task.every_s * random.uniform(0.85, 1.15)):
                await wake.wait()


class Maintenance:
    def __init__(
        self,
        pipeline: Pipeline,
        engine: Engine,
        members: Accounts,
        *,
        retention_s: float,
        work: Work,
        extra: Sequence[MaintenanceTask] = (),
    ) -> None:
        self._pipeline = pipeline
        self._ctx = pipeline.ctx
        self._engine = engine
        self._members = members
        self._retention_s = retention_s
        self.maintenance_tasks = (
            MaintenanceTask("cancels", 1, self.notice_cancels),
            MaintenanceTask("questions", 5, self.expire_questions),
            MaintenanceTask("reply_states", 3, self._ctx.running.unstored.flush_all),
            MaintenanceTask("obligations", 5, self.fulfil_obligations),
            MaintenanceTask("left", 5, engine.take_unowned, wake=work.arrived),
            MaintenanceTask("stale", 15, self.pick_up),
            MaintenanceTask("holds", 30, self.keep_holds),
            MaintenanceTask("images", 60, self.delete_old_images),
            MaintenanceTask("copies", 60, self.put_away_copies),
            MaintenanceTask("purges", 60, members.finish_purges),
            MaintenanceTask("stuck", 600, self.find_stuck),
            MaintenanceTask("expired", 3600, self.forget_expired),
            *extra,
        )

    async def notice_cancels(self) -> None:
        here = self._pipeline.jobs_here
        if not here:
            return
        for job_id in await self._ctx.store.cancel_requests():
            if job_id in here:
                self._ctx.running.cancel_event(job_id).set()

    async def expire_questions(self) -> None:
        for job in await self._ctx.store.unconfirmed_before(self._ctx.clock.now()):
            await self._engine.start(job.id, part="announce")

    async def fulfil_obligations(self) -> None:
        await fulfil_due(self._ctx, self._pipeline.jobs_here)

    async def pick_up(self) -> None:
        """Resume jobs that this process or a crash between two commits has abandoned."""
        await self._engine.resume()
        before = self._ctx.clock.now() - _STALE_S
        for job_id in await self._ctx.store.orphaned(self._ctx.lease.token, updated_before=before):
            job = await self._ctx.store.get(job_id) if job_id not in self._pipeline.jobs_here else None
            if job is not None and not job.state.terminal:
                await self.revive(job)

    async def take_over(self, process: str, token: str) -> None:
        """Run the jobs of a dead process, named by its `token`; an empty one means that it released them in order.

        A death counts against a job only if it happened inside a step of that job, not while the job waited for a slot
        or for the provider.
        """
        taken = await self._engine.take_from(token) if token else ()
        for start in range(0, len(taken), TAKEN_AT_ONCE):
            batch = taken[start : start + TAKEN_AT_ONCE]
            await self._claim(sorted({piece.job_id for piece in batch}), process)
            self._engine.run_all(batch)
        await self._engine.take_unowned()

    async def _claim(self, job_ids: Sequence[str], process: str) -> None:
        """Claim these jobs for this process, and end those that too many processes have died with."""
        store = self._ctx.store
        jobs = await store.claim_all(job_ids, self._ctx.lease.token)
        deaths = await store.count_takeovers([job.id for job in jobs if _can_kill_process(job)])
        for job in jobs:
            attempt = deaths.get(job.id, 0)
            log.info("job_taken_over", job=job.id, process=process, attempt=attempt)
            if attempt > _max_takeovers(job) and not job.state.terminal:
                await self._pipeline.give_up(job, InternalError(reference=job.id))

    async def revive(self, job: Job) -> None:
        """Resume the job from its row, or end it after too many attempts."""
        attempt = (await self._ctx.store.count_takeovers([job.id])).get(job.id, 0)
        log.warning("job_revived", job=job.id, attempt=attempt)
        if attempt > _max_takeovers(job):
            await self._pipeline.give_up(job, InternalError(reference=job.id))
            await self._engine.start(job.id, part="announce")
            return
        await self._engine.start(job.id, part=_part(job))

    async def keep_holds(self) -> None:
        await self._ctx.ledger.touch(sorted(self._pipeline.jobs_here))
        released = await self._ctx.ledger.sweep(self._ctx.store.is_unfinished)
        if released:
            log.warning("holds_swept", holds=released)
            self._ctx.running.wake_waiting_jobs()

    async def delete_old_images(self) -> None:
        now = self._ctx.clock.now()
        for _ in range(_MAX_PAGES):
            old = await self._ctx.store.finished_before(now - self._retention_s, limit=_PAGE)
            for start in range(0, len(old), _PARALLEL):
                await asyncio.gather(*map(self._erase, old[start : start + _PARALLEL]))
            if len(old) < _PAGE:
                break
        await self._ctx.files.delete_old_uploads(_UPLOAD_KEPT_S, now)
        await self._ctx.running.disk.scan()

    async def _erase(self, job: Job) -> None:
        """Delete a job's images. If they cannot be, such as files of another user, the other jobs' still are."""
        try:
            await self._members.erase_images(job)
        except (*DATABASE_ERRORS, StorageUnavailable):
            raise
        except Exception:
            log.exception("images_not_deleted", job=job.id)

    async def put_away_copies(self) -> None:
        """Delete local folders of jobs whose images are deleted, and those that the object store holds as well."""
        files, store = self._ctx.files, self._ctx.store
        unused_s = _COPIES_KEPT_S if files.are_shared else self._retention_s
        unused = await files.unused(unused_s, self._ctx.clock.now())
        for start in range(0, len(unused), _PAGE):
            ids = set(unused[start : start + _PAGE]) - self._pipeline.jobs_here
            kept = await store.keeping_images(sorted(ids))
            for job_id in ids:
                await files.put_away(job_id, kept=job_id in kept)

    async def find_stuck(self) -> None:
        """Alert the operator to jobs that are older than a job can be."""
        now, settings = self._ctx.clock.now(), self._ctx.settings
        count, oldest_id = await self._ctx.store.overdue(
            working_since=now - settings.start_within_s - _MAX_WORK_S,
            delivering_since=now - settings.collect_retry_s - settings.deliver_retry_s - _MAX_WORK_S,
        )
        self._ctx.metrics.gauge("jobs_stuck", count)
        if count:
            self._ctx.operator.tell("stuck", partial(operator_texts.stuck_jobs, count, oldest_id))

    async def forget_expired(self) -> None:
        await self._ctx.store.delete_expired(self._ctx.clock.now() - _INCIDENTS_KEPT_S)


def _part(job: Job) -> JobPart:
    """The part that an unfinished job is in, by its row; `runner.next_step` finds the step."""
    if job.state is JobState.DELIVERING:
        return "deliver"
    return "request" if job.confirm_by_at is None else "confirmed"


def _can_kill_process(job: Job) -> bool:
    """Whether the job's current work can kill a process: reading or sending its image, but not waiting."""
    if job.state in (JobState.AWAITING_CONFIRMATION, JobState.RUNNING) or job.state.terminal:
        return False
    waits_for_slot = job.quote is not None and job.remote is None
    waits_at_provider = job.state is JobState.QUEUED and job.remote is not None and bool(job.remote.request_id)
    return not (waits_for_slot or waits_at_provider)


def _max_takeovers(job: Job) -> int:
    return _MAX_TAKEOVERS if job.remote is None or job.remote.made is None else _MAX_TAKEOVERS_PAID
