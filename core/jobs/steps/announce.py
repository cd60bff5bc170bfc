"""Close the job's message in words: why there is no picture, or where the picture went."""

from __future__ import annotations

import structlog

from core.domain.errors import DeliveryRefused, DeliveryUnavailable
from core.domain.job import Job, JobState
from core.jobs.context import INTERRUPTIONS, Next, Tools
from core.jobs.endings import last_words
from core.jobs.steps.deliver import PAUSES
from core.jobs.steps.fail import close_question
from core.net.retry import retry

log = structlog.get_logger(__name__)

_BROKEN_TRIES = 3


async def announce(tools: Tools, job: Job) -> Next:
    """Close the job's message in words; tried again while the platform is away."""
    if job.state is JobState.AWAITING_CONFIRMATION:
        job = await close_question(tools, job)
    if not job.state.terminal:
        return "end"  # agreed to in the last moment: it goes on elsewhere
    await tools.quiet(job.id)
    say = last_words(tools, job)
    if say is None:
        return "end"

    async def post() -> None:
        await tools.before_effect(job.id)
        await say()

    try:
        await retry(post, clock=tools.clock, pause=_pause_s, within_s=tools.settings.announce_retry_s)
    except INTERRUPTIONS:
        raise
    except DeliveryRefused as refusal:
        log.info("announce_refused", job=job.id, reason=refusal.reason)
    except DeliveryUnavailable:
        log.warning("announce_given_up", job=job.id)
    except Exception:
        log.exception("announce_broke", job=job.id)
    return "end"


def _pause_s(error: Exception, attempt: int) -> float | None:
    if isinstance(error, DeliveryUnavailable):
        return PAUSES.pause_s(attempt, error.retry_after_s)
    if isinstance(error, (DeliveryRefused, *INTERRUPTIONS)) or attempt >= _BROKEN_TRIES:
        return None
    return PAUSES.pause_s(attempt)
