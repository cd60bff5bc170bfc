"""The final edit of a job's message, and the obligations: messages that still have to be edited or removed.

An obligation is a row until the platform accepts the call, for days, whichever processes end meanwhile. The job's own
run makes the final edit first (`steps.fail`); if the row is still there later, any process takes it.
"""

import asyncio
from collections.abc import Awaitable, Callable
from functools import partial
from typing import Literal, TypeAlias

import structlog

from core.domain import errors
from core.domain.job import Job, JobState, Requester
from core.jobs.context import INTERRUPTIONS, JobContext
from core.jobs.reply_state import posted_messages
from core.ports import Obligation, RemovesMessages, RepeatsFinalEdit, Reply, owning
from core.presentation import Notice, explain
from core.presentation.texts.delivery_texts import undelivered_notice
from core.presentation.texts.failure_texts import cancelled_notice

log = structlog.get_logger(__name__)

FIRST_EDIT_WAIT_S = 1.0
"""How long to wait for the platform's answer to the job's first message before money is spent."""

_BATCH = 50
_TIMEOUT_S = 100.0
"""Shorter than the lease of a row that was taken."""

_SETTLED_AFTER_S = 20.0
"""This long after a job's end the delivery state in its row is complete, even if the database was unavailable."""

_MAX_UNFORESEEN_TRIES = 12
"""Tries of a call that fails with an unforeseen error: each one might post a message again."""

EndKind: TypeAlias = Literal["announce", "again"]


def closing_call(ctx: JobContext, job: Job, *, again: bool = False) -> Callable[[], Awaitable[object]] | None:
    """The call that makes the final edit of the job's message; None if the delivered image is the final state."""
    reply = ctx.running.reply(job)
    if again:
        if not isinstance(reply, RepeatsFinalEdit) or job.images_deleted:
            return None
        reply = reply.final_edit_only()
    if not job.needs_closing_message:
        return (lambda: _show_again(ctx, job, reply)) if again else None
    if job.state is JobState.SUCCEEDED or job.has_image:
        notice = undelivered_notice(job)
        return lambda: reply.closed(job, notice)
    failure = notice_for(job)
    return lambda: reply.failed(job, failure)


async def _show_again(ctx: JobContext, job: Job, reply: Reply) -> None:
    await reply.finished(job, await ctx.ledger.statuses(job.requester, job.parameters.model))


async def check_place(ctx: JobContext, job: Job) -> None:
    """Raise PlaceRefused if the job's message can be posted nowhere. Call before the paid call."""
    loop = ctx.running.loops.get(job.id)
    if loop is None:
        return
    refusal = await loop.refusal(FIRST_EDIT_WAIT_S)
    if refusal is not None and not await ctx.running.reply(job).reachable(job):
        raise errors.PlaceRefused from refusal


def notice_for(job: Job) -> Notice:
    locale = job.requester.locale
    if job.error is not None:
        return error_notice(job.error, locale, job)
    return undelivered_notice(job) if job.has_image else cancelled_notice(job, locale)


def error_notice(error: errors.UpscaleError, locale: str, job: Job | None, actor: Requester | None = None) -> Notice:
    reader = job.requester if job else actor
    command = quota_command(reader) if reader else ""
    moderated = reader is None or bool(reader.workspace_id)
    told = partial(explain, error, locale, quota_command=command, has_moderators=moderated)
    return told() if job is None else told(reference=job.id, receipt=job.receipt)


def quota_command(reader: Requester) -> str:
    if not reader.is_operator:
        return ""
    return "/quota set …" if reader.platform == "web" else "python -m bot quota set …"


async def announce_end(ctx: JobContext, job: Job, *, kind: EndKind = "announce", tries: int = 1) -> None:
    """Make the final edit of the job's message, unless the delivered image is the final state."""
    obligation_id, call = f"{job.id}:{kind}", closing_call(ctx, job, again=kind == "again")
    if call is None:
        await ctx.obligations.fulfil(obligation_id)
    else:
        await _attempt(ctx, obligation_id, job.id, call, tries)


async def _attempt(
    ctx: JobContext, obligation_id: str, job_id: str, call: Callable[[], Awaitable[object]], tries: int
) -> None:
    """Make the call, and delete the obligation or postpone it."""
    try:
        async with asyncio.timeout(_TIMEOUT_S):
            await ctx.confirm_owner(job_id)
            await call()
    except INTERRUPTIONS:
        raise
    except errors.DeliveryRefused as refusal:
        log.info("obligation_refused", job=job_id, reason=refusal.reason)
    except (errors.DeliveryUnavailable, TimeoutError) as away:
        await ctx.obligations.postpone(obligation_id, asked_s=getattr(away, "retry_after_s", None))
        return
    except Exception as error:
        if isinstance(error, errors.ResultExpired):  # another process may have the result
            log.info("picture_not_here", job=job_id, tries=tries)
        else:
            log.exception("obligation_broke", job=job_id, tries=tries)
        if tries < _MAX_UNFORESEEN_TRIES:
            await ctx.obligations.postpone(obligation_id)
            return
    await ctx.obligations.fulfil(obligation_id)


async def fulfil_due(ctx: JobContext, here: set[str]) -> None:
    """Attempt all obligations that are due, concurrently, except final edits of jobs of which a step runs `here`."""
    due = await ctx.obligations.take_due(_BATCH)
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
    """Whether the job is unfinished, or its delivery state may still be incomplete or an edit still on its way."""
    return job.finished_at is None or ctx.clock.now() < job.finished_at + _SETTLED_AFTER_S


async def _announce(ctx: JobContext, owed: Obligation, kind: EndKind) -> None:
    if kind == "again" and (job := await ctx.store.get(owed.job_id)) is not None and _just_ended(ctx, job):
        await ctx.obligations.postpone(owed.id)
        return
    token = ctx.lease.token
    try:
        job = await ctx.store.claim(owed.job_id, token)
    except errors.JobNotFound:  # erased meanwhile
        await ctx.obligations.fulfil(owed.id)
        return
    with owning(job.id, token):
        await announce_end(ctx, job, kind=kind, tries=owed.tries)


async def _remove(ctx: JobContext, owed: Obligation) -> None:
    adapter = ctx.adapter(owed.platform)
    if owed.kind == "stray" and (job := await ctx.store.get(owed.job_id)) is not None:
        if _just_ended(ctx, job):
            await ctx.obligations.postpone(owed.id)  # the job's run may find this message and go on using it
            return
        if owed.data in posted_messages(adapter, job, await ctx.store.delivery_state(job.id)):
            await ctx.obligations.fulfil(owed.id)
            return
    if isinstance(adapter, RemovesMessages):
        await _attempt(ctx, owed.id, owed.job_id, lambda: adapter.remove_message(owed.data), tries=0)
    else:
        await ctx.obligations.fulfil(owed.id)
