"""Hand the picture over, or keep it where no place takes it."""

from __future__ import annotations

import structlog

from core.domain.errors import DeliveryRefused, DeliveryUnavailable
from core.domain.job import Delivery, Job, JobState, Receipt
from core.domain.limits import LimitStatus
from core.jobs.context import INTERRUPTIONS, Next, Tools
from core.net.retry import Backoff, retry

log = structlog.get_logger(__name__)

_BROKEN_DELIVERIES = 3
PAUSES = Backoff(first_s=1.0, cap_s=300.0)


async def deliver(tools: Tools, job: Job) -> Next:
    """Hand the picture over, trying again while the platform is away; at last it is kept for `history`."""
    if job.state.terminal:
        return "announce"
    await tools.running.quiet(job.id)
    left = await tools.ledger.statuses(job.requester, job.parameters.model)
    delivery = await _deliver(tools, job, left)
    receipt = job.receipt or Receipt(0, 0, "none")
    job = await tools.store.update(
        job.id,
        state=JobState.SUCCEEDED,
        delivery=delivery,
        receipt=receipt,
        progress=None,
        finished_at=tools.clock.now(),
    )
    tools.running.ended(job.id)
    tools.metrics.job(job.requester.platform, job.state.value)
    tools.metrics.delivered(job.requester.platform, delivery.shape)
    tools.event_bus.publish(job)
    log.info(
        "job_ended", job=job.id, state=job.state.value, delivery=delivery.shape, charged_nanousd=receipt.charged_nanousd
    )
    return "announce" if job.needs_last_words else "end"


async def _deliver(tools: Tools, job: Job, left: tuple[LimitStatus, ...]) -> Delivery:
    reply = tools.reply(job)
    broken = 0

    async def post() -> Delivery:
        await tools.before_effect(job.id)
        return await reply.finished(job, left)

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
        return PAUSES.pause_s(attempt) if broken < _BROKEN_DELIVERIES else None

    try:
        return await retry(
            post,
            clock=tools.clock,
            pause=pause,
            within_s=max(0.0, job.updated_at + tools.settings.deliver_retry_s - tools.clock.now()),
        )
    except INTERRUPTIONS:
        raise
    except Exception:  # told above; a picture that was paid for is never lost to a bug in the way of showing it
        return Delivery("kept")
