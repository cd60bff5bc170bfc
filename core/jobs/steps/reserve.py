"""Hold the estimate on every limit that applies, and wait while a limit on running jobs is reached."""

from collections.abc import Sequence

from core.domain.errors import LimitReached
from core.domain.identity import is_same_person
from core.domain.job import InputFacts, Job, Progress
from core.jobs.context import JobContext, StepName
from core.jobs.steps.fail import cancelled
from core.jobs.steps.offers import with_offers
from core.jobs.steps.prepare import fingerprint_of, reuse
from core.net.retry import first_of
from core.ports import Granted, HoldRequest

_TURN_POLL_S = 2.0


async def hold(ctx: JobContext, job: Job) -> StepName:
    if job.quote is None or job.input is None:
        return "prepare"
    if job.remote is None:  # else it was looked for before a restart, and two jobs would wait for each other
        other = await _after_the_same(ctx, job, job.input)
        if other is not None:
            return other
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
        raise await with_offers(ctx, job, job.input, job.quote, refused) from None
    if ctx.upscaler.real_money:
        ctx.metrics.money("held", job.quote.estimate_nanousd)
    while not isinstance(answer, Granted):
        if job.cancel_requested_by or ctx.running.cancel_event(job.id).done():
            return await cancelled(ctx, job)
        ctx.running.show(job, Progress("turn", position=answer.ahead))
        cancelling = ctx.running.cancel_event(job.id)
        await first_of(ctx.running.slot_freed.wait(), cancelling, ctx.clock.sleep(_TURN_POLL_S))
        answer = await ctx.ledger.admit(job.id)
        job = await ctx.load(job.id)
    return "submit"


async def _after_the_same(ctx: JobContext, job: Job, facts: InputFacts) -> StepName | None:
    """Wait while the same picture is upscaled with the same parameters and seed, and take that result, which is paid.

    None if there is nothing to take: then this job pays itself. What is at fal is waited for until it ends, which every
    job does: within hours, or days where fal does not hand it over.
    """
    fingerprint = fingerprint_of(ctx, job, facts)
    while await _is_behind(ctx, job, same := await ctx.store.same_requests(fingerprint, job)):
        cancelling = ctx.running.cancel_event(job.id)
        if job.cancel_requested_by or cancelling.done():
            return await cancelled(ctx, job)
        ctx.running.show(job, Progress("turn", position=1))
        await first_of(cancelling, ctx.clock.sleep(_TURN_POLL_S))
        job = await ctx.load(job.id)
    if await reuse(ctx, job, facts, same):
        await ctx.ledger.release(job.id)  # held before a restart
        return "deliver"
    return None


async def _is_behind(ctx: JobContext, job: Job, same: Sequence[Job]) -> bool:
    """Whether to wait for one of the same requests: one at fal, or this person's own that is older or holds its money.

    Nobody waits for what another person has not sent to fal yet: it may stand behind a long queue of theirs.
    """
    if not same or same[-1].result is not None:
        return False
    if any(one.remote is not None for one in same):
        return True
    own = [one for one in same if is_same_person(one.requester, job.requester)]
    held = await ctx.ledger.holds([one.id for one in (job, *own)])
    older = [one.id for one in own if (one.created_at, one.id) < (job.created_at, job.id)]
    return job.id not in held and any(one.id in held or one.id in older for one in own)
