"""The rule that a job's own message ends in true words, whatever kept the picture out of it."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from core.domain.errors import PlaceRefused
from core.domain.job import Job, JobState
from core.jobs.context import Tools
from core.presentation.ending_texts import ending

FIRST_EDIT_WAIT_S = 1.0
"""How long a job that is about to cost money waits for the answer to its very first message."""


def last_words(tools: Tools, job: Job) -> Callable[[], Awaitable[None]] | None:
    """The call that closes the job's message; None where the picture in it says everything."""
    if not job.needs_last_words:
        return None
    reply = tools.reply(job)
    if job.state is JobState.SUCCEEDED:
        notice = ending(job)
        return lambda: reply.closed(job, notice)
    failure = tools.notice_for(job)
    return lambda: reply.failed(job, failure)


async def check_place(tools: Tools, job: Job) -> None:
    """Raise PlaceRefused when no place at all takes this job's message. To be asked before anything is paid."""
    loop = tools.loops.get(job.id)
    if loop is None:
        return
    refusal = await loop.refusal(FIRST_EDIT_WAIT_S)
    if refusal is not None and not await tools.reply(job).reachable(job):
        raise PlaceRefused from refusal
