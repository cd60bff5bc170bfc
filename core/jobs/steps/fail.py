"""Ends of a job without a result: failed, refused or cancelled. Settles or releases the hold."""

import contextlib
import dataclasses
from decimal import Decimal
from functools import partial
from typing import Literal

import structlog

from core.domain import errors, money
from core.domain.job import Job, JobState, Receipt
from core.jobs.admission import Share
from core.jobs.context import JobContext, StepName
from core.jobs.endings import announce_end
from core.presentation.texts import operator_texts

log = structlog.get_logger(__name__)

_OUTCOME_UNKNOWN = (errors.ProviderError, errors.InternalError)
"""After these a request that fal accepted may still be billed: the estimate is charged until reconciliation."""

_NEVER_TAKEN = (
    errors.DamagedImage,
    errors.FileTooLarge,
    errors.ImageTooCostly,
    errors.ImageTooSmall,
    errors.NotAnImage,
    errors.TooManyPixels,
    errors.UnsupportedFormat,
)
"""No button repeats a job with such an image, so its upload is always deleted."""

_REFUSALS = (
    errors.RequestError,
    errors.InputError,
    errors.BudgetError,
    errors.Draining,
    errors.ProviderHalted,
    errors.PlaceRefused,
)


async def end_with_error(ctx: JobContext, job: Job, error: errors.UpscaleError) -> StepName:
    """Release or settle the hold, store the error and publish the end. The next step edits the job's message."""
    if job.state.terminal:
        return "announce"
    submitted = job.remote is not None and bool(job.remote.request_id)
    units, known = billed_by(error, submitted=submitted)
    receipt = job.receipt or await _settled(ctx, job, units, known=known)
    state = JobState.REFUSED if isinstance(error, _REFUSALS) and not submitted else JobState.FAILED
    log.info("job_ended", job=job.id, state=state.value, error=error.code)
    return await _end(ctx, job, state, error, receipt)


async def cancelled(ctx: JobContext, job: Job, units: Decimal | None = None, *, known: bool = True) -> StepName:
    """End the job as cancelled. `units` were billed; not `known`: the request may still end and be billed."""
    return await _end(ctx, job, JobState.CANCELLED, None, await _settled(ctx, job, units or None, known=known))


async def close_question(ctx: JobContext, job: Job) -> Job:
    """End a job whose price was not confirmed: cancelled, or expired. Does nothing if it was confirmed meanwhile."""
    closed = await ctx.store.transition(
        job.id,
        (JobState.AWAITING_CONFIRMATION,),
        state=JobState.CANCELLED,
        error=job.error if job.cancel_requested_by else errors.QuoteExpired(),
        receipt=nothing_charged(ctx, job),
        finished_at=ctx.clock.now(),
    )
    if closed is None:
        return await ctx.load(job.id)
    await _remove_unpaid(ctx, closed)
    ctx.running.publish_end(closed)
    return closed


async def announce(ctx: JobContext, job: Job) -> StepName:
    """Make the first attempt at the final edit; later ones come from the obligation's row."""
    if job.state is JobState.AWAITING_CONFIRMATION:
        job = await close_question(ctx, job)
    if job.state.terminal:  # else confirmed meanwhile: another run continues it
        await ctx.running.stop_progress(job)
        if await ctx.obligations.owes_end(job.id):  # else done by an earlier run
            await announce_end(ctx, job)
    return "end"


async def charge(ctx: JobContext, job: Job, units: Decimal, basis: Literal["units", "size"] = "units") -> Receipt:
    """Settle at the quote's price. An implausible bill charges the estimate until reconciliation."""
    price = job.quote.unit_price_nanousd if job.quote else await ctx.prices.unit_price(ctx.model(job))
    if not money.is_plausible_bill(units, price, _estimate(job)):
        receipt = dataclasses.replace(await charge_unknown(ctx, job), unclear=True)
        log.warning("bill_implausible", job=job.id, units=f"{units:.3e}", charged_nanousd=receipt.charged_nanousd)
        ctx.operator.tell("bill", partial(operator_texts.unclear_bill, job.id, receipt.charged_nanousd))
        return receipt
    amount = money.charge(units, price)
    await _settle(ctx, job, amount, units)
    billed = units if basis == "units" else None
    play = not ctx.upscaler.real_money
    return Receipt(amount, _estimate(job), basis, units=billed, unit_price_nanousd=price, play_money=play)


async def charge_unknown(ctx: JobContext, job: Job) -> Receipt:
    """Settle the estimate, until reconciliation, since it is unknown what the provider bills."""
    await _settle(ctx, job, _estimate(job), Decimal(job.quote.megapixels if job.quote else 0))
    return Receipt(_estimate(job), _estimate(job), "unknown", play_money=not ctx.upscaler.real_money)


def nothing_charged(ctx: JobContext, job: Job) -> Receipt:
    return Receipt(0, _estimate(job), "none", play_money=not ctx.upscaler.real_money)


def _estimate(job: Job) -> int:
    return job.quote.estimate_nanousd if job.quote else 0


def billed_by(error: errors.UpscaleError, *, submitted: bool) -> tuple[Decimal | None, bool]:
    """The units billed for a request that ended with this error, and whether they are known."""
    if isinstance(error, errors.ModelError):
        units = error.billed_units if error.billed else None
        return units, not error.billed or units is not None
    return None, not (submitted and isinstance(error, _OUTCOME_UNKNOWN))


async def _settled(ctx: JobContext, job: Job, units: Decimal | None, *, known: bool) -> Receipt:
    """Charge the units, or the estimate if they are not `known`; release the hold if there are none."""
    if not known:
        return await charge_unknown(ctx, job)
    if units is not None:
        return await charge(ctx, job, units)
    await _release(ctx, job)
    return nothing_charged(ctx, job)


async def _settle(ctx: JobContext, job: Job, amount_nanousd: int, megapixels: Decimal) -> None:
    await ctx.ledger.settle(job.id, amount_nanousd=amount_nanousd, megapixels=megapixels, real=ctx.upscaler.real_money)
    ctx.running.wake_waiting_jobs()
    if ctx.upscaler.real_money:
        ctx.metrics.money("charged", amount_nanousd)


async def _release(ctx: JobContext, job: Job) -> None:
    await ctx.ledger.release(job.id)
    ctx.running.wake_waiting_jobs()
    if ctx.upscaler.real_money and job.quote is not None:
        ctx.metrics.money("released", job.quote.estimate_nanousd)


async def _end(
    ctx: JobContext, job: Job, state: JobState, error: errors.UpscaleError | None, receipt: Receipt
) -> StepName:
    await ctx.running.stop_progress(job)
    job = await ctx.store.update(
        job.id, state=state, error=error, receipt=receipt, progress=None, finished_at=ctx.clock.now()
    )
    await _remove_unpaid(ctx, job)
    ctx.running.publish_end(job)
    return "announce"


async def _remove_unpaid(ctx: JobContext, job: Job) -> None:
    """Delete the files of a job that cost nothing; an upload is kept for a repeat while its member has room for it."""
    if job.result is None and (job.receipt is None or job.receipt.basis == "none"):
        disk, member = ctx.running.disk, Share.of(job.requester).member
        disk.forget(job.id)
        with contextlib.suppress(errors.StorageUnavailable):  # maintenance deletes them later
            await ctx.files.remove(job.id)
            n_bytes = await ctx.files.upload_bytes(job.source.path)
            if n_bytes and (isinstance(job.error, _NEVER_TAKEN) or not disk.may_keep(member, n_bytes)):
                await ctx.files.remove_upload(job.source.path)
                disk.forget(job.source.path)
            elif n_bytes:
                disk.count(job.source.path, member, n_bytes)
