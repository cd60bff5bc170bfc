"""How a job ends without a picture: failed, refused, or cancelled; and what that costs."""

import contextlib
import dataclasses
from decimal import Decimal
from functools import partial
from typing import Literal

import structlog

from core.domain import money
from core.domain.errors import (
    BudgetError,
    DamagedImage,
    Draining,
    FileTooLarge,
    ImageTooCostly,
    ImageTooSmall,
    InputError,
    InternalError,
    ModelError,
    NotAnImage,
    PlaceRefused,
    ProviderError,
    ProviderHalted,
    QuoteExpired,
    RequestError,
    StorageUnavailable,
    TooManyPixels,
    UnsupportedFormat,
    UpscaleError,
)
from core.domain.job import Job, JobState, Receipt
from core.jobs.admission import Share
from core.jobs.context import Next, Tools
from core.presentation import operator_texts

log = structlog.get_logger(__name__)

_OUTCOME_UNKNOWN = (ProviderError, InternalError)
"""After these, a request that fal took may still be billed: the estimate counts until reconciled."""

_NEVER_TAKEN = (DamagedImage, FileTooLarge, ImageTooCostly, ImageTooSmall, NotAnImage, TooManyPixels, UnsupportedFormat)
"""No button leads back to such an image, so its upload goes in any case."""

_REFUSALS = (RequestError, InputError, BudgetError, Draining, ProviderHalted, PlaceRefused)


async def end_with_error(tools: Tools, job: Job, error: UpscaleError) -> Next:
    """Give back or settle the hold, store the error, tell the followers; the message is the next step."""
    if job.state.terminal:
        return "announce"
    receipt = job.receipt or await _settle_failure(tools, job, error)
    submitted = job.remote is not None and bool(job.remote.request_id)
    state = JobState.REFUSED if isinstance(error, _REFUSALS) and not submitted else JobState.FAILED
    log.info("job_ended", job=job.id, state=state.value, error=error.code)
    return await _end(tools, job, state, error, receipt)


async def cancelled_before_submit(tools: Tools, job: Job) -> Next:
    """Nothing was sent, so nothing is owed."""
    await _release(tools, job)
    tools.running.release_turns()
    return await _end(tools, job, JobState.CANCELLED, None, nothing_charged(tools, job))


async def cancelled_after_submit(tools: Tools, job: Job, units: Decimal | None, *, known: bool) -> Next:
    """The request has ended at the provider (`known`), or we stop waiting; the member pays what is billed."""
    if not known:
        receipt = await charge_unknown(tools, job)
    elif units:
        receipt = await charge(tools, job, units)
    else:
        await _release(tools, job)
        receipt = nothing_charged(tools, job)
    tools.running.release_turns()
    return await _end(tools, job, JobState.CANCELLED, None, receipt)


async def close_question(tools: Tools, job: Job) -> Job:
    """End a job whose price was not agreed to: cancelled by somebody, else too late. Nothing if it was, after all."""
    closed = await tools.store.transition(
        job.id,
        (JobState.AWAITING_CONFIRMATION,),
        state=JobState.CANCELLED,
        error=job.error if job.cancel_requested_by else QuoteExpired(),
        receipt=nothing_charged(tools, job),
        finished_at=tools.clock.now(),
    )
    if closed is None:
        return await tools.load(job.id)
    await _remove_unpaid(tools, closed)
    tools.metrics.job(job.requester.platform, closed.state.value)
    tools.event_bus.publish(closed)
    return closed


async def charge(tools: Tools, job: Job, units: Decimal, basis: Literal["units", "size"] = "units") -> Receipt:
    """Settle by billed units, else by the delivered size, at the price of the quote, whatever the price is now.

    For a bill out of range the estimate counts until reconciled, and the operator hears of it.
    """
    price = job.quote.unit_price_nanousd if job.quote else await tools.prices.unit_price(tools.model(job))
    if not money.is_plausible_bill(units, price, _estimate(job)):
        receipt = dataclasses.replace(await charge_unknown(tools, job), unclear=True)
        log.warning("bill_implausible", job=job.id, units=f"{units:.3e}", charged_nanousd=receipt.charged_nanousd)
        tools.operator.tell("bill", partial(operator_texts.unclear_bill, job.id, receipt.charged_nanousd))
        return receipt
    amount = money.charge(units, price)
    await _settle(tools, job, amount, units)
    billed = units if basis == "units" else None
    play = not tools.upscaler.real_money
    return Receipt(amount, _estimate(job), basis, units=billed, unit_price_nanousd=price, play_money=play)


async def charge_unknown(tools: Tools, job: Job) -> Receipt:
    """Nobody can tell what is billed: the estimate counts until reconciled."""
    await _settle(tools, job, _estimate(job), Decimal(job.quote.megapixels if job.quote else 0))
    return Receipt(_estimate(job), _estimate(job), "unknown", play_money=not tools.upscaler.real_money)


def nothing_charged(tools: Tools, job: Job) -> Receipt:
    return Receipt(0, _estimate(job), "none", play_money=not tools.upscaler.real_money)


def _estimate(job: Job) -> int:
    return job.quote.estimate_nanousd if job.quote else 0


async def _settle_failure(tools: Tools, job: Job, error: UpscaleError) -> Receipt:
    units = getattr(error, "billed_units", None)
    if isinstance(error, ModelError) and error.billed and isinstance(units, Decimal):
        receipt = await charge(tools, job, units)
    elif _may_be_billed(job, error):
        receipt = await charge_unknown(tools, job)
    else:
        await _release(tools, job)
        receipt = nothing_charged(tools, job)
    tools.running.release_turns()
    return receipt


def _may_be_billed(job: Job, error: UpscaleError) -> bool:
    if isinstance(error, ModelError):
        return bool(error.billed)
    return isinstance(error, _OUTCOME_UNKNOWN) and job.remote is not None and bool(job.remote.request_id)


async def _settle(tools: Tools, job: Job, amount_nanousd: int, megapixels: Decimal) -> None:
    await tools.before_effect(job.id)
    await tools.ledger.settle(
        job.id, amount_nanousd=amount_nanousd, megapixels=megapixels, real=tools.upscaler.real_money
    )
    if tools.upscaler.real_money:
        tools.metrics.money("charged", amount_nanousd)


async def _release(tools: Tools, job: Job) -> None:
    await tools.before_effect(job.id)
    await tools.ledger.release(job.id)
    if tools.upscaler.real_money and job.quote is not None:
        tools.metrics.money("released", job.quote.estimate_nanousd)


async def _end(tools: Tools, job: Job, state: JobState, error: UpscaleError | None, receipt: Receipt) -> Next:
    await tools.quiet(job)
    job = await tools.store.update(
        job.id, state=state, error=error, receipt=receipt, progress=None, finished_at=tools.clock.now()
    )
    tools.running.ended(job.id)
    await _remove_unpaid(tools, job)
    tools.metrics.job(job.requester.platform, state.value)
    tools.event_bus.publish(job)
    return "announce"


async def _remove_unpaid(tools: Tools, job: Job) -> None:
    """Nothing was paid for these files, so none is kept, but an upload while its member has room: a repeat needs it."""
    if job.result is None and (job.receipt is None or job.receipt.basis == "none"):
        disk, member = tools.running.disk, Share.of(job.requester).member
        disk.forget(job.id)
        with contextlib.suppress(StorageUnavailable):  # the retention removes it then
            await tools.files.remove(job.id)
            n_bytes = await tools.files.upload_bytes(job.source.path)
            if n_bytes and (isinstance(job.error, _NEVER_TAKEN) or not disk.may_keep(member, n_bytes)):
                await tools.files.remove_upload(job.source.path)
                disk.forget(job.source.path)
            elif n_bytes:
                disk.count(job.source.path, member, n_bytes)
