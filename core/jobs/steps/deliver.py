"""Hand the picture over, or keep it where no place takes it."""

from __future__ import annotations

import structlog

from core.domain.errors import (
    DeliveryRefused,
    DeliveryUnavailable,
)
from core.domain.job import Delivery, Job, JobState, Receipt
from core.domain.limits import LimitStatus
from core.jobs.context import Next, Tools
from core.jobs.steps.backoff import backoff_s

log = structlog.get_logger(__name__)

_BROKEN_DELIVERIES = 3


async def deliver(tools: Tools, job: Job) -> Next:
    """Hand the picture over, trying again while the platform is away; at last it is kept for `history`."""
    if job.state.terminal:
        return "end"
    await tools.quiet(job.id)
    left = await tools.ledger.statuses(job.requester)
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
    tools.cancels.pop(job.id, None)
    tools.metrics.job(job.requester.platform, job.state.value)
    tools.metrics.delivered(job.requester.platform, delivery.shape)
    tools.feed.publish(job)
    log.info(
        "job_ended", job=job.id, state=job.state.value, delivery=delivery.shape, charged_nanousd=receipt.charged_nanousd
    )
    return "end"


async def _deliver(tools: Tools, job: Job, left: tuple[LimitStatus, ...]) -> Delivery:
    reply = tools.reply(job)
    deadline = tools.clock.now() + tools.settings.deliver_retry_s
    for attempt in range(1000):
        try:
            return await reply.finished(job, left)
        except DeliveryRefused as refusal:
            log.warning("delivery_refused", job=job.id, reason=refusal.reason)
            return Delivery("kept")
        except DeliveryUnavailable as away:
            pause_s = backoff_s(attempt, away.retry_after_s)
            log.warning("delivery_unavailable", job=job.id, attempt=attempt + 1, pause_s=round(pause_s, 1))
            if tools.clock.now() + pause_s > deadline:
                return Delivery("kept")
            await tools.clock.sleep(pause_s)
        except Exception:
            # A picture that was paid for is never lost to a bug in the way of showing it.
            log.exception("delivery_broke", job=job.id, attempt=attempt + 1)
            if attempt + 1 >= _BROKEN_DELIVERIES:
                return Delivery("kept")
            await tools.clock.sleep(backoff_s(attempt, None))
    return Delivery("kept")
