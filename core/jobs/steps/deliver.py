"""Deliver the result to the chat, or only keep it if no place accepts it."""

import asyncio

import structlog

from core.domain.errors import DeliveryError, DeliveryRefused, DeliveryUnavailable
from core.domain.job import Delivery, Job, JobState, Progress, Receipt
from core.domain.limits import LimitStatus
from core.jobs.context import INTERRUPTIONS, JobContext, StepName
from core.net.retry import Backoff, retry
from core.ports import Reply

log = structlog.get_logger(__name__)

_MAX_UNFORESEEN_ERRORS = 3
_TOLD_AFTER = 2
"""Failed tries, about seven seconds on Discord, before the job's message says that delivery is delayed."""

_EDIT_TIMEOUT_S = 10.0
PAUSES = Backoff(first_s=1.0, cap_s=300.0)


async def deliver(ctx: JobContext, job: Job) -> StepName:
    if job.state.terminal:
        return "announce"
    await ctx.running.stop_progress(job)
    left = await ctx.ledger.statuses(job.requester, job.parameters.model)
    # Nobody waits for the image of a cancelled job, and its place may not want it; it was billed, so it is kept.
    delivery = Delivery("kept") if job.cancel_requested_by else await _deliver(ctx, job, left)
    receipt = job.receipt or Receipt(0, 0, "none")
    job = await ctx.store.update(
        job.id,
        state=JobState.CANCELLED if job.cancel_requested_by else JobState.SUCCEEDED,
        delivery=delivery,
        receipt=receipt,
        progress=None,
        finished_at=ctx.clock.now(),
    )
    ctx.metrics.delivered(job.requester.platform, delivery.shape)
    ctx.running.publish_end(job)
    log.info(
        "job_ended", job=job.id, state=job.state.value, delivery=delivery.shape, charged_nanousd=receipt.charged_nanousd
    )
    return "announce" if job.needs_closing_message else "end"


async def _deliver(ctx: JobContext, job: Job, left: tuple[LimitStatus, ...]) -> Delivery:
    reply = ctx.running.reply(job)
    until_at = job.updated_at + ctx.settings.deliver_retry_s
    broken, tries, told = 0, 0, False

    async def post() -> Delivery:
        nonlocal tries, told
        await ctx.confirm_owner(job.id)
        try:
            return await reply.finished(job, left)
        except DeliveryUnavailable:
            tries += 1
            if tries >= _TOLD_AFTER and not told:
                told = await _show_delay(reply, job, until_at)
            raise

    def pause(error: Exception, attempt: int) -> float | None:
        nonlocal broken
        if isinstance(error, INTERRUPTIONS):
            return None
        if isinstance(error, DeliveryRefused):
            log.warning("delivery_refused", job=job.id, reason=error.reason)
            return None
        if isinstance(error, DeliveryUnavailable):
            pause_s = PAUSES.pause_s(attempt, error.retry_after_s)
            log.warning("delivery_unavailable", job=job.id, attempt=attempt, pause_s=round(pause_s, 1))
            return pause_s
        broken += 1
        log.error("delivery_broke", job=job.id, attempt=attempt, exc_info=error)
        return PAUSES.pause_s(attempt) if broken < _MAX_UNFORESEEN_ERRORS else None

    try:
        return await retry(post, clock=ctx.clock, pause=pause, within_s=max(0.0, until_at - ctx.clock.now()))
    except INTERRUPTIONS:
        raise
    except Exception:  # logged above; a result that was paid for is kept
        return Delivery("kept")


async def _show_delay(reply: Reply, job: Job, until_at: float) -> bool:
    """Say in the job's message that delivery is delayed; True if there is no need to try again."""
    try:
        async with asyncio.timeout(_EDIT_TIMEOUT_S):
            await reply.progress(job, Progress("delivering", awaits="chat", until_at=until_at))
    except (DeliveryError, TimeoutError) as error:
        log.info("late_delivery_not_told", job=job.id, reason=str(error) or "timeout")
        return isinstance(error, DeliveryRefused)
    return True
