"""The pictures of a job on this machine: source, input and result; fetched again where they are not."""

import asyncio
from pathlib import Path
from typing import Any

import structlog

from core.domain.errors import DownloadFailed, ResultExpired, UpscaleError
from core.domain.job import InputFacts, Job
from core.domain.parameters import sizes
from core.images.job_folder import link_or_copy
from core.images.service import StrippedResult
from core.jobs.admission import FairQueue, Share
from core.jobs.context import JobContext
from core.jobs.steps.patience import patiently

log = structlog.get_logger(__name__)


async def ensure_input(ctx: JobContext, job: Job) -> None:
    async with ctx.running.lock(f"input:{job.id}"):
        if not await ctx.files.ensure_local(ctx.files.input(job.id)):
            await read_picture(ctx, job, ctx.running.admission.uploads)


async def read_picture(ctx: JobContext, job: Job, downloads: FairQueue) -> InputFacts:
    """Fetch the source and prepare it, each in a slot; an attachment is waited for outside of it."""
    source, share = ctx.files.source(job.id), Share.of(job.requester)

    async def fetch() -> tuple[str, int]:
        async with downloads.slot(share):
            return await _fetch(ctx, job, source)

    patience_s = ctx.settings.source_retry_s if job.source.kind == "attachment" else 0.0
    since = ctx.clock.now()
    sha256, n_bytes = await patiently(
        ctx, job, fetch, awaits="source", since=since, within_s=patience_s, passing=(DownloadFailed,)
    )
    async with ctx.running.admission.pixels.slot(share):
        prepared = await ctx.images.prepare(source, ctx.files.input(job.id))
    return InputFacts(
        format=prepared.source.format,
        width_px=prepared.width_px,
        height_px=prepared.height_px,
        bytes=n_bytes,
        sha256=sha256,
        notes=prepared.notes,
    )


async def _fetch(ctx: JobContext, job: Job, dest: Path) -> tuple[str, int]:
    """The source's bytes to `dest`; their SHA-256 and number. A copy that is already there is used again."""
    source = job.source
    if await ctx.files.ensure_local(dest):
        return await ctx.files.digest(dest)
    part = dest.with_suffix(".part")  # a download that a crash cut short must not pass for the picture
    if source.kind == "link":
        await ctx.sources.fetch_link(source.url, part)
    elif source.kind == "attachment":
        download = await ctx.adapter(job.reply.platform).download(source)
        await ctx.sources.fetch_trusted(download.url, part, download.headers, download.hosts)
    elif source.data.get("part") == "detail":
        whole = await ctx.load(source.job_id)
        await ensure_input(ctx, whole)
        await ctx.images.crop_detail(ctx.files.input(whole.id), part, job.parameters.factor)
    else:
        await asyncio.to_thread(link_or_copy, await _local(ctx, job), part)
    part.replace(dest)
    return await ctx.files.digest(dest)


async def _local(ctx: JobContext, job: Job) -> Path:
    if job.source.kind != "upload":
        return await _earlier_picture(ctx, job)
    path = ctx.files.absolute(job.source.path)
    if not await ctx.files.ensure_local(path):
        raise DownloadFailed(reason="gone")
    return path


async def _earlier_picture(ctx: JobContext, job: Job) -> Path:
    earlier = await ctx.load(job.source.job_id)
    if earlier.images_deleted:
        raise ResultExpired
    if job.source.kind == "job_result":
        return await ensure_result(ctx, earlier)
    path = ctx.files.source(earlier.id)
    await _fetch(ctx, earlier, path)
    return path


async def ensure_result(ctx: JobContext, job: Job) -> Path:
    """The full result on this machine: from the object store, else fetched again from the provider."""
    if job.result is None or job.images_deleted:
        raise ResultExpired
    path = ctx.files.absolute(job.result.path)
    async with ctx.running.lock(f"result:{job.id}"):
        if await ctx.files.ensure_local(path):
            return path
        if job.remote is None or not job.remote.image_url:
            raise ResultExpired
        path.parent.mkdir(parents=True, exist_ok=True)
        part = path.with_name("result.part")  # nobody may see half a picture, or one that still has its metadata
        await ctx.provider(job).fetch(job.remote.image_url, part, max_bytes=max_result_bytes(job))
        await like_its_source(ctx, job, await ctx.images.strip_result(part))
        part.replace(path)
    return path


def size_asked(job: Job) -> dict[str, Any]:
    if job.parameters.to is None or job.quote is None:
        return {}
    target = sizes.target_of(job.parameters.to)
    if target.max_nanousd is not None:
        return {}
    size_px = job.quote.out_width_px, job.quote.out_height_px
    return {"size_px": size_px, "dpi": (target.dpi, target.dpi) if target.dpi is not None else None}


async def like_its_source(ctx: JobContext, job: Job, result: StrippedResult) -> StrippedResult:
    """The result in sRGB and in the exact size asked for, with the transparency and the density of its source.

    Without them where that is gone; a result that is too small for its size stays as it is, and its note says so.
    """
    source, reduction = ctx.files.source(job.id), size_asked(job)
    if reduction and any(
        got < wanted
        for got, wanted in zip((result.facts.width_px, result.facts.height_px), reduction["size_px"], strict=True)
    ):
        del reduction["size_px"]
    transparent = job.input is not None and "alpha_flattened" in job.input.notes
    try:
        if transparent and not source.exists():
            await _fetch(ctx, job, source)
        kept = source if source.exists() else None
        return await ctx.images.postprocess(result, kept, transparent=transparent, **reduction)
    except (UpscaleError, OSError) as error:
        log.warning("source_traits_not_restored", job=job.id, error=str(error))
        return result


def max_result_bytes(job: Job) -> int:
    """A bound for the result's file: 8 bytes for every pixel expected, at least 50 MB."""
    expected = job.quote.megapixels if job.quote is not None else 100
    return max(50_000_000, expected * 8_000_000)
