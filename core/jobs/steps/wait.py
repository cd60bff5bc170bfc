"""Watch the request at the provider until it ends or is cancelled, and show its progress."""

import asyncio
import dataclasses

import structlog

from core.domain.errors import ModelError, ProviderError, ProviderUnavailable
from core.domain.job import Job, JobState, Progress
from core.jobs.context import JobContext, StepName
from core.jobs.steps.collect import PASSING
from core.jobs.steps.fail import billed_by, cancelled
from core.jobs.steps.long_wait import LongWait
from core.net.retry import first_of
from core.ports import CancelAnswer, RemoteCompleted, RemoteQueued, RemoteRunning, RemoteStatus, RemoteUnanswered

log = structlog.get_logger(__name__)

_PERCENT_FOR_ETA = 8.0
"""Below this percentage the end is not extrapolated from the speed."""

_LATE_S = 5.0
"""How long an expected finish time stays on display after it has passed."""

_ANSWER_S = 5.0
"""How long the answer to a cancel is waited for once the request has ended."""


class _Watcher:
    def __init__(self, ctx: JobContext, job: Job) -> None:
        self._ctx = ctx
        self.job = job
        self._megapixels = job.quote.megapixels if job.quote else 1
        self._model = job.parameters.model
        self._running_since: float | None = None
        self._shown: Progress | None = None
        self._late: asyncio.Task[None] | None = None

    async def on_status(self, status: RemoteStatus) -> None:
        if isinstance(status, RemoteCompleted):
            if self._running_since is not None:
                taken_s = self._ctx.clock.now() - self._running_since
                await self._ctx.finish_times.learn(self._megapixels, taken_s, self._model)
            return
        if isinstance(status, RemoteUnanswered):
            until_at = self._sent_at() + self._ctx.settings.collect_retry_s
            stage = self._shown.stage if self._shown is not None else "waiting"
            self._show(Progress(stage, awaits="answer", until_at=until_at))
            return
        if isinstance(status, RemoteQueued):
            self._show(self._waiting(status))
            return
        if self._running_since is None:
            self._running_since = self._ctx.clock.now()
            if self.job.state is JobState.QUEUED:
                moved = await self._ctx.store.transition(self.job.id, (JobState.QUEUED,), state=JobState.RUNNING)
                self.job = moved or self.job
        self._show(self._upscaling(status))

    def _show(self, progress: Progress) -> None:
        self._shown = progress
        self._ctx.running.show(self.job, progress)
        if progress.eta_at is not None and self._late is None:
            self._late = asyncio.create_task(self._correct_late_etas(), name=f"late-{self.job.id}")

    async def _correct_late_etas(self) -> None:
        """Remove an expected finish time once it has passed, and say how long a late start is waited for.

        A request may stay at position 0 for hours without a status event (fal-ai/fal issue 1027).
        """
        while (shown := self._shown) is not None and shown.eta_at is not None:
            await self._ctx.clock.sleep(max(1.0, shown.eta_at + _LATE_S - self._ctx.clock.now()))
            if self._shown is shown:
                self._show(self._without_eta(shown))
        self._late = None

    async def stop(self) -> None:
        late, self._late = self._late, None  # a kept task would form a cycle with its traceback
        if late is not None:
            late.cancel()
            await asyncio.gather(late, return_exceptions=True)

    def _without_eta(self, shown: Progress) -> Progress:
        if shown.stage == "waiting" and not shown.position:
            until_at = self._sent_at() + self._ctx.settings.start_within_s
            return Progress("waiting", position=shown.position, awaits="start", until_at=until_at)
        return dataclasses.replace(shown, eta_at=None)

    def _sent_at(self) -> float:
        return (self.job.remote is not None and self.job.remote.intent_at) or self.job.created_at

    def _waiting(self, status: RemoteQueued) -> Progress:
        expected_s = self._ctx.finish_times.expected_s(self._megapixels, status.position or 0, self._model)
        return Progress("waiting", position=status.position, eta_at=self._ctx.clock.now() + expected_s)

    def _upscaling(self, status: RemoteRunning) -> Progress:
        now = self._ctx.clock.now()
        since = self._running_since or now
        eta_at = since + self._ctx.finish_times.expected_s(self._megapixels, model=self._model)
        if status.percent is not None and status.percent >= _PERCENT_FOR_ETA:
            eta_at = now + (now - since) * (100 - status.percent) / status.percent
        return Progress("upscaling", percent=status.percent, eta_at=max(eta_at, now + 1))


async def wait(ctx: JobContext, job: Job) -> StepName:
    """Wait until the request has ended. A cancellation is sent to the provider; its outcome is awaited, bounded."""
    if job.remote is None or not job.remote.request_id:
        return "submit"
    if job.remote.made is not None:
        return "collect"
    request_id = job.remote.request_id
    watching = asyncio.create_task(_watch(ctx, job, request_id), name=f"watch-{job.id}")
    try:
        if not job.cancel_requested_by:
            await asyncio.wait({watching, ctx.running.cancel_event(job.id)}, return_when=asyncio.FIRST_COMPLETED)
        if not watching.done():
            now = ctx.clock.now()
            late = Progress("upscaling", awaits="answer", until_at=now + ctx.settings.cancel_grace_s)
            with LongWait(ctx, job, late, now):
                return await _stop(ctx, job, request_id, watching)
        await watching
    except ProviderUnavailable:
        log.warning("watch_given_up", job=job.id)  # it may have ended: `collect` retries for days
    finally:
        watching.cancel()
        await asyncio.gather(watching, return_exceptions=True)
    return "collect"


async def _watch(ctx: JobContext, job: Job, request_id: str) -> None:
    watcher = _Watcher(ctx, job)
    try:
        async for status in ctx.provider(job).watch(request_id, ctx.model(job)):
            await watcher.on_status(status)
    finally:
        await watcher.stop()


async def _stop(ctx: JobContext, job: Job, request_id: str, watching: asyncio.Task[None]) -> StepName:
    asking = asyncio.create_task(_ask_to_stop(ctx, job, request_id), name=f"stop-{job.id}")
    answer: CancelAnswer = "requested"
    try:  # the call may take minutes to fail, and the request end meanwhile
        await first_of(asking, watching)
        # Its answer alone says that nothing is billed, and may come just after the end of the watch.
        await asyncio.wait({asking}, timeout=min(_ANSWER_S, ctx.settings.cancel_grace_s))
        if asking.done() and (answer := asking.result()) == "removed":
            return await cancelled(ctx, job)
        await asyncio.wait({watching}, timeout=ctx.settings.cancel_grace_s)
        if not watching.done():
            return await cancelled(ctx, job, known=False)
    finally:
        asking.cancel()
        await asyncio.gather(asking, return_exceptions=True)
    try:
        await watching
        made = await ctx.provider(job).result(request_id, ctx.model(job))
    except (ModelError, ProviderError) as error:
        erased = (await ctx.load(job.id)).cancel_requested_by == "erased"
        if answer == "already_completed" and isinstance(error, PASSING) and not erased:
            return "collect"  # it was made, and is fetched once it can be had
        units, known = billed_by(error, submitted=True)
        if not known:  # may still be billed: the estimate is charged until reconciliation
            log.warning("cancelled_bill_unknown", job=job.id, error=error.code)
        return await cancelled(ctx, job, units, known=known)
    if made.units == 0 or (await ctx.load(job.id)).cancel_requested_by == "erased":
        return await cancelled(ctx, job, made.units, known=made.units is not None)
    return "collect"  # it is billed all the same, so the image is kept for its owner


async def _ask_to_stop(ctx: JobContext, job: Job, request_id: str) -> CancelAnswer:
    try:
        answer = await ctx.provider(job).cancel(request_id, ctx.model(job))
    except ProviderError as error:  # its end is awaited in any case
        log.warning("cancel_not_passed_on", job=job.id, error=error.code)
        return "requested"
    log.info("cancel_passed_on", job=job.id, answer=answer)
    return answer
