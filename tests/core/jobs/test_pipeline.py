"""A job from the request to the delivered result, and its messages on the way."""

import asyncio
import errno
from decimal import Decimal
from pathlib import Path

import pytest

from core.domain.errors import DeliveryRefused, InternalError, NotAllowed, QuoteExpired, TooLate
from core.domain.job import JobState, ReplyAddress, Source
from core.domain.limits import ScopeKind
from core.images.pool import NoWorker
from core.ports import Change, RemoteQueued, RemoteRunning
from tests.core.jobs.pipeline_kit import BOB, MOD, PRICE, USD, World, world
from tests.core.storage.ledger_kit import day_usd, running
from tests.fakes.chat import away
from tests.fakes.core import until
from tests.typed import unwrap


async def test_a_picture_comes_back_larger_with_its_receipt(w: World) -> None:
    job = await w.paid(text="2x creativity=0.5")
    assert job.result
    assert (job.result.width_px, job.result.height_px, job.result.seed) == (1200, 800, 7)
    assert job.result.caption == "A fake picture."
    assert job.receipt
    assert (job.receipt.basis, job.receipt.estimate_nanousd) == ("units", PRICE)
    assert w.ctx.files.absolute(job.result.path).exists()


async def test_every_parameter_reaches_the_model_under_its_own_name(w: World) -> None:
    job = await w.done(text="factor=3 creativity=0.7 guidance=2.5 steps=33", fields={"seed": 99})
    inputs = w.upscaler.of(job.id).inputs
    assert dict(inputs.values) == {
        "image_url": inputs.values["image_url"],
        "upscale_factor": 3.0,
        "creativity": 0.7,
        "guidance": 2.5,
        "steps": 33,
        "seed": 99,
        "enable_safety_checker": True,
    }
    assert str(inputs.values["image_url"]).startswith(f"fake://{job.id}/")


async def test_a_seed_is_chosen_and_shown_when_none_was_given(w: World) -> None:
    job = await w.done(fields={})
    assert job.parameters.seed is not None
    assert unwrap(job.result).seed == job.parameters.seed == w.upscaler.of(job.id).inputs.values["seed"]


async def test_the_message_goes_through_reading_waiting_upscaling_to_the_picture(w: World) -> None:
    w.upscaler.hold = True
    w.upscaler.statuses = [RemoteQueued(3), RemoteRunning(None), RemoteRunning(40.0)]
    job = await w.ask()
    message = w.adapter.message(job)
    async with w.driving():
        await until(lambda: any(p.percent == 40.0 for p in message.progress))
        w.upscaler.of(job.id).finish()
    stages = [progress.stage for progress in message.progress]
    assert stages[0] == "preparing"
    assert stages.index("upscaling") > 0
    assert message.last.kind == "finished"
    assert message.pictures == 1


async def test_what_fal_bills_is_charged_up_or_down(w: World) -> None:
    w.upscaler.units = Decimal("0.75")
    await w.ends(JobState.SUCCEEDED, charged=75_000_000)
    w.upscaler.units = Decimal(3)
    await w.ends(JobState.SUCCEEDED, charged=300_000_000)


async def test_without_billed_units_the_delivered_size_counts(w: World) -> None:
    w.upscaler.units = None
    w.upscaler.result_size = (2000, 1500)
    job = await w.ends(JobState.SUCCEEDED, charged=300_000_000)
    assert unwrap(job.receipt).basis == "size"


@pytest.mark.parametrize(("times", "state"), [(2, JobState.SUCCEEDED), (3, JobState.FAILED)])
async def test_without_an_image_worker_a_job_is_tried_again_and_then_costs_nothing(
    w: World, times: int, state: JobState
) -> None:
    w.images.errors["prepare"].extend(NoWorker(errno.ENOMEM, "BlockingIOError") for _ in range(times))
    job = await w.ends(state, charged=PRICE if state is JobState.SUCCEEDED else 0)
    assert isinstance(job.error, InternalError) is (state is JobState.FAILED)


async def test_a_price_that_rises_after_the_quote_is_not_the_members_problem(w: World) -> None:
    job = await w.ask_until("submit")
    w.prices.nanousd *= 5
    await w.paid(job)


async def test_a_dear_job_asks_and_spends_nothing_until_it_is_agreed_to(w: World) -> None:
    job = await w.done(source=w.upload(2400, 1600))
    assert job.state is JobState.AWAITING_CONFIRMATION
    assert w.adapter.message(job).last.kind == "ask"
    assert job.quote
    assert (job.quote.megapixels, job.quote.estimate_nanousd) == (16, 1_600_000_000)
    assert ((await w.money(job.id)).open_holds, w.upscaler.taken) == (0, {})
    w.upscaler.units = Decimal(16)
    await w.service.confirm(job.id, job.requester)
    await w.ends(JobState.SUCCEEDED, charged=1_600_000_000, job=job)


async def test_the_half_before_the_question_does_not_take_up_the_half_after_it(w: World) -> None:
    job = await w.done(source=w.upload(2400, 1600))
    await w.service.confirm(job.id, job.requester)
    assert await w.run_on("prepare", job.id) == "end"
    assert not w.upscaler.taken
    await w.paid(job)


async def test_a_group_of_steps_that_is_run_again_does_nothing_over(w: World) -> None:
    w.prices.nanousd = USD // 10
    job = await w.ask()
    assert await w.run_on("prepare", job.id) == "wait"
    quoted = (await w.job(job.id)).quote
    w.prices.nanousd *= 7
    assert await w.run_on("prepare", job.id) == "collect"
    assert (await w.job(job.id)).quote == quoted
    assert await w.run_on("collect", job.id) == "end"
    assert await w.run_on("collect", job.id) == "end"
    await w.check_end(await w.job(job.id), JobState.SUCCEEDED, charged=PRICE)


async def test_nobody_but_the_requester_can_agree_to_the_price(w: World) -> None:
    job = await w.done(source=w.upload(2400, 1600))
    for other in (BOB, MOD):
        with pytest.raises(NotAllowed):
            await w.service.confirm(job.id, other)
    assert (await w.job(job.id)).state is JobState.AWAITING_CONFIRMATION


async def test_pressing_the_price_twice_is_one_job_and_one_charge(w: World) -> None:
    job = await w.done(source=w.upload(2400, 1600))
    await asyncio.gather(*(w.service.confirm(job.id, job.requester) for _ in range(3)))
    await w.paid(job)
    with pytest.raises(TooLate):
        await w.service.confirm(job.id, job.requester)


async def test_a_price_that_nobody_agrees_to_expires_and_says_so(w: World) -> None:
    job = await w.done(source=w.upload(2400, 1600))
    w.clock.at += 601
    with pytest.raises(QuoteExpired):
        await w.service.confirm(job.id, job.requester)
    await w.maintenance.expire_questions()
    job = await w.ends(JobState.CANCELLED, charged=0, job=job)
    assert isinstance(job.error, QuoteExpired)
    with pytest.raises(QuoteExpired):
        await w.service.confirm(job.id, job.requester)


async def test_a_price_agreed_to_beforehand_is_not_asked_again(w: World) -> None:
    w.upscaler.units = Decimal(16)
    job = await w.ends(
        JobState.SUCCEEDED, charged=1_600_000_000, source=w.upload(2400, 1600), confirmed_nanousd=1_600_000_000
    )
    assert not w.adapter.message(job).kinds("ask")


async def test_the_same_bytes_parameters_and_seed_are_not_paid_twice(w: World) -> None:
    source = w.upload()
    first = await w.done(source=source)
    second = await w.ends(JobState.SUCCEEDED, charged=0, source=source)
    assert unwrap(second.receipt).basis == "repeat"
    assert unwrap(second.result).repeat_of == first.id
    assert sum(w.upscaler.accepted.values()) == 1
    assert w.adapter.message(second).pictures == 1


async def test_another_seed_another_picture_or_another_persons_server_is_paid(w: World) -> None:
    source = w.upload()
    await w.done(source=source)
    elsewhere = ReplyAddress("fake", {"message": "elsewhere"})
    for changes in ({"fields": {"seed": 8}}, {"source": w.upload()}):
        await w.paid(**({"source": source} | changes))
    await w.paid(source=source, requester=type(BOB)("fake", "eve", workspace_id="w2"), reply=elsewhere)


async def test_again_is_a_new_seed_and_a_new_charge(w: World) -> None:
    first = await w.done()
    reply = ReplyAddress("fake", {"message": "again"})
    again = await w.service.repeat(first.id, BOB, Change("again"), key="fake:again", reply=reply)
    again = await w.paid(again)
    assert again.parameters.seed != first.parameters.seed
    assert again.requester.user_id == "bob"


async def test_twice_more_enlarges_the_result(w: World) -> None:
    first = await w.done()
    reply = ReplyAddress("fake", {"message": "more"})
    more = await w.service.repeat(first.id, first.requester, Change("twice_more"), key="fake:more", reply=reply)
    more = await w.driven(more.id)
    assert more.input
    assert (more.input.width_px, more.input.height_px) == (1200, 800)
    await w.check_end(more, JobState.SUCCEEDED, charged=PRICE)


async def test_a_kept_result_can_be_delivered_again_for_nothing(w: World) -> None:
    first = await w.done()
    again = await w.service.redeliver(first.id, first.requester, reply=ReplyAddress("fake", {"message": "there"}))
    await w.ends(JobState.SUCCEEDED, charged=0, job=again)
    assert w.adapter.messages["there"].pictures == 1
    assert sum(w.upscaler.accepted.values()) == 1


async def test_a_redelivered_event_is_the_same_job_and_one_charge(w: World) -> None:
    request = w.request()
    jobs = [await w.service.request(request) for _ in range(3)]
    await w.drive()
    jobs.append(await w.service.request(request))
    await w.drive()
    assert len({job.id for job in jobs}) == 1
    await w.check_end(await w.job(jobs[0].id), JobState.SUCCEEDED, charged=PRICE)
    assert w.adapter.message(jobs[0]).pictures == 1


async def test_a_platform_that_is_away_for_minutes_gets_the_picture_once_when_it_is_back(w: World) -> None:
    w.adapter.faults["finished"].extend(away(8))
    started_at = w.clock.now()
    job = await w.paid()
    assert w.adapter.message(job).pictures == 1
    assert w.clock.now() - started_at > 90


async def test_the_pause_that_the_platform_asks_for_is_kept(w: World) -> None:
    w.adapter.faults["finished"].extend(away(1, retry_after_s=47.0))
    job = await w.done()
    assert 47.0 in w.clock.slept
    assert job.state is JobState.SUCCEEDED


@pytest.mark.parametrize(
    "faults",
    [[DeliveryRefused(reason="gone")], [ZeroDivisionError() for _ in range(9)], away(700)],
    ids=["gone", "a bug", "away for longer than we try"],
)
async def test_a_picture_that_no_place_takes_is_kept_and_charged(w: World, faults: list[BaseException]) -> None:
    w.adapter.faults["finished"].extend(faults)
    job = await w.done()
    assert (job.state, job.delivery and job.delivery.shape) == (JobState.SUCCEEDED, "kept")
    assert (await w.money(job.id)).charged == USD // 10
    assert [kept.id for kept in await w.service.history(job.requester)] == [job.id]
    assert w.ctx.files.absolute(unwrap(job.result).path).exists()


async def test_progress_that_cannot_be_shown_stops_no_job(w: World) -> None:
    w.adapter.faults["progress"].extend([*away(2), ZeroDivisionError(), *away(50)])
    await w.paid()


async def test_more_jobs_than_a_member_may_run_wait_their_turn_and_all_end(tmp_path: Path) -> None:
    async with world(tmp_path, None, running(ScopeKind.USER, 1), day_usd(ScopeKind.USER, 5)) as w:
        w.upscaler.hold = True
        jobs = [await w.ask() for _ in range(3)]
        tasks = []
        for number, job in enumerate(jobs):
            tasks.append(asyncio.create_task(w.run_part(f"{job.id}:request")))
            stage = "turn" if number else "upscaling"
            await w.shows(job, stage)
        assert len(w.upscaler.taken) == 1
        assert next(p.position for p in w.adapter.message(jobs[2]).progress if p.stage == "turn") == 1
        for number in range(1, 4):
            await w.accepts(number)
            list(w.upscaler.taken.values())[-1].finish()
        async with asyncio.timeout(10):
            await asyncio.gather(*tasks)
        for job in jobs:
            await w.check_end(await w.job(job.id), JobState.SUCCEEDED, charged=PRICE)


async def test_a_link_in_the_text_and_an_attachment_are_fetched_once(w: World) -> None:
    by_link = await w.done(source=Source("link"), text="https://example.org/a.png 2x")
    attached = await w.done(source=Source("attachment", url="https://chat.example/b.png"))
    for job in (by_link, attached):
        await w.check_end(job, JobState.SUCCEEDED, charged=PRICE)
    assert w.sources.fetched == ["https://example.org/a.png", "https://chat.example/b.png"]
