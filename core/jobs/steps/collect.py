"""Read the model's answer, settle the billed units and download the file, for as long as the provider keeps it.

Only a named error of the model ends a request that was paid for. Every other error is retried with backoff, and the
job's message says what it waits for and until when.
"""

import asyncio
import dataclasses
from collections.abc import Awaitable, Callable
from decimal import Decimal
from pathlib import Path
from typing import Any, TypeVar

import structlog

from core.domain import errors
from core.domain.job import Awaited, Job, JobState, ModelOutput, Progress, Remote, Result, ResultNote
from core.domain.money import megapixels
from core.domain.similarity import Similarity
from core.images.pool import NoWorker
from core.images.service import ImageFacts, StrippedResult
from core.jobs.admission import Share
from core.jobs.context import JobContext, StepName
from core.jobs.steps.fail import charge, charge_unknown
from core.jobs.steps.long_wait import LongWait
from core.jobs.steps.pictures import like_its_source, max_result_bytes, size_asked
from core.net.file_sink import disk_is_full
from core.net.retry import Backoff, retry

log = structlog.get_logger(__name__)

T = TypeVar("T")

PASSING = (errors.ProviderUnavailable, errors.ProviderBusy, errors.ProviderHalted, errors.StorageFull, NoWorker)
_PAUSES = Backoff(first_s=2.0, cap_s=900.0, asked_cap_s=900.0)
_UNREADABLE_TRIES = 6
_UNREADABLE_PAUSES = Backoff(first_s=4.0, cap_s=60.0)
"""A complete answer that is no image is fetched again for two minutes before it counts; so is an error of ours."""

_FLAT_PX_PER_BYTE = 30
_SMALL_PX = 100_000
"""An image of one colour takes less than a byte for 30 pixels in every codec, plus a header."""

_LEAST_SIDE_PX = 16
_SIZE_TOLERANCE = 0.02
_SIZE_TOLERANCE_PX = 8
"""Models round the sides."""


async def collect(ctx: JobContext, job: Job) -> StepName:
    if job.remote is None or not job.remote.request_id:
        return "submit"
    made = job.remote.made
    if made is None:
        provider, model, request_id = ctx.provider(job), ctx.model(job), job.remote.request_id
        made = await _with_retries(ctx, job, "answer", lambda: provider.result(request_id, model))
    receipt = job.receipt
    if made.units is not None and receipt is None:
        receipt = await charge(ctx, job, made.units)
    job = await ctx.store.update(
        job.id, remote=_with_answer(job.remote, made), receipt=receipt, state=JobState.DELIVERING
    )
    ctx.running.show(job, Progress("delivering"))
    result, size_px = await _fetch(ctx, job, made)
    receipt = job.receipt or await charge(ctx, job, Decimal(megapixels(*size_px)), basis="size")
    remote = dataclasses.replace(job.remote, made=None) if job.remote is not None else None
    await ctx.store.update(job.id, result=result, receipt=receipt, remote=remote)
    ctx.running.disk.count(job.id, Share.of(job.requester).member, ctx.files.size(job.id), paid=True)
    return "deliver"


def _with_answer(remote: Remote, made: ModelOutput) -> Remote:
    """Store the answer, since the provider may forget the request before its file; not an image as a data URL."""
    if _web_link(made.image_url) is None and made.image_url[:5].lower() == "data:":
        return remote
    return dataclasses.replace(remote, image_url=made.image_url, made=made)


async def _with_retries(ctx: JobContext, job: Job, awaited: Awaited, read: Callable[[], Awaitable[T]]) -> T:
    """Call `read` with retries. Raises ResultExpired once the provider no longer keeps the result."""
    started_at = ctx.clock.now()
    sent_at = job.remote.intent_at if job.remote is not None else 0.0
    until_at = (sent_at or job.created_at) + ctx.settings.collect_retry_s
    waits = LongWait(ctx, job, Progress("delivering", awaits=awaited, until_at=until_at), started_at)
    unreadable = 0

    def pause(error: Exception, attempt: int) -> float | None:
        nonlocal unreadable
        if isinstance(error, PASSING) or disk_is_full(error):
            pause_s = _PAUSES.pause_s(attempt, error.retry_after_s if isinstance(error, errors.ProviderBusy) else None)
        elif isinstance(error, (errors.InputError, OSError)) or (
            isinstance(error, errors.ModelFailed) and error.kind == "result_file_too_large"
        ):
            unreadable += 1
            pause_s = _UNREADABLE_PAUSES.pause_s(unreadable)
            if unreadable >= _UNREADABLE_TRIES:
                return None
        else:
            return None
        log.warning("collect_delayed", job=job.id, error=str(error), pause_s=round(pause_s, 1))
        waits.sleeping(pause_s, "room" if isinstance(error, errors.StorageFull) or disk_is_full(error) else awaited)
        return pause_s

    try:
        with waits:
            return await retry(read, clock=ctx.clock, pause=pause, within_s=max(0.0, until_at - started_at))
    except PASSING as last:
        raise errors.ResultExpired from last


async def _fetch(ctx: JobContext, job: Job, made: ModelOutput) -> tuple[Result, tuple[int, int]]:
    """The result's file, and the size in pixels that the model made and bills."""
    part = ctx.files.folder(job.id) / "result.part"
    measuring: list[asyncio.Task[Similarity | None]] = []

    async def fetch() -> tuple[StrippedResult, tuple[ResultNote, ...]]:
        await _download(ctx, job, made, part)
        # Concurrent with the other work on the file.
        measuring.append(asyncio.create_task(_similarity(ctx, job, part), name=f"similarity-{job.id}"))
        found = await ctx.images.strip_result(part)
        return found, await _check_result(ctx, job, made, part, found)

    try:
        found, notes = await _with_retries(ctx, job, "file", fetch)
        size_px = _size(found.facts)
        found = await like_its_source(ctx, job, found)
        similarity = await measuring[-1]
    except (errors.ResultExpired, errors.InputError, errors.ModelFailed) as error:
        if job.receipt is None:
            await ctx.store.update(job.id, receipt=await charge_unknown(ctx, job))
        if isinstance(error, errors.InputError):
            raise errors.ModelFailed(kind="unreadable_result", billed=True) from error
        raise
    finally:
        for task in measuring:
            task.cancel()
    facts = found.facts
    path = ctx.files.result(job.id, facts.mime)
    part.replace(path)
    await ctx.files.share_later(path)
    result = Result(
        width_px=facts.width_px,
        height_px=facts.height_px,
        bytes=facts.bytes,
        mime=facts.mime,
        path=ctx.files.relative(path),
        seed=made.seed if made.seed is not None else job.parameters.seed or 0,
        inference_s=made.inference_s,
        caption=made.caption,
        link=ctx.links.file_url(job.id, path.name) or _web_link(made.image_url),
        notes=notes,
        similarity=similarity,
    )
    return result, size_px


async def _similarity(ctx: JobContext, job: Job, path: Path) -> Similarity | None:
    """None if the input is gone or cannot be compared: the delivery does not wait for it."""
    sent = ctx.files.input(job.id)
    try:
        return await ctx.images.similarity(sent, path) if sent.exists() else None
    except (errors.UpscaleError, OSError) as error:
        log.warning("similarity_not_measured", job=job.id, error=str(error))
        return None


async def _download(ctx: JobContext, job: Job, made: ModelOutput, part: Path) -> None:
    """Raises DamagedImage for an empty file."""
    async with ctx.running.fetch_slots:
        await ctx.provider(job).fetch(made.image_url, part, max_bytes=max_result_bytes(job))
    size_bytes = part.stat().st_size
    if size_bytes == 0:
        raise errors.DamagedImage
    if made.file_bytes not in (None, size_bytes):  # the provider's figure may be wrong
        log.info("result_size_not_as_told", job=job.id, told=made.file_bytes, bytes=size_bytes)


async def _check_result(
    ctx: JobContext, job: Job, made: ModelOutput, path: Path, found: StrippedResult
) -> tuple[ResultNote, ...]:
    """Notes on how the image differs from what was asked for. Raises ContentRejected, ModelFailed for a placeholder."""
    facts, quote = found.facts, job.quote
    billed: dict[str, Any] = {"billed": made.units is None or made.units != 0, "billed_units": made.units}
    expected = (quote.out_width_px, quote.out_height_px) if quote is not None else (facts.width_px, facts.height_px)
    if min(facts.width_px, facts.height_px) < _LEAST_SIDE_PX <= min(expected):
        raise errors.ModelFailed(kind="placeholder_result", **billed)
    if facts.bytes * _FLAT_PX_PER_BYTE <= facts.width_px * facts.height_px + _SMALL_PX:
        await _refuse_blank(ctx, job, made, path, billed)
    notes: list[ResultNote] = []
    exact = bool(size_asked(job))  # it is only ever reduced to fit
    if any(
        abs(got - asked) > max(_SIZE_TOLERANCE_PX, _SIZE_TOLERANCE * asked) or (exact and got < asked)
        for got, asked in zip(_size(facts), expected, strict=True)
    ):
        notes.append("other_size")
    sent = ctx.files.input(job.id)
    same_size = sent.exists() and sent.stat().st_size == facts.bytes
    if same_size and (await ctx.files.digest(sent))[0] == found.sha256:
        notes.append("unchanged")
    if made.flagged:
        notes.append("flagged")
    return tuple(notes)


def _size(facts: ImageFacts) -> tuple[int, int]:
    return facts.width_px, facts.height_px


async def _refuse_blank(ctx: JobContext, job: Job, made: ModelOutput, path: Path, billed: dict[str, Any]) -> None:
    """Raise if the result has a single colour and the input has not.

    Other upscalers at fal return a blank image as a success if their safety check refuses; this model's output has no
    field for it (fal-js, endpoints.ts, read 2026-11-22). Called only for files that are too small for a photograph.
    """
    sent = ctx.files.input(job.id)
    blank = await ctx.images.blank(path)
    if blank is None or (sent.exists() and await ctx.images.blank(sent)):
        return
    if made.flagged or (job.parameters.safety and blank == "black"):
        raise errors.ContentRejected(**billed)
    raise errors.ModelFailed(kind="flat_result", **billed)


def _web_link(url: str) -> str | None:
    return url if url.startswith(("https://", "http://")) else None
