"""How a job's own message ends in true words, whatever kept the picture out of it; and what is owed to messages.

An end that is not told yet, or a message that must still be removed, is a row until the platform has taken it, for
days, whatever happens to processes, runs and platforms. The job's own run tells its end first
(`steps.fail`); a row that is still there later is taken by any process.
"""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Literal, TypeAlias

import structlog

from core.domain import errors
from core.domain.job import Job, JobState, Requester
from core.jobs.context import INTERRUPTIONS, JobContext
from core.jobs.reply_state import posted
from core.ports import Obligation, RemovesMessages, RepeatsFinalEdit, Reply, owning
from core.presentation import Notice, explain
from core.presentation.texts.delivery_texts import undelivered_notice
from core.presentation.texts.failure_texts import cancelled_notice

log = structlog.get_logger(__name__)

FIRST_EDIT_WAIT_S = 1.0
"""How long a job that is about to cost money waits for the answer to its very first message."""

_AT_ONCE = 50
_WITHIN_S = 100.0
"""Less than the time for which a taken row is left alone."""

_NOTED_WITHIN_S = 20.0
"""After a job's end everything that is known of its messages is on its row, also where the database was away."""

_MOST_BROKEN = 12
"""Tries of one that fails for a reason that nobody foresaw: a message might be shown anew each time."""


EndKind: TypeAlias = Literal["announce", "again"]


def last_words(ctx: JobContext, job: Job, *, again: bool = False) -> Callable[[], Awaitable[object]] | None:
    """The call that closes the job's message; None where nothing is left to be said: the picture says everything."""
    reply = ctx.reply(job)
    if again:
        if not isinstance(reply, RepeatsFinalEdit) or job.images_deleted:
            return None
        reply = reply.final_edit_only()
    if not job.needs_closing_message:
        return (lambda: _show_again(ctx, job, reply)) if again else None
    if job.state is JobState.SUCCEEDED:
        notice = undelivered_notice(job)
        return lambda: reply.closed(job, notice)
    failure = notice_for(job)
    return lambda: reply.failed(job, failure)


async def _show_again(ctx: JobContext, job: Job, reply: Reply) -> None:
    await reply.finished(job, await ctx.ledger.statuses(job.requester, job.parameters.model))


async def check_place(ctx: JobContext, job: Job) -> None:
    """Raise PlaceRefused when no place at all takes this job's message. To be asked before anything is paid."""
    loop = ctx.running.loops.get(job.id)
    if loop is None:
        return
    refusal = await loop.refusal(FIRST_EDIT_WAIT_S)
    if refusal is not None and not await ctx.reply(job).reachable(job):
        raise errors.PlaceRefused from refusal


def notice_for(job: Job) -> Notice:
    locale = job.requester.locale
    return error_notice(job.error, locale, job) if job.error is not None else cancelled_notice(job, locale)


def error_notice(error: errors.UpscaleError, locale: str, job: Job | None, actor: Requester | None = None) -> Notice:
    who = job.requester if job else actor
    mine = quota_command(who) if who else ""
    if job is None:
        return explain(error, locale, quota_command=mine)
    return explain(error, locale, reference=job.id, receipt=job.receipt, quota_command=mine)


def quota_command(who: Requester) -> str:
    if not who.is_operator:
        return ""
    return "/quota set …" if who.platform == "web" else "python -m bot quota set …"


async def tell_end(ctx: JobContext, job: Job, *, kind: EndKind = "announce", tries: int = 1) -> None:
    """Close the job's message in words."""
    say = last_words(ctx, job, again=kind == "again")
    if say is None:
        await ctx.obligations.fulfil(f"{job.id}:{kind}")
    else:
        await _pay(ctx, f"{job.id}:{kind}", job.id, say, tries)


async def _pay(ctx: JobContext, owed_id: str, job_id: str, pay: Callable[[], Awaitable[object]], tries: int) -> None:
    """Note that it is done; or when to try again, for what nobody foresaw so often only."""
    try:
        async with asyncio.timeout(_WITHIN_S):
            await ctx.confirm_owner(job_id)
            await pay()
    except INTERRUPTIONS:
        raise
    except errors.DeliveryRefused as refusal:
        log.info("obligation_refused", job=job_id, reason=refusal.reason)
    except (errors.DeliveryUnavailable, TimeoutError) as away:
        await ctx.obligations.postpone(owed_id, asked_s=getattr(away, "retry_after_s", None))
        return
    except Exception as error:
        if isinstance(error, errors.ResultExpired):  # another process may have the picture that is to be shown again
            log.info("picture_not_here", job=job_id, tries=tries)
        else:
            log.exception("obligation_broke", job=job_id, tries=tries)
        if tries < _MOST_BROKEN:
            await ctx.obligations.postpone(owed_id)
            return
    await ctx.obligations.fulfil(owed_id)


async def fulfil_due(ctx: JobContext, here: set[str]) -> None:
    """Everything whose time has come, side by side; jobs of which a step runs `here` are left to it."""
    due = await ctx.obligations.take_due(_AT_ONCE)
    for outcome in await asyncio.gather(*(_fulfil(ctx, one, here) for one in due), return_exceptions=True):
        if isinstance(outcome, BaseException) and not isinstance(outcome, INTERRUPTIONS):
            raise outcome


async def _fulfil(ctx: JobContext, owed: Obligation, here: set[str]) -> None:
    await ctx.running.step_starts.wait(owed.job_id)
    if owed.expires_at <= ctx.clock.now():
        log.warning("obligation_given_up", job=owed.job_id, kind=owed.kind, tries=owed.tries)
        await ctx.obligations.fulfil(owed.id)
    elif owed.kind not in ("announce", "again"):
        await _remove(ctx, owed)
    elif owed.job_id not in here:
        await _announce(ctx, owed, owed.kind)


def _just_ended(ctx: JobContext, job: Job) -> bool:
    """Whether it goes on, or has ended so lately that not all may be known of it, or have come, yet."""
    return job.finished_at is None or ctx.clock.now() < job.finished_at + _NOTED_WITHIN_S


async def _announce(ctx: JobContext, owed: Obligation, kind: EndKind) -> None:
    if kind == "again" and (job := await ctx.store.get(owed.job_id)) is not None and _just_ended(ctx, job):
        await ctx.obligations.postpone(owed.id)
        return
    token = ctx.lease.token
    try:
        job = await ctx.store.claim(owed.job_id, token)
    except errors.JobNotFound:  # erased by its owner meanwhile
        await ctx.obligations.fulfil(owed.id)
        return
    with owning(job.id, token):
        await tell_end(ctx, job, kind=kind, tries=owed.tries)


async def _remove(ctx: JobContext, owed: Obligation) -> None:
    adapter = ctx.adapter(owed.platform)
    if owed.kind == "stray" and (job := await ctx.store.get(owed.job_id)) is not None:
        if _just_ended(ctx, job):
            await ctx.obligations.postpone(owed.id)  # whoever has the job may find the message, and go on with it
            return
        if owed.data in posted(adapter, job, await ctx.store.delivery_state(job.id)):
            await ctx.obligations.fulfil(owed.id)
            return
    if isinstance(adapter, RemovesMessages):
        await _pay(ctx, owed.id, owed.job_id, lambda: adapter.remove_message(owed.data), tries=0)
    else:
        await ctx.obligations.fulfil(owed.id)
