"""Runs one step of a job, and ends the job if the step fails."""

import asyncio
import contextlib
import time
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any

import structlog

from core.domain.errors import InternalError, LedgerUnavailable, UpscaleError
from core.domain.job import Job, JobState
from core.images.pool import NoWorker
from core.jobs.context import INTERRUPTIONS, JobContext, StepName
from core.jobs.steps import collect, deliver, fail, prepare, reserve, submit, wait
from core.jobs.steps.cancellable_retry import CancelWanted
from core.net.retry import Backoff, retry
from core.ports import LeaseUnsure, owning
from core.storage.database import DATABASE_ERRORS, is_refused

log = structlog.get_logger(__name__)

Step = Callable[[JobContext, Job], Awaitable[StepName]]

_STEPS: dict[str, Step] = {
    "prepare": prepare.prepare,
    "hold": reserve.hold,
    "submit": submit.submit,
    "wait": wait.wait,
    "collect": collect.collect,
    "deliver": deliver.deliver,
    "announce": fail.announce,
}
_LONG_STEPS = {"hold", "wait", "collect"}
_PAID = {"wait", "collect"}
_TRIES = 3
_PAUSES = Backoff(first_s=5.0)
_FLUSH_TIMEOUT_S = 3.0
_ORDER: tuple[StepName, ...] = ("prepare", "hold", "submit", "wait", "collect", "deliver")


class StorageTrouble(Exception):
    """The database did not answer during a step: run the step again."""


class Pipeline:
    def __init__(self, ctx: JobContext) -> None:
        self.ctx = ctx
        self._here: dict[asyncio.Task[object], tuple[str, StepName]] = {}

    @property
    def jobs_here(self) -> set[str]:
        return {job_id for job_id, _ in self._here.values()}

    async def settle_down(self, timeout_s: float) -> None:
        """Wait at most `timeout_s` for short steps to end, such as a submit or a delivery."""
        short = [task for task, (_, step) in self._here.items() if step not in _LONG_STEPS]
        if short:
            await asyncio.wait(short, timeout=timeout_s)

    async def hand_over(self) -> None:
        """Cancel all steps and edits. The jobs stay unfinished in the database, for the next process."""
        tasks = list(self._here)
        for task in tasks:
            task.cancel()
        if tasks:
            await asyncio.wait(tasks, timeout=5)
        await asyncio.gather(*map(self.ctx.running.stop_edits, list(self.ctx.running.loops)))
        with contextlib.suppress(TimeoutError, *DATABASE_ERRORS):
            async with asyncio.timeout(_FLUSH_TIMEOUT_S):
                await self.ctx.running.unstored.flush_all()

    async def run(self, step: StepName, job_id: str, token: str | None = None, *, skip: bool = False) -> StepName:
        """Run the step, or with `skip` a later one that the job's row names; return the next. Raises NotOwner too."""
        started_at = time.monotonic()
        task = asyncio.current_task()
        assert task is not None
        self._here[task] = (job_id, step)
        _flag = self.ctx.running.cancel_event(job_id)  # held from before the row is read: no cancel is missed
        try:
            own = token or self.ctx.lease.token
            await self.ctx.running.step_starts.wait(job_id)  # many runs wake at once, such as after a group commit
            job = await self.ctx.store.claim(job_id, own)
            if skip:
                step = _later(step, job)
                self._here[task] = (job_id, step)
            with owning(job_id, own):
                return await self._guarded(step, job)
        except (*DATABASE_ERRORS, LedgerUnavailable, LeaseUnsure) as trouble:
            log.warning("step_storage_trouble", job=job_id, step=step, kind=type(trouble).__name__)
            raise StorageTrouble(step) from trouble
        finally:
            self._here.pop(task, None)
            self.ctx.metrics.stage(step, time.monotonic() - started_at, job_id)

    async def _guarded(self, step: StepName, job: Job) -> StepName:
        if job.state.terminal and step != "announce":  # ended by an earlier run of this step, or by another process
            return "announce" if job.needs_closing_message else "end"
        if job.error is not None and step != "announce":  # a crash or the ledger interrupted its end
            return await fail.end_with_error(self.ctx, job, job.error)
        try:
            return await self._try(step, job)
        except CancelWanted:
            return await fail.cancelled(self.ctx, await self.ctx.load(job.id))
        except LedgerUnavailable as closed:
            if step != "hold":
                raise
            return await self._fail(job, closed)
        except UpscaleError as error:
            return await self._fail(job, error)
        except Exception as unforeseen:
            if isinstance(unforeseen, INTERRUPTIONS) and not is_refused(unforeseen):
                raise
            log.exception("job_broke", job=job.id, step=step)
            self.ctx.metrics.incident(f"step:{step}")
            await self.ctx.store.add_incident(
                job.id, area=f"step:{step}", kind=type(unforeseen).__name__, job_id=job.id
            )
            return await self._fail(job, InternalError(reference=job.id))

    def _try(self, step: StepName, job: Job) -> Coroutine[Any, Any, StepName]:
        """Run the step. An unforeseen error is retried if the job is paid for or no image worker could be started."""
        started = False

        def pause(error: Exception, attempt: int) -> float | None:
            retries = step in _PAID or isinstance(error, NoWorker)
            if not retries or isinstance(error, (*INTERRUPTIONS, CancelWanted, UpscaleError)):
                return None
            if attempt < _TRIES:  # `_guarded` logs the last one
                log.warning("step_broke", job=job.id, step=step, attempt=attempt, exc_info=error)
            return _PAUSES.pause_s(attempt)

        async def once() -> StepName:
            nonlocal started
            known = await self.ctx.load(job.id) if started else job
            started = True
            return await _STEPS[step](self.ctx, known)

        return retry(once, clock=self.ctx.clock, pause=pause, attempts=_TRIES)

    async def _fail(self, job: Job, error: UpscaleError) -> StepName:
        """Store the error before money moves, so that a repeat ends the job in the same way."""
        current = await self.ctx.load(job.id)
        if not current.state.terminal:
            current = await self.ctx.store.update(job.id, error=error)
        return await fail.end_with_error(self.ctx, current, error)

    async def give_up(self, job: Job, error: UpscaleError) -> None:
        own = self.ctx.lease.token
        job = await self.ctx.store.claim(job.id, own)
        with owning(job.id, own):
            await self._fail(job, error)


def _later(step: StepName, job: Job) -> StepName:
    """The later of `step` and the one that the row names, so that a repeat skips what is done."""
    if step not in _ORDER or job.state.terminal:
        return step
    if step == "prepare" and job.confirm_by_at is not None:
        return step  # what follows the confirmation is a run of its own
    if step == "deliver" and job.result is None:
        return next_step(job)  # the file of the result was still being fetched
    return max(step, next_step(job), key=_ORDER.index)


def next_step(job: Job) -> StepName:
    """The step that the job's row names. Steps are idempotent, so one too early is safe."""
    if job.state is JobState.DELIVERING and job.result is not None:
        return "deliver"
    if job.remote is not None and job.remote.request_id:
        return "wait" if job.remote.made is None else "collect"
    if job.quote is not None and (not job.quote.needs_confirmation or job.confirmed_nanousd):
        return "hold"
    return "prepare"
