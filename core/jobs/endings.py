"""The rule that a job's own message ends in true words, whatever kept the picture out of it."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from core.domain.errors import PlaceRefused, UpscaleError
from core.domain.job import Job, JobState, Requester
from core.jobs.context import Tools
from core.presentation import Notice, explain
from core.presentation.ending_texts import ending
from core.presentation.job_texts import cancelled

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
    failure = notice_for(job)
    return lambda: reply.failed(job, failure)


async def check_place(tools: Tools, job: Job) -> None:
    """Raise PlaceRefused when no place at all takes this job's message. To be asked before anything is paid."""
    loop = tools.running.loops.get(job.id)
    if loop is None:
        return
    refusal = await loop.refusal(FIRST_EDIT_WAIT_S)
    if refusal is not None and not await tools.reply(job).reachable(job):
        raise PlaceRefused from refusal


def notice_for(job: Job) -> Notice:
    """What the job's own message says when there is no picture."""
    locale = job.requester.locale
    return error_notice(job.error, locale, job) if job.error is not None else cancelled(job, locale)


def error_notice(error: UpscaleError, locale: str, job: Job | None, actor: Requester | None = None) -> Notice:
    """The sentence for this error of a job, or of what `actor` asked for without one."""
    who = job.requester if job else actor
    mine = quota_command(who) if who else ""
    if job is None:
        return explain(error, locale, quota_command=mine)
    return explain(error, locale, reference=job.id, receipt=job.receipt, quota_command=mine)


def quota_command(who: Requester) -> str:
    """What the operator types on the page, or in the terminal, to raise a limit; nothing for anybody else."""
    if not who.is_operator:
        return ""
    return "/quota set …" if who.platform == "web" else "python -m bot quota set …"
