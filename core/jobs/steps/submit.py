"""Make the one paid call.

A mark in the job's row says how far the call got: `intent` (nothing is sent yet), `sending` (connected, bytes may be
sent from now on), `sent` (the request id is known). A process that finds `sending` without an id searches for the
request at the provider, and posts again only if it certainly did not arrive.

A mark is set by compare-and-set on the mark before it, and only by the row's owner. Bytes are sent only while the
lease, confirmed before the mark was committed, is still valid.
"""

import dataclasses
from collections.abc import Awaitable, Callable, Sequence
from functools import partial

import structlog

from core.domain.errors import (
    ModelFailed,
    ProviderBusy,
    ProviderUnavailable,
    SubmitNotSent,
    SubmitUnknown,
    UpscaleError,
)
from core.domain.job import Job, Progress, Remote
from core.domain.media_types import media_type_of
from core.jobs.admission import Share
from core.jobs.context import JobContext, StepName
from core.jobs.endings import check_place
from core.jobs.steps.cancellable_retry import CancelWanted, retry_until_cancelled
from core.jobs.steps.fail import cancelled
from core.jobs.steps.long_wait import LongWait
from core.jobs.steps.pictures import ensure_input
from core.net.retry import Backoff, retry
from core.ports import LeaseUnsure, ModelInputs, NotOwner, SearchResult, awake_clock_s
from core.presentation.texts import operator_texts

log = structlog.get_logger(__name__)

_SEARCH_PAUSES = Backoff(first_s=0.5, cap_s=15.0)
_MISSING_SEARCHES = 3
"""This many listings must show a later request but not this one, before this one counts as not received."""

_MAX_RESENDS = 3
_LATER_S = 5.0
"""How much later the other request must be: a gateway may have delayed ours for this long."""

_MAX_LOOKUPS = 20
_UNSENT = ("none", "intent")
_UNNAMED = ("intent", "sending")
_IMPOSSIBLE_SEARCHES = 6
"""After this many searches, over 15 s, a provider that offers no list of requests is not asked again."""


class _NotFound(Exception):
    """The provider's list does not show the request. `possible` False: there is no list."""

    def __init__(self, *, possible: bool) -> None:
        self.possible = possible


async def submit(ctx: JobContext, job: Job) -> StepName:
    remote = job.remote or Remote(backend=ctx.provider(job).name)
    if remote.request_id:
        return "wait"
    if remote.submit == "sending":
        return await _search(ctx, job, remote, SubmitUnknown(), resends=0)
    if job.cancel_requested_by:
        return await cancelled(ctx, job)
    ctx.running.disk.paid(job.id)
    since = ctx.clock.now()
    if not remote.staged_url:
        ctx.running.show(job, Progress("waiting"))
        await ensure_input(ctx, job)
        with ctx.files.input(job.id).open("rb") as file:
            mime = media_type_of(file.read(512))

        async def stage() -> str:
            async with ctx.running.admission.uploads.slot(Share.of(job.requester)):
                return await ctx.provider(job).stage(ctx.files.input(job.id), mime, job_id=job.id)

        within_s, passing = ctx.settings.submit_retry_s, (ProviderUnavailable, ProviderBusy)
        url = await retry_until_cancelled(
            ctx, job, stage, awaits="accept", since=since, within_s=within_s, passing=passing
        )
        remote = dataclasses.replace(remote, staged_url=url)
        await ctx.files.share_later(ctx.files.source(job.id), ctx.files.input(job.id))
    await check_place(ctx, job)
    return await _post(ctx, job, remote, since=since, resends=0)


async def _post(
    ctx: JobContext, job: Job, remote: Remote, *, since: float, resends: int, before: Sequence[str] = _UNSENT
) -> StepName:
    """Post until the request has certainly arrived, is certainly refused, or may have arrived.

    `before`: marks that the first intent may replace. If the mark was changed meanwhile (by a webhook that named the
    request), the step starts again from the row.
    """

    async def once() -> StepName:
        nonlocal before
        if (await ctx.load(job.id)).cancel_requested_by:
            raise CancelWanted
        intent = dataclasses.replace(remote, submit="intent", intent_at=ctx.clock.now())
        if await ctx.store.mark_submit(job.id, before, intent) is None:
            return "submit"
        before = _UNSENT
        try:
            model = ctx.model(job)
            inputs = ModelInputs(model, model.request(job.parameters, intent.staged_url))
            sending = _marker(ctx, job, intent)
            request_id = await ctx.provider(job).submit(inputs, job_id=job.id, on_sending=sending)
        except SubmitUnknown as unknown:
            return await _search(ctx, job, intent, unknown, resends=resends)
        except UpscaleError as error:  # certainly not accepted: back to `intent`
            if await ctx.store.mark_submit(job.id, _UNNAMED, intent) is None:
                return "submit"
            if isinstance(error, ModelFailed):  # by a model that has not run: perhaps every job is refused
                ctx.operator.tell("submit", partial(operator_texts.submit_refused, job.id, error.kind))
            raise
        return await _sent(ctx, job, intent, request_id)

    within_s, passing = ctx.settings.submit_retry_s, (SubmitNotSent, ProviderBusy)
    return await retry_until_cancelled(ctx, job, once, awaits="accept", since=since, within_s=within_s, passing=passing)


def _marker(ctx: JobContext, job: Job, remote: Remote) -> Callable[[], Awaitable[None]]:
    async def on_sending() -> None:
        try:
            safe_until_s = await ctx.lease.confirm()
        except LeaseUnsure as unsure:
            raise SubmitNotSent from unsure
        if await ctx.store.mark_submit(job.id, ("intent",), dataclasses.replace(remote, submit="sending")) is None:
            raise NotOwner
        if awake_clock_s() >= safe_until_s:  # suspended or slow: another process may have the job
            await ctx.store.mark_submit(job.id, ("sending",), remote)
            raise SubmitNotSent

    return on_sending


async def _sent(ctx: JobContext, job: Job, remote: Remote, request_id: str) -> StepName:
    sent = dataclasses.replace(remote, submit="sent", request_id=request_id)
    if await ctx.store.mark_submit(job.id, ("sending",), sent) is None:
        return "submit"  # a webhook stored it first
    log.info("submitted", job=job.id, request=request_id)
    return "wait"


async def _search(ctx: JobContext, job: Job, remote: Remote, unknown: SubmitUnknown, *, resends: int) -> StepName:
    """Search for a request that may have arrived.

    If the listing shows a later request of ours that is running, but not this one, the job is posted again, a bounded
    number of times. Otherwise the job fails uncharged; `reconcile` lists the request if it turns up later.
    """
    log.warning("submit_unknown", job=job.id)
    started_at, within_s = ctx.clock.now(), ctx.settings.submit_search_s
    waits = LongWait(ctx, job, Progress("waiting", awaits="search", until_at=started_at + within_s), started_at)
    missing = 0

    async def look() -> StepName:
        nonlocal missing
        current = await ctx.load(job.id)
        if current.remote is not None and current.remote.request_id:  # a webhook named it
            return "wait"
        found = await ctx.provider(job).find(remote.staged_url, since=remote.intent_at, model=ctx.model(job))
        if found.request_id is not None:
            log.info("submit_found", job=job.id, request=found.request_id)
            return await _sent(ctx, job, remote, found.request_id)
        missing += found.conclusive and await _shows_later_ones(ctx, remote, found)
        if missing >= _MISSING_SEARCHES and resends < _MAX_RESENDS:
            return await _post(ctx, job, remote, since=ctx.clock.now(), resends=resends + 1, before=("sending",))
        raise _NotFound(possible=found.possible)

    def pause(error: Exception, attempt: int) -> float | None:
        if not isinstance(error, _NotFound) or (not error.possible and attempt >= _IMPOSSIBLE_SEARCHES):
            return None
        pause_s = _SEARCH_PAUSES.pause_s(attempt)
        waits.sleeping(pause_s)
        return pause_s

    try:
        with waits:
            return await retry(look, clock=ctx.clock, pause=pause, within_s=within_s)
    except _NotFound:
        unclear = dataclasses.replace(remote, submit="sending", possible_double=True)
        if await ctx.store.mark_submit(job.id, ("sending",), unclear) is None:
            return "submit"  # a webhook named it meanwhile
        raise unknown from None


async def _shows_later_ones(ctx: JobContext, remote: Remote, found: SearchResult) -> bool:
    for request_id in found.running[:_MAX_LOOKUPS]:
        other = await ctx.store.by_request_id(request_id)
        if other is not None and other.remote is not None and other.remote.intent_at > remote.intent_at + _LATER_S:
            return True
    return False
