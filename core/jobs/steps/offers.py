"""Alternatives for a job that is expensive, too large or refused. Each of them fits every limit."""

import dataclasses

from core.budgets.fit import megapixels_left, refusal, with_offer
from core.domain import money
from core.domain.errors import LimitReached, OutputTooLarge, TargetUnreachable
from core.domain.job import InputFacts, Job, Quote
from core.domain.models import ModelSpec
from core.domain.parameters import sizes
from core.domain.parameters.sizes import OutputPlan, plan_output
from core.domain.parameters.spec import Parameters
from core.images.service import check_output, largest_factor
from core.jobs.context import JobContext

_BY_MEMBER = 2**62
"""More nano-dollars than any sponsor's budget has left."""


async def output_plan_for(ctx: JobContext, parameters: Parameters, facts: InputFacts, model: ModelSpec) -> OutputPlan:
    """The factor with which this model makes the requested size. Raises TargetUnreachable."""
    size = facts.width_px, facts.height_px
    priced = [(each, await ctx.prices.unit_price(each)) for each in (model, *ctx.models)]
    return plan_output(parameters, *size, priced, largest=lambda below: largest_factor(*size, ctx.images.limits, below))


async def cheaper(ctx: JobContext, job: Job, facts: InputFacts, than_nanousd: int) -> tuple[tuple[str, int], ...]:
    """Models that make the same size for less and fit the limits, each with its price (nano-dollars)."""
    target = job.parameters.to is not None and sizes.target_of(job.parameters.to)
    if target and target.max_nanousd is not None:
        return ()
    others = [model for model in ctx.models if model.id != job.parameters.model]
    found = [(model.id, await _cost(ctx, job, facts, model)) for model in others]
    return tuple((name, cost) for name, cost in found if cost is not None and cost < than_nanousd)


async def _cost(ctx: JobContext, job: Job, facts: InputFacts, model: ModelSpec) -> int | None:
    """The job's price with this model; None if the model cannot make the size or a limit refuses it."""
    try:
        aimed = await output_plan_for(ctx, job.parameters, facts, model)
        check_output(facts.width_px, facts.height_px, aimed.factor, ctx.images.limits)
    except (TargetUnreachable, OutputTooLarge):
        return None
    price = await ctx.prices.unit_price(model)
    quote = money.quote(facts.width_px, facts.height_px, aimed.factor, price)
    fits = aimed.factor <= model.largest_factor and not await _refused(ctx, job, quote, model)
    return quote.estimate_nanousd if fits else None


async def _refused(ctx: JobContext, job: Job, quote: Quote, model: ModelSpec) -> bool:
    if not ctx.upscaler.real_money:
        return False
    statuses = await ctx.ledger.statuses(job.requester, model.id, amount_nanousd=quote.estimate_nanousd)
    return refusal(quote, statuses) is not None


async def _room(ctx: JobContext, job: Job, model: ModelSpec) -> int | None:
    """Whole megapixels that the limits allow if a sponsor pays, or the member, whichever is more; None: any number."""
    price = await ctx.prices.unit_price(model)
    ways = [await ctx.ledger.statuses(job.requester, model.id, amount_nanousd=paid) for paid in (1, _BY_MEMBER)]
    rooms = [room for way in ways if (room := megapixels_left(way, price)) is not None]
    return max(rooms) if len(rooms) == len(ways) else None


async def with_offers(
    ctx: JobContext, job: Job, facts: InputFacts, quote: Quote, refused: LimitReached
) -> LimitReached:
    """The same error with the largest factor that fits, and the models that are cheaper."""
    offered = with_offer(refused, await _room(ctx, job, ctx.model(job)), quote)
    return dataclasses.replace(offered, others=await cheaper(ctx, job, facts, quote.estimate_nanousd))


async def with_affordable_offer(
    ctx: JobContext, job: Job, facts: InputFacts, refused: OutputTooLarge | TargetUnreachable
) -> OutputTooLarge | TargetUnreachable:
    """The same error, with only those alternatives that this model can make and the limits allow."""
    size, model = (facts.width_px, facts.height_px), ctx.model(job)
    factor = refused.largest_factor
    if isinstance(refused, OutputTooLarge):
        factor = largest_factor(*size, ctx.images.limits, model.largest_factor)
    if factor is not None and ctx.upscaler.real_money:
        left = await _room(ctx, job, model)
        factor = factor if left is None else money.factor_within(*size, left, below=factor)
    if isinstance(refused, OutputTooLarge):
        return dataclasses.replace(refused, largest_factor=factor)
    other = ctx.models.find(refused.other_model)
    able = refused.other_model if other is not None and await _cost(ctx, job, facts, other) is not None else ""
    return dataclasses.replace(refused, largest_factor=factor, other_model=able)
