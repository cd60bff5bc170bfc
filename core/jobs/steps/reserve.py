"""Hold the estimate on every limit that applies, and wait while a limit on running jobs is reached."""

from core.budgets.fit import with_offer
from core.domain.errors import LimitReached
from core.domain.job import Job, Progress
from core.jobs.context import JobContext, StepName
from core.jobs.steps.fail import cancelled
from core.jobs.steps.offers import with_cheaper
from core.net.retry import first_of
from core.ports import Granted, HoldRequest

_TURN_POLL_S = 2.0


async def hold(ctx: JobContext, job: Job) -> StepName:
    if job.quote is None or job.input is None:
        return "prepare"
    request = HoldRequest(
        key=job.id,
        requester=job.requester,
        amount_nanousd=job.quote.estimate_nanousd,
        megapixels=job.quote.megapixels,
        model=job.parameters.model,
        enforce=ctx.upscaler.real_money,
    )
    try:
        answer = await ctx.ledger.hold(request)
    except LimitReached as refused:
        offered = with_offer(refused, await ctx.ledger.statuses(job.requester, request.model), job.quote)
        raise await with_cheaper(ctx, job, job.input, job.quote, offered) from None
    if ctx.upscaler.real_money:
        ctx.metrics.money("held", job.quote.estimate_nanousd)
    while not isinstance(answer, Granted):
        if job.cancel_requested_by or ctx.running.cancel_event(job.id).done():
            return await cancelled(ctx, job)
        ctx.running.show(job, Progress("turn", position=answer.ahead))
        cancelling = ctx.running.cancel_event(job.id)
        await first_of(ctx.running.slot_freed.wait(), cancelling.wait(), ctx.clock.sleep(_TURN_POLL_S))
        answer = await ctx.ledger.admit(job.id)
        job = await ctx.load(job.id)
    return "submit"
