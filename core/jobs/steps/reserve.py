"""Hold the estimate on every limit that applies, and wait while a limit on running jobs is reached."""

from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from typing import Literal

from core.domain.errors import LedgerUnavailable, LimitReached
from core.domain.identity import is_same_person
from core.domain.job import InputFacts, Job, Progress
from core.jobs.context import JobContext, StepName
from core.jobs.steps.fail import cancelled
from core.jobs.steps.offers import with_offers
from core.jobs.steps.prepare import fingerprint_of, reuse
from core.net.retry import first_of
from core.ports import Granted, HoldRequest

_TURN_POLL_S = 2.0
_Verdict = Literal["go", "wait", "give_way"]
_Judge = Callable[[JobContext, Job, Sequence[Job]], Awaitable[_Verdict]]


async def hold(ctx: JobContext, job: Job) -> StepName:
    if job.quote is None or job.input is None:
        return "prepare"
    facts, is_sent = job.input, job.remote is not None  # after a restart two that are sent would wait for each other
    if not is_sent and (other := await _after_the_same(ctx, job, facts, _is_behind)) is not None:
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
        raise await with_offers(ctx, job, facts, job.quote, refused) from None
    if ctx.upscaler.real_money:
        ctx.metrics.money("held", job.quote.estimate_nanousd)
    while not isinstance(answer, Granted):
        if job.cancel_requested_by:
            return await cancelled(ctx, job)
        ctx.running.show(job, Progress("turn", position=answer.ahead))
        pause = ctx.clock.sleep(_TURN_POLL_S)
        await first_of(ctx.running.slot_freed.wait(), ctx.running.cancel_event(job.id), pause)
        answer = await ctx.ledger.admit(job.id)
        job = await ctx.load(job.id)
    return (None if is_sent else await _after_the_same(ctx, job, facts, _gives_way)) or "submit"


async def _after_the_same(ctx: JobContext, job: Job, facts: InputFacts, judge: _Judge) -> StepName | None:
    """Wait while the same picture is upscaled with the same parameters and seed, and take that result, which is paid.

    None if there is nothing to take: then this job pays itself. What is at fal is waited for until it ends, which every
    job does: within hours, or days where fal does not hand it over. Called before the money is held, and after, since
    that may have taken long, or the others have looked before they could see it.
    """
    fingerprint, lost = fingerprint_of(ctx, job, facts), ""
    while True:
        same = await ctx.store.same_requests(fingerprint, job)
        if same and same[-1].result is not None and same[-1].id != lost:
            if await reuse(ctx, job, facts, same):
                with suppress(LedgerUnavailable):  # swept later; an error would end the job, whose result is there
                    await _let_go(ctx, job)
                return "deliver"
            lost = same[-1].id
        verdict = await judge(ctx, job, [one for one in same if one.result is None])
        if verdict == "go":
            return None
        if verdict == "give_way":
            await _let_go(ctx, job)
            return "hold"
        if job.cancel_requested_by:
            return await cancelled(ctx, job)
        ctx.running.show(job, Progress("turn", position=1))
        await first_of(ctx.running.cancel_event(job.id), ctx.clock.sleep(_TURN_POLL_S))
        job = await ctx.load(job.id)


async def _let_go(ctx: JobContext, job: Job) -> None:
    await ctx.ledger.release(job.id)
    ctx.running.wake_waiting_jobs()


async def _is_behind(ctx: JobContext, job: Job, same: Sequence[Job]) -> _Verdict:
    """Before the hold: wait for one at fal or about to be sent, and for this person's own that is older or in line.

    Nobody waits for another person's that is still in a queue of theirs. Whoever holds money gives way after the hold.
    """
    if any(one.remote is not None for one in same):
        return "wait"
    states = await _holds(ctx, (job, *same))
    if job.id in states:
        return "go"
    own = [one for one in same if is_same_person(one.requester, job.requester)]
    ahead = any(states.get(one.id) == "running" for one in same)
    return "wait" if ahead or any(one.id in states or _age(one) < _age(job) for one in own) else "go"


async def _gives_way(ctx: JobContext, job: Job, same: Sequence[Job]) -> _Verdict:
    """After the hold: of those whose money was held at the same moment one goes first.

    A younger one releases its money and waits for the older. The older keeps its own until each younger has done so, or
    was sent since it had looked before.
    """
    states = await _holds(ctx, same)
    ready = [one for one in same if states.get(one.id) == "running"]
    if any(one.remote is not None or _age(one) < _age(job) for one in ready):
        return "give_way"
    return "wait" if ready else "go"


async def _holds(ctx: JobContext, jobs: Sequence[Job]) -> dict[str, str]:
    """Whose money is held: `running` if it may be sent, `waiting` while a limit on running jobs is reached."""
    held = await ctx.ledger.holds([one.id for one in jobs]) if jobs else {}
    return {key: hold.state for key, hold in held.items() if hold.state in ("running", "waiting")}


def _age(job: Job) -> tuple[float, str]:
    return job.created_at, job.id
