"""Read what the model made, settle by what was billed, and fetch the file."""

from __future__ import annotations

import asyncio
import dataclasses
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import TypeVar

import structlog

from core.domain.errors import (
    ContentRejected,
    InputError,
    ModelFailed,
    ProviderBusy,
    ProviderHalted,
    ProviderUnavailable,
    ResultExpired,
)
from core.domain.job import Job, JobState, Progress, Result
from core.images.service import ImageFacts
from core.jobs.context import Next, Tools
from core.jobs.steps.backoff import backoff_s
from core.jobs.steps.fail import charge, charge_by_size, charge_unknown
from core.jobs.steps.prepare import max_result_bytes
from core.ports import ModelResult

log = structlog.get_logger(__name__)

T = TypeVar("T")

_BLACK_PX_PER_BYTE = 30
_SMALL_PX = 100_000
"""Black costs less than a byte for 30 pixels in every codec, but for a file's head."""


async def collect(tools: Tools, job: Job) -> Next:
    """Read the outcome (or raise the model's error), settle by what was billed, and fetch the file to disk."""
    if job.remote is None or not job.remote.request_id:
        return "submit"
    request_id = job.remote.request_id
    outcome = await _patiently(tools, job, lambda: tools.upscaler.result(request_id))
    remote = dataclasses.replace(job.remote, image_url=outcome.image_url)
    receipt = job.receipt
    if outcome.billable_units is not None and receipt is None:
        receipt = await charge(tools, job, outcome.billable_units)
    job = await tools.store.update(job.id, remote=remote, receipt=receipt, state=JobState.DELIVERING)
    tools.show(job, Progress("delivering"))
    result = await _fetch(tools, job, outcome)
    receipt = job.receipt or await charge_by_size(tools, job, result.width_px, result.height_px)
    tools.release_turns()
    await tools.store.update(job.id, result=result, receipt=receipt)
    return "deliver"


async def _patiently(tools: Tools, job: Job, read: Callable[[], Awaitable[T]]) -> T:
    """Read what was paid for, again and again while fal is away or takes nothing from us at the moment."""
    deadline = tools.clock.now() + tools.settings.collect_retry_s
    for attempt in range(1000):
        try:
            return await read()
        except (ProviderUnavailable, ProviderBusy, ProviderHalted) as away:
            pause_s = backoff_s(attempt + 1, away.retry_after_s if isinstance(away, ProviderBusy) else None)
            if tools.clock.now() + pause_s > deadline:
                raise
            log.warning("collect_delayed", job=job.id, error=away.code, pause_s=round(pause_s, 1))
            await tools.clock.sleep(pause_s)
    raise ProviderUnavailable


async def _fetch(tools: Tools, job: Job, outcome: ModelResult) -> Result:
    part = tools.files.folder(job.id) / "result.part"
    try:
        most = max_result_bytes(job)

        async def fetch() -> None:
            async with tools.fetch_slots:
                await tools.upscaler.fetch(outcome.image_url, part, max_bytes=most)

        await _patiently(tools, job, fetch)
        facts = (await tools.images.strip_result(part)).facts
        await _refuse_blanked(tools, job, outcome, part, facts)
    except (ResultExpired, InputError) as error:
        if job.receipt is None:
            await tools.store.update(job.id, receipt=await charge_unknown(tools, job))
        if isinstance(error, InputError):
            raise ModelFailed(kind="unreadable_result", billed=True) from error
        raise
    path = tools.files.result(job.id, facts.mime)
    await asyncio.to_thread(part.replace, path)
    seed = outcome.seed if outcome.seed is not None else job.parameters.seed or 0
    return Result(
        width_px=facts.width_px,
        height_px=facts.height_px,
        bytes=facts.bytes,
        mime=facts.mime,
        path=tools.files.relative(path),
        seed=seed,
        inference_s=outcome.inference_s,
        caption=outcome.caption,
        link=tools.link_for(job.id, path.name) or _web_link(outcome.image_url),
    )


async def _refuse_blanked(tools: Tools, job: Job, outcome: ModelResult, path: Path, facts: ImageFacts) -> None:
    """Raise ContentRejected for a black picture where none was handed in.

    Other upscalers at fal blank what their safety check refuses and call it a success; this model's outputs have no
    field that would tell (fal-js, endpoints.ts, read 2026-11-22). Only a file far too small for a photograph is read.
    """
    if not job.parameters.safety or facts.bytes * _BLACK_PX_PER_BYTE > facts.width_px * facts.height_px + _SMALL_PX:
        return
    before = tools.files.input(job.id)
    if await tools.images.is_black(path) and not (before.exists() and await tools.images.is_black(before)):
        billed = outcome.billable_units is None or outcome.billable_units > 0
        raise ContentRejected(billed=billed, billed_units=outcome.billable_units)


def _web_link(url: str) -> str | None:
    """The provider's own address of the file, where it is one that people can open."""
    return url if url.startswith(("https://", "http://")) else None
