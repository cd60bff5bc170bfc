"""The image files of a job on this machine (source, input, result), downloaded again where they are missing."""

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
from core.jobs.steps.cancellable_retry import retry_until_cancelled

log = structlog.get_logger(__name__)


async def ensure_input(ctx: JobContext, job: Job) -> None:
    async with ctx.running.lock(f"input:{job.id}"):
        if not await ctx.files.ensure_local(ctx.files.input(job.id)):
            await read_picture(ctx, job, ctx.running.admission.uploads)


async def read_picture(ctx: JobContext, job: Job, downloads: FairQueue) -> InputFacts:
    """Download and prepare the source, each in a slot. Retries of an attachment wait outside the slot."""
    source, share = ctx.files.source(job.id), Share.of(job.requester)

    async def fetch() -> tuple[str, int]:
        async with downloads.slot(share):
            return await _fetch(ctx, job, source)

    within_s = ctx.settings.source_retry_s if job.source.kind == "attachment" else 0.0
    since = ctx.clock.now()
    sha256, n_bytes = await retry_until_cancelled(
        ctx, job, fetch, awaits="source", since=since, within_s=within_s, passing=(DownloadFailed,)
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
    """Download the source to `dest` unless it is there; its SHA-256 and size in bytes.

    Jobs that are made from this one may need it at the same time.
    """
    async with ctx.running.lock(f"source:{job.id}"):
        if not await ctx.files.ensure_local(dest):
            part = dest.with_suffix(".part")  # complete or absent, also after a crash
            await _download(ctx, job, part)
            part.replace(dest)
    return await ctx.files.digest(dest)


async def _download(ctx: JobContext, job: Job, part: Path) -> None:
    source = job.source
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
    """The path of the result, downloaded from the object store or again from the provider. Raises ResultExpired."""
    if job.result is None or job.images_deleted:
        raise ResultExpired
    path = ctx.files.absolute(job.result.path)
    async with ctx.running.lock(f"result:{job.id}"):
        if await ctx.files.ensure_local(path):
            return path
        if job.remote is None or not job.remote.image_url:
            raise ResultExpired
        path.parent.mkdir(parents=True, exist_ok=True)
        part = path.with_name("result.part")  # nobody may read a partial file, or metadata
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
    """Convert the result to sRGB and the requested size, and restore the transparency and density of its source.

    If the source is gone, they are not restored. A result smaller than requested is not resized (note `other_size`).
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
    """The largest size accepted for a result: 8 bytes for each expected pixel, at least 50 MB."""
    expected = job.quote.megapixels if job.quote is not None else 100
    return max(50_000_000, expected * 8_000_000)
