"""Say in the job's message why there is no picture."""

from __future__ import annotations

import structlog

from core.domain.errors import (
    DeliveryRefused,
    DeliveryUnavailable,
)
from core.domain.job import Job, JobState
from core.jobs.context import Next, Tools
from core.jobs.steps.deliver import PAUSES
from core.jobs.steps.fail import close_question
from core.net.retry import retry

log = structlog.get_logger(__name__)


async def announce(tools: Tools, job: Job) -> Next:
    """Say in the job's message why there is no picture."""
    if job.state is JobState.AWAITING_CONFIRMATION:
        job = await close_question(tools, job)
    if not job.state.terminal:
        return "end"  # agreed to in the last moment: it goes on elsewhere
    await tools.quiet(job.id)
    reply = tools.reply(job)
    notice = tools.notice_for(job)

    def pause(error: Exception, attempt: int) -> float | None:
        return PAUSES.pause_s(attempt, error.retry_after_s) if isinstance(error, DeliveryUnavailable) else None

    try:
        await retry(
            lambda: reply.failed(job, notice),
            clock=tools.clock,
            pause=pause,
            within_s=tools.settings.announce_retry_s,
        )
    except DeliveryRefused as refusal:
        log.info("announce_refused", job=job.id, reason=refusal.reason)
    except DeliveryUnavailable:
        log.warning("announce_given_up", job=job.id)
    except Exception:
        log.exception("announce_broke", job=job.id)
    return "end"
