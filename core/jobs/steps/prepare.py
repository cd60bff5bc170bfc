"""First step: bring the picture in, read it, look for earlier work, price it, and ask where it is dear."""

from __future__ import annotations

import dataclasses
import hashlib
from collections.abc import Callable
from pathlib import Path

import structlog

from core.budgets.fit import refusal
from core.domain import money
from core.domain.errors import DownloadFailed, ModelError, ProviderError, ResultExpired, UpscaleError
from core.domain.job import InputFacts, Job, JobState, Progress, Quote, Receipt, Result
from core.domain.models import DEFAULT_MODEL
from core.images.service import StrippedResult, check_output
from core.jobs.admission import FairQueue, Share
from core.jobs.context import Next, Tools
from core.jobs.steps.fail import cancelled_before_submit
from core.ports import NotOwner

log = structlog.get_logger(__name__)


async def prepare(tools: Tools, job: Job) -> Next:
    """Stage the source on disk, fill `job.input` and `job.quote`, and decide how to go on."""
    if job.confirm_by_at is not None and job.state is not JobState.AWAITING_CONFIRMATION:
        return "end"  # already agreed to: the second half of the job has it
    if job.cancel_requested_by:
        return await cancelled_before_submit(tools, job)
    share = Share.of(job.requester)
    async with tools.admission.unpriced.slot(share, waits=_tell_wait(tools, job)) as waited:
        if waited:
            job = await tools.load(job.id)
            if job.state.terminal:
                return "end"
            if job.cancel_requested_by:
                return await cancelled_before_submit(tools, job)
        return await _price(tools, job)


def _tell_wait(tools: Tools, job: Job) -> Callable[[int], object]:
    return lambda before: tools.show(job, Progress("turn", position=before))


async def _price(tools: Tools, job: Job) -> Next:
    """Read the picture, look for earlier work, and price it."""
    member = Share.of(job.requester).member
    tools.disk.forget(job.id)  # of an earlier run of this step
    await tools.disk.check(member)
    tools.show(job, Progress("preparing"))
    facts = await _read_picture(tools, job, tools.admission.downloads)
    tools.disk.count(job.id, member, await tools.files.size(job.id))
    check_output(facts.width_px, facts.height_px, job.parameters.factor, tools.images.limits)
    fingerprint = _fingerprint(tools, job, facts)
    earlier = await tools.store.earlier_result(fingerprint, job.requester)
    if earlier is not None and earlier.id == job.id:
        raise NotOwner  # ended by another process since this step began: its files are the result's
    if earlier is not None and earlier.result is not None and await _take_over(tools, job, facts, earlier):
        return "deliver"
    quote = await _quote(tools, job, facts)
    job = await tools.store.update(job.id, input=facts, quote=quote, fingerprint=fingerprint)
    # Say no before asking: the hold decides for good, but nobody should confirm a price that cannot be held.
    if tools.upscaler.real_money and (refused := refusal(quote, quote.left)) is not None:
        raise refused
    if quote.needs_confirmation:
        return await _ask(tools, job)
    return "hold"


async def ensure_input(tools: Tools, job: Job) -> None:
    """The prepared picture on this machine: made again where another machine made it."""
    async with tools.lock(f"input:{job.id}"):
        if not tools.files.input(job.id).exists():
            await _read_picture(tools, job, tools.admission.uploads)


async def _read_picture(tools: Tools, job: Job, downloads: FairQueue) -> InputFacts:
    """Fetch the source in a slot of `downloads`, then prepare it in one for pixel work."""
    source, share = tools.files.source(job.id), Share.of(job.requester)
    async with downloads.slot(share):
        sha256, n_bytes = await _fetch(tools, job, source)
    async with tools.admission.pixels.slot(share):
        prepared = await tools.images.prepare(source, tools.files.input(job.id))
    return InputFacts(
        format=prepared.source.format,
        width_px=prepared.width_px,
        height_px=prepared.height_px,
        bytes=n_bytes,
        sha256=sha256,
        notes=prepared.notes,
    )


async def _fetch(tools: Tools, job: Job, dest: Path) -> tuple[str, int]:
    """The source's bytes to `dest`; their SHA-256 and number. A copy that is already there is used again."""
    source = job.source
    if dest.exists():
        return await tools.files.digest(dest)
    part = dest.with_suffix(".part")  # a download that a crash cut short must not pass for the picture
    if source.kind == "link":
        await tools.sources.fetch_link(source.url, part)
    elif source.kind == "attachment":
        download = await tools.adapter(job.reply.platform).download(source)
        await tools.sources.fetch_trusted(download.url, part, download.headers, download.hosts)
    else:
        await tools.files.copy(await _local(tools, job), part)
    part.replace(dest)
    return await tools.files.digest(dest)


async def _local(tools: Tools, job: Job) -> Path:
    """Where an upload, or an earlier job's picture, lies on this machine."""
    if job.source.kind != "upload":
        return await _earlier_picture(tools, job)
    path = tools.files.absolute(job.source.path)
    if not path.exists():
        raise DownloadFailed(reason="gone")
    return path


async def _earlier_picture(tools: Tools, job: Job) -> Path:
    earlier = await tools.load(job.source.job_id)
    if earlier.images_deleted:
        raise ResultExpired
    if job.source.kind == "job_result":
        return await ensure_result(tools, earlier)
    path = tools.files.source(earlier.id)
    if not path.exists():
        await _fetch(tools, earlier, path)
    return path


async def ensure_result(tools: Tools, job: Job) -> Path:
    """The full result on this machine, fetched again from the provider if another machine made it."""
    if job.result is None or job.images_deleted:
        raise ResultExpired
    path = tools.files.absolute(job.result.path)
    async with tools.lock(f"result:{job.id}"):
        if path.exists():
            return path
        if job.remote is None or not job.remote.image_url:
            raise ResultExpired
        path.parent.mkdir(parents=True, exist_ok=True)
        part = path.with_name("result.part")  # nobody may see half a picture, or one that still has its metadata
        await tools.upscaler.fetch(job.remote.image_url, part, max_bytes=max_result_bytes(job))
        await like_its_source(tools, job, await tools.images.strip_result(part))
        part.replace(path)
    return path


async def like_its_source(tools: Tools, job: Job, result: StrippedResult) -> StrippedResult:
    """The result in sRGB with the transparency and the density of its source; without them where that is gone."""
    source = tools.files.source(job.id)
    transparent = job.input is not None and "alpha_flattened" in job.input.notes
    try:
        if transparent and not source.exists():
            await _fetch(tools, job, source)
        return await tools.images.postprocess(result, source if source.exists() else None, transparent=transparent)
    except (UpscaleError, OSError) as error:
        log.warning("source_traits_not_restored", job=job.id, error=str(error))
        return result


def max_result_bytes(job: Job) -> int:
    """A bound for the result's file: 8 bytes for every pixel expected, at least 50 MB."""
    expected = job.quote.megapixels if job.quote is not None else 100
    return max(50_000_000, expected * 8_000_000)


def _fingerprint(tools: Tools, job: Job, facts: InputFacts) -> str:
    """The same for the same bytes, model, parameters and seed on the same backend."""
    asked = job.parameters.as_text().removeprefix(f"model={DEFAULT_MODEL} ")  # as 0.1.0 wrote it, for its results
    text = f"{tools.upscaler.name}|{facts.sha256}|{asked}"
    return hashlib.sha256(text.encode()).hexdigest()


async def _take_over(tools: Tools, job: Job, facts: InputFacts, earlier: Job) -> bool:
    """Make the earlier job's result this one's, free; False if its file is gone after all."""
    if earlier.result is None:
        return False
    try:
        path = await ensure_result(tools, earlier)
    except (ProviderError, ModelError):
        return False
    own = tools.files.result(job.id, earlier.result.mime)
    await tools.files.copy(path, own)
    link = tools.links.link(job.id, own.name) or earlier.result.link
    result: Result = dataclasses.replace(
        earlier.result, path=tools.files.relative(own), link=link, repeat_of=earlier.result.repeat_of or earlier.id
    )
    await tools.store.update(
        job.id,
        input=facts,
        quote=earlier.quote,
        remote=dataclasses.replace(earlier.remote, request_id="") if earlier.remote else None,
        result=result,
        receipt=Receipt(0, 0, "repeat", play_money=not tools.upscaler.real_money),
        state=JobState.DELIVERING,
    )
    return True


async def _quote(tools: Tools, job: Job, facts: InputFacts) -> Quote:
    price = await tools.prices.unit_price(tools.model(job))
    quote = money.quote(facts.width_px, facts.height_px, job.parameters.factor, price)
    left = await tools.ledger.statuses(job.requester)
    agreed = max(job.confirmed_nanousd, tools.settings.confirm_above_nanousd)
    return dataclasses.replace(quote, left=left, needs_confirmation=quote.estimate_nanousd > agreed)


async def _ask(tools: Tools, job: Job) -> Next:
    by = tools.clock.now() + tools.settings.confirm_within_s
    asked = await tools.store.transition(
        job.id, (JobState.QUEUED,), state=JobState.AWAITING_CONFIRMATION, confirm_by_at=by, progress=None
    )
    if asked is None and job.state is not JobState.AWAITING_CONFIRMATION:
        return "end"
    job = asked or job
    await tools.quiet(job.id)
    tools.feed.publish(job)
    await tools.reply(job).ask(job)
    return "end"
