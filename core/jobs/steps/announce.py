"""Say in the job's message why there is no picture."""

from __future__ import annotations

import structlog

from core.domain.errors import (
    DeliveryRefused,
    DeliveryUnavailable,
)
from core.domain.job import Job, JobState
from core.jobs.context import Next, Tools
from core.jobs.steps.backoff import backoff_s
from core.jobs.steps.fail import close_question

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
    deadline = tools.clock.now() + tools.settings.announce_retry_s
    for attempt in range(1000):
        try:
            await reply.failed(job, notice)
        except DeliveryRefused as refusal:
            log.info("announce_refused", job=job.id, reason=refusal.reason)
        except DeliveryUnavailable as away:
            pause_s = backoff_s(attempt, away.retry_after_s)
            if tools.clock.now() + pause_s <= deadline:
                await tools.clock.sleep(pause_s)
                continue
            log.warning("announce_given_up", job=job.id)
        except Exception:
            log.exception("announce_broke", job=job.id)
        break
    return "end"
