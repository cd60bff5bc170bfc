"""First step: download and prepare the image, look for an earlier result, make the quote, and ask for confirmation."""

import asyncio
import dataclasses
import hashlib
from collections.abc import Sequence

import structlog

from core.budgets.fit import refusal
from core.domain import money
from core.domain.errors import ModelError, OutputTooLarge, ProviderError, TargetUnreachable
from core.domain.job import InputFacts, Job, JobState, Progress, Quote, Receipt, Result
from core.domain.models import DEFAULT_MODEL
from core.domain.parameters.sizes import OutputPlan
from core.domain.parameters.spec import Parameters
from core.domain.variations import previewed_job_id
from core.images.job_folder import link_or_copy
from core.images.service import check_output
from core.jobs.admission import Share
from core.jobs.context import JobContext, StepName
from core.jobs.steps.fail import cancelled
from core.jobs.steps.offers import cheaper, output_plan_for, with_affordable_offer, with_offers
from core.jobs.steps.pictures import ensure_result, read_picture

log = structlog.get_logger(__name__)


async def prepare(ctx: JobContext, job: Job) -> StepName:
    if job.confirm_by_at is not None and job.state is not JobState.AWAITING_CONFIRMATION:
        return "end"  # confirmed: another run continues it
    if job.cancel_requested_by:
        return await cancelled(ctx, job)
    share = Share.of(job.requester)

    def show_place(before: int) -> None:
        ctx.running.show(job, Progress("turn", position=before))

    async with ctx.running.admission.unpriced.slot(share, waits=show_place) as waited:
        if waited:
            job = await ctx.load(job.id)
            if job.state.terminal:
                return "end"
            if job.cancel_requested_by:
                return await cancelled(ctx, job)
        return await _price(ctx, job)


async def _price(ctx: JobContext, job: Job) -> StepName:
    member = Share.of(job.requester).member
    for name in (job.id, job.source.path):  # counted by an earlier run, or at the upload
        ctx.running.disk.forget(name)
    await ctx.running.disk.check(member)
    ctx.running.show(job, Progress("preparing"))
    facts = await read_picture(ctx, job, ctx.running.admission.downloads)
    ctx.running.disk.count(job.id, member, ctx.files.size(job.id))
    try:
        aimed = await output_plan_for(ctx, job.parameters, facts, ctx.model(job))
        check_output(facts.width_px, facts.height_px, aimed.factor, ctx.images.limits)
    except (OutputTooLarge, TargetUnreachable) as refused:
        raise await with_affordable_offer(ctx, job, facts, refused) from None
    if aimed.factor != job.parameters.factor:
        job = await ctx.store.update(job.id, parameters=job.parameters.with_values(factor=aimed.factor))
    fingerprint = fingerprint_of(ctx, job, facts)
    if await reuse(ctx, job, facts, await ctx.store.same_requests(fingerprint, job)):
        return "deliver"
    quote = await _quote(ctx, job, facts, aimed)
    job = await ctx.store.update(job.id, input=facts, quote=quote, fingerprint=fingerprint)
    # The hold decides, but nobody should be asked to confirm a price that cannot be held.
    if ctx.upscaler.real_money and (full := refusal(quote, quote.left)) is not None:
        raise await with_offers(ctx, job, facts, quote, full)
    if quote.needs_confirmation:
        return await _ask(ctx, job)
    return "hold"


def fingerprint_of(ctx: JobContext, job: Job, facts: InputFacts) -> str:
    """Identifies the image bytes, model, parameters, seed and backend."""
    asked = job.parameters.as_text().removeprefix(f"model={DEFAULT_MODEL} ")  # as release 0.1.0 stored it
    text = f"{ctx.provider(job).name}|{facts.sha256}|{asked}"
    return hashlib.sha256(text.encode()).hexdigest()


async def reuse(ctx: JobContext, job: Job, facts: InputFacts, same: Sequence[Job]) -> bool:
    """Make the result of the last of the same requests this one's, free of charge; False if there is none any more."""
    if not same or (earlier := same[-1]).result is None:
        return False
    await ctx.store.check_owner(job.id)  # else ended by another process meanwhile; its files belong to the result
    own = ctx.files.result(job.id, earlier.result.mime)
    try:
        await asyncio.to_thread(link_or_copy, await ensure_result(ctx, earlier), own)
    except (ProviderError, ModelError, FileNotFoundError):  # or deleted at this moment
        return False
    await ctx.files.share_later(own)
    link = ctx.links.file_url(job.id, own.name) or earlier.result.link
    result: Result = dataclasses.replace(
        earlier.result, path=ctx.files.relative(own), link=link, repeat_of=earlier.result.repeat_of or earlier.id
    )
    await ctx.store.update(
        job.id,
        input=facts,
        quote=earlier.quote,
        remote=dataclasses.replace(earlier.remote, request_id="") if earlier.remote else None,
        result=result,
        receipt=Receipt(0, 0, "repeat", play_money=not ctx.upscaler.real_money),
        state=JobState.DELIVERING,
    )
    return True


async def estimated(ctx: JobContext, parameters: Parameters, width_px: int, height_px: int) -> Quote:
    """The quote for an image of this size. Raises TargetUnreachable."""
    model = ctx.models.of(parameters)
    aimed = await output_plan_for(ctx, parameters, InputFacts("", width_px, height_px, 0, ""), model)
    price = await ctx.prices.unit_price(model)
    return money.quote(width_px, height_px, aimed.factor, price, reduced_to=(aimed.width_px, aimed.height_px))


async def _quote(ctx: JobContext, job: Job, facts: InputFacts, aimed: OutputPlan) -> Quote:
    price = await ctx.prices.unit_price(ctx.model(job))
    size = facts.width_px, facts.height_px
    quote = money.quote(*size, aimed.factor, price, reduced_to=(aimed.width_px, aimed.height_px))
    amount = quote.estimate_nanousd
    left = await ctx.ledger.statuses(job.requester, job.parameters.model, amount_nanousd=amount)
    agreed = max(job.confirmed_nanousd, ctx.settings.confirm_above_nanousd)
    asks, whole = amount > agreed, await _whole(ctx, job)
    return dataclasses.replace(
        quote,
        left=left,
        needs_confirmation=asks,
        others=await cheaper(ctx, job, facts, amount) if asks else (),
        preview_nanousd=price if asks and quote.megapixels > 1 else 0,
        whole_nanousd=money.quote(*whole, aimed.factor, price).estimate_nanousd if whole is not None else 0,
    )


async def _whole(ctx: JobContext, job: Job) -> tuple[int, int] | None:
    """The size of the whole image if this job previews its most detailed part, else None."""
    whole = await ctx.store.get(whole_id) if (whole_id := previewed_job_id(job)) else None
    return (whole.input.width_px, whole.input.height_px) if whole is not None and whole.input is not None else None


async def _ask(ctx: JobContext, job: Job) -> StepName:
    by = ctx.clock.now() + ctx.settings.confirm_within_s
    asked = await ctx.store.transition(
        job.id, (JobState.QUEUED,), state=JobState.AWAITING_CONFIRMATION, confirm_by_at=by, progress=None
    )
    if asked is None and job.state is not JobState.AWAITING_CONFIRMATION:
        return "end"
    job = asked or job
    if job.cancel_requested_by:
        return "announce"
    await ctx.running.stop_progress(job)
    ctx.event_bus.publish(job)
    await ctx.running.reply(job).ask(job)
    return "end"
