"""Make the one paid call.

The submit is written down in three marks on the job's row: `intent` (about to, nothing left yet), `sending` (the
connection stands, bytes may leave from now on), `sent` (the request id is known). A process that finds `sending`
without an id looks for the request at the provider and never posts again unless it surely did not arrive.

Every mark is set only over the mark before it, by the process that owns the row; and the bytes leave only while its
lease, confirmed before the mark was committed, cannot have been taken by another.
"""

from __future__ import annotations

import asyncio
import dataclasses
import random
from collections.abc import Awaitable, Callable, Sequence

import structlog

from core.domain.errors import ProviderBusy, SubmitNotSent, SubmitUnknown, UpscaleError
from core.domain.job import Awaited, Job, Progress, Remote
from core.domain.media_types import media_type_of
from core.jobs.admission import Share
from core.jobs.context import SILENT_S, Next, Tools
from core.jobs.endings import check_place
from core.jobs.steps.fail import cancelled_before_submit
from core.jobs.steps.prepare import ensure_input
from core.ports import Found, ModelInputs, NotOwner
from core.ports.ownership import LeaseUnsure, awake_clock_s

log = structlog.get_logger(__name__)

_SEARCH_PAUSES_S = (0.5, 1.0, 2.0, 4.0, 8.0, 15.0)
_MISSING_SEARCHES = 3
"""So many listings must have shown a later request, and not this one, before it counts as never made."""

_MOST_RESENDS = 3
_LATER_S = 5.0
"""By how much another request must be the later one: so long may a gateway have held ours back."""

_LOOKED_AT = 20
_UNSENT = ("none", "intent")
_UNNAMED = ("intent", "sending")
_IMPOSSIBLE_SEARCHES = 6
"""After so many, over a quarter of a minute, a provider that shows no list of requests is taken at its word."""


async def submit(tools: Tools, job: Job) -> Next:
    """Upload the picture and submit once. Ends with the request id on the row."""
    remote = job.remote or Remote(backend=tools.upscaler.name)
    if remote.request_id:
        return "wait"
    if remote.submit == "sending":
        return await _search(tools, job, remote, SubmitUnknown(), resends=0)
    if job.cancel_requested_by or tools.cancel_event(job.id).is_set():
        return await cancelled_before_submit(tools, job)
    tools.disk.paid(job.id)
    if not remote.staged_url:
        tools.show(job, Progress("waiting"))
        await ensure_input(tools, job)
        mime = _media_type(tools, job)
        async with tools.admission.uploads.slot(Share.of(job.requester)):
            url = await tools.upscaler.stage(tools.files.input(job.id), mime, job_id=job.id)
        remote = dataclasses.replace(remote, staged_url=url)
    await check_place(tools, job)
    return await _post(tools, job, remote, resends=0)


def _media_type(tools: Tools, job: Job) -> str:
    with tools.files.input(job.id).open("rb") as file:
        return media_type_of(file.read(512))


async def _post(tools: Tools, job: Job, remote: Remote, *, resends: int, before: Sequence[str] = _UNSENT) -> Next:
    """Post until the request surely arrived, surely was refused, or may have arrived.

    `before` are the marks that the first intent may follow. A mark that somebody else has moved on (a webhook that
    named the request) ends this here: the step then begins again from the row.
    """
    deadline = tools.clock.now() + tools.settings.submit_retry_s
    attempt = 0
    while True:
        job = await tools.load(job.id)
        if job.cancel_requested_by:
            return await cancelled_before_submit(tools, job)
        remote = dataclasses.replace(remote, submit="intent", intent_at=tools.clock.now())
        if await tools.store.mark_submit(job.id, before, remote) is None:
            return "submit"
        before = _UNSENT
        try:
            request_id = await tools.upscaler.submit(
                _inputs(tools, job, remote), job_id=job.id, on_sending=_marker(tools, job, remote)
            )
        except SubmitUnknown as unknown:
            return await _search(tools, job, remote, unknown, resends=resends)
        except (SubmitNotSent, ProviderBusy) as refusal:
            if await tools.store.mark_submit(job.id, _UNNAMED, remote) is None:  # surely not taken: back to `intent`
                return "submit"
            attempt += 1
            pause_s = _pause(refusal, attempt)
            if tools.clock.now() + pause_s > deadline:
                raise
            _tell_wait(tools, job, "accept", pause_s, since=deadline - tools.settings.submit_retry_s, until=deadline)
            await _pause_or_cancel(tools, job.id, pause_s)
        except UpscaleError:
            await tools.store.mark_submit(job.id, _UNNAMED, remote)
            raise
        else:
            return await _sent(tools, job, remote, request_id)


def _marker(tools: Tools, job: Job, remote: Remote) -> Callable[[], Awaitable[None]]:
    async def on_sending() -> None:
        try:
            safe_until_s = await tools.lease.confirm()
        except LeaseUnsure as unsure:
            raise SubmitNotSent from unsure
        if await tools.store.mark_submit(job.id, ("intent",), dataclasses.replace(remote, submit="sending")) is None:
            raise NotOwner
        if awake_clock_s() >= safe_until_s:  # stopped, or very slow: another may have been given the job meanwhile
            await tools.store.mark_submit(job.id, ("sending",), remote)
            raise SubmitNotSent

    return on_sending


def _pause(refusal: UpscaleError, attempt: int) -> float:
    """What fal asks for, else 1, 2, 4 … 30 s with jitter."""
    asked = refusal.retry_after_s if isinstance(refusal, ProviderBusy) else None
    backoff = min(30.0, 2.0 ** (attempt - 1))
    return min(120.0, asked) if asked is not None else backoff * random.uniform(0.75, 1.25)


def _tell_wait(tools: Tools, job: Job, awaits: Awaited, pause_s: float, *, since: float, until: float) -> None:
    """A wait for somebody else that will have lasted `SILENT_S` is told in the job's message."""
    if tools.clock.now() + pause_s - since > SILENT_S:
        tools.show(job, Progress("waiting", awaits=awaits, until_at=until))


async def _pause_or_cancel(tools: Tools, job_id: str, pause_s: float) -> None:
    cancel = asyncio.ensure_future(tools.cancel_event(job_id).wait())
    sleep = asyncio.ensure_future(tools.clock.sleep(pause_s))
    try:
        await asyncio.wait({cancel, sleep}, return_when=asyncio.FIRST_COMPLETED)
    finally:
        cancel.cancel()
        sleep.cancel()


def _inputs(tools: Tools, job: Job, remote: Remote) -> ModelInputs:
    model = tools.model(job)
    return ModelInputs(model, model.request(job.parameters, remote.staged_url))


async def _sent(tools: Tools, job: Job, remote: Remote, request_id: str) -> Next:
    sent = dataclasses.replace(remote, submit="sent", request_id=request_id)
    if await tools.store.mark_submit(job.id, ("sending",), sent) is None:
        return "submit"  # a webhook was first
    log.info("submitted", job=job.id, request=request_id)
    return "wait"


async def _search(tools: Tools, job: Job, remote: Remote, unknown: SubmitUnknown, *, resends: int) -> Next:
    """Look for a request that may have arrived, until it is found or the search is given up.

    Not found is an answer only where the listing shows another running request of ours that was made later: then it
    is posted again, a bounded number of times. Otherwise the job fails uncharged, and a request that turns up later is
    the operator's loss, listed by `reconcile`.
    """
    log.warning("submit_unknown", job=job.id)
    deadline = tools.clock.now() + tools.settings.submit_search_s
    missing = 0
    for number in range(10_000):
        job = await tools.load(job.id)
        if job.remote is not None and job.remote.request_id:  # a webhook named it
            return "wait"
        model = tools.model(job)
        found = await tools.upscaler.find(remote.staged_url, since=remote.intent_at, model=model)
        if found.request_id is not None:
            log.info("submit_found", job=job.id, request=found.request_id)
            return await _sent(tools, job, remote, found.request_id)
        missing += found.conclusive and await _shows_later_ones(tools, remote, found)
        if not found.possible and number + 1 >= _IMPOSSIBLE_SEARCHES:
            break
        if missing >= _MISSING_SEARCHES and resends < _MOST_RESENDS:
            return await _post(tools, job, remote, resends=resends + 1, before=("sending",))
        pause_s = _SEARCH_PAUSES_S[min(number, len(_SEARCH_PAUSES_S) - 1)]
        if tools.clock.now() + pause_s > deadline:
            break
        _tell_wait(tools, job, "search", pause_s, since=deadline - tools.settings.submit_search_s, until=deadline)
        await tools.clock.sleep(pause_s)
    unclear = dataclasses.replace(remote, submit="sending", possible_double=True)
    if await tools.store.mark_submit(job.id, ("sending",), unclear) is None:
        return "submit"  # named in the last moment
    raise unknown


async def _shows_later_ones(tools: Tools, remote: Remote, found: Found) -> bool:
    """Whether the listing shows a running request of ours, by our own record, that was made after this one."""
    for request_id in found.running[:_LOOKED_AT]:
        other = await tools.store.with_request(request_id)
        if other is not None and other.remote is not None and other.remote.intent_at > remote.intent_at + _LATER_S:
            return True
    return False
