"""Collect what the model made, settle, deliver; and announce what ended otherwise."""

from __future__ import annotations

import asyncio
import dataclasses
import random
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import TypeVar

import structlog

from core.errors import (
    ContentRejected,
    DeliveryRefused,
    DeliveryUnavailable,
    InputError,
    ModelFailed,
    ProviderBusy,
    ProviderHalted,
    ProviderUnavailable,
    ResultExpired,
)
from core.images import ImageFacts
from core.jobs import Delivery, Job, JobState, Progress, Receipt, Result
from core.limits import LimitStatus
from core.pipeline.ending import charge, charge_by_size, charge_unknown, close_question
from core.pipeline.prepare import max_result_bytes
from core.pipeline.tools import Next, Tools
from core.ports import ModelResult

log = structlog.get_logger(__name__)

T = TypeVar("T")

_BROKEN_DELIVERIES = 3
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
            pause_s = _backoff(attempt + 1, away.retry_after_s if isinstance(away, ProviderBusy) else None)
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


async def deliver(tools: Tools, job: Job) -> Next:
    """Hand the picture over, trying again while the platform is away; at last it is kept for `history`."""
    if job.state.terminal:
        return "end"
    await tools.quiet(job.id)
    left = await tools.ledger.statuses(job.requester)
    delivery = await _deliver(tools, job, left)
    receipt = job.receipt or Receipt(0, 0, "none")
    job = await tools.store.update(
        job.id,
        state=JobState.SUCCEEDED,
        delivery=delivery,
        receipt=receipt,
        progress=None,
        finished_at=tools.clock.now(),
    )
    tools.cancels.pop(job.id, None)
    tools.metrics.job(job.requester.platform, job.state.value)
    tools.metrics.delivered(job.requester.platform, delivery.shape)
    tools.feed.publish(job)
    log.info(
        "job_ended", job=job.id, state=job.state.value, delivery=delivery.shape, charged_nanousd=receipt.charged_nanousd
    )
    return "end"


async def _deliver(tools: Tools, job: Job, left: tuple[LimitStatus, ...]) -> Delivery:
    reply = tools.reply(job)
    deadline = tools.clock.now() + tools.settings.deliver_retry_s
    for attempt in range(1000):
        try:
            return await reply.finished(job, left)
        except DeliveryRefused as refusal:
            log.warning("delivery_refused", job=job.id, reason=refusal.reason)
            return Delivery("kept")
        except DeliveryUnavailable as away:
            pause_s = _backoff(attempt, away.retry_after_s)
            log.warning("delivery_unavailable", job=job.id, attempt=attempt + 1, pause_s=round(pause_s, 1))
            if tools.clock.now() + pause_s > deadline:
                return Delivery("kept")
            await tools.clock.sleep(pause_s)
        except Exception:
            # A picture that was paid for is never lost to a bug in the way of showing it.
            log.exception("delivery_broke", job=job.id, attempt=attempt + 1)
            if attempt + 1 >= _BROKEN_DELIVERIES:
                return Delivery("kept")
            await tools.clock.sleep(_backoff(attempt, None))
    return Delivery("kept")


async def announce(tools: Tools, job: Job) -> Next:
    """Say in the job's message why there is no picture."""
    if job.state is JobState.AWAITING_CONFIRMATION:
        job = await close_question(tools, job)
    if not job.state.terminal:
        return "end"  # agreed to in the last moment: it goes on elsewhere
    await tools.quiet(job.id)
    reply = tools.reply(job)
    notice = tools.notice_for(job)
    deadline = tools.clock.now() + tools.settings.announce_retry_s
    for attempt in range(1000):
        try:
            await reply.failed(job, notice)
        except DeliveryRefused as refusal:
            log.info("announce_refused", job=job.id, reason=refusal.reason)
        except DeliveryUnavailable as away:
            pause_s = _backoff(attempt, away.retry_after_s)
            if tools.clock.now() + pause_s <= deadline:
                await tools.clock.sleep(pause_s)
                continue
            log.warning("announce_given_up", job=job.id)
        except Exception:
            log.exception("announce_broke", job=job.id)
        break
    return "end"


def _backoff(attempt: int, asked_s: float | None) -> float:
    """What the platform asks for, else 1, 2, 4 … 60 s with jitter."""
    return min(120.0, asked_s) if asked_s is not None else min(60.0, 2.0**attempt) * random.uniform(0.75, 1.25)
