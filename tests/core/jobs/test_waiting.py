"""Jobs that wait for a slot or the provider: late forecasts, and cancellations with an unknown bill."""

import asyncio
from collections import Counter
from collections.abc import Awaitable
from pathlib import Path
from typing import Any

import pytest

from core.domain.errors import ProviderUnavailable
from core.domain.job import Delivery, Job, JobState, Progress, Remote
from core.jobs.context import StepName
from core.jobs.steps import long_wait, prepare, reserve
from core.ports import RemoteQueued, RemoteRunning, RemoteUnanswered
from tests.core.jobs.pipeline_kit import ANN, BOB, PRICE, World
from tests.fakes.core import until
from tests.fakes.upscaler import Submit
from tests.typed import unwrap


async def test_a_finish_time_that_has_passed_is_taken_back_and_a_late_start_told(w: World) -> None:
    w.upscaler.hold = True
    w.upscaler.statuses = [RemoteQueued(0)]
    job = await w.ask()
    message = w.adapter.message(job)
    async with w.driving():
        await until(lambda: any(p.awaits == "start" for p in message.progress))
        w.upscaler.of(job.id).finish()
    job = await w.job(job.id)
    told = next(p for p in message.progress if p.awaits == "start")
    assert (told.eta_at, told.until_at) == (None, unwrap(job.remote).intent_at + w.settings.start_within_s)
    assert all(p.eta_at is None or p.eta_at > s.at for s in message.shown if (p := s.progress) is not None)
    await w.check_end(job, JobState.SUCCEEDED, charged=PRICE)


async def test_a_finish_time_that_has_passed_while_upscaling_is_taken_back(w: World) -> None:
    w.upscaler.hold = True
    w.upscaler.statuses = [RemoteRunning(40.0)]
    job = await w.ask()
    message = w.adapter.message(job)
    async with w.driving():
        await until(lambda: any(p.percent == 40.0 and p.eta_at is None for p in message.progress))
        w.upscaler.of(job.id).finish()
    await w.check_end(await w.job(job.id), JobState.SUCCEEDED, charged=PRICE)


async def test_a_job_that_waits_without_a_forecast_keeps_but_the_task_that_watches(w: World) -> None:
    w.upscaler.hold = True
    w.upscaler.statuses = [RemoteQueued(0)]
    job = await w.ask()
    async with w.driving():
        await until(lambda: any(p.awaits == "start" for p in w.adapter.message(job).progress))
        kinds = ("watch", "late", "cancel", "progress")
        names = [f"{kind}-{job.id}" for kind in kinds]
        await until(lambda: [n for n in names if n in {t.get_name() for t in asyncio.all_tasks()}] == names[:1])
        w.upscaler.of(job.id).finish()


async def test_an_outage_while_the_model_runs_is_told_with_its_end_in_time(w: World) -> None:
    w.upscaler.hold = True
    w.upscaler.statuses = [RemoteRunning(40.0), RemoteUnanswered()]
    job = await w.ask()
    message = w.adapter.message(job)
    async with w.driving():
        await until(lambda: any(p.awaits for p in message.progress))
        w.upscaler.of(job.id).finish()
    job = await w.job(job.id)
    assert job.remote is not None
    until_at = job.remote.intent_at + w.settings.collect_retry_s
    assert Progress("upscaling", awaits="answer", until_at=until_at) in message.progress


async def test_a_call_without_an_answer_is_told_before_it_fails(w: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(long_wait, "SILENT_S", 0.0)
    job = await w.ask()
    message, stage = w.adapter.message(job), w.upscaler.stage

    async def unanswered(*args: Any, **values: Any) -> str:
        async with asyncio.timeout(10):
            await until(lambda: any(p.awaits == "accept" for p in message.progress))
        return await stage(*args, **values)

    monkeypatch.setattr(w.upscaler, "stage", unanswered)
    await w.paid(job)


@pytest.mark.parametrize(("step", "awaited"), [("busy", "accept"), ("lost", "search")])
async def test_a_submit_that_takes_long_says_what_it_waits_for(w: World, step: Submit, awaited: str) -> None:
    w.upscaler.script.extend([step] * (6 if step == "busy" else 1))
    w.upscaler.listing = "completed"
    w.upscaler.hold = step == "lost"
    job = await w.ask()
    message = w.adapter.message(job)
    async with w.driving():
        await until(lambda: any(p.awaits == awaited for p in message.progress))
        if step == "lost":
            w.upscaler.of(job.id).finish()
    told = [p for p in message.progress if p.awaits == awaited]
    assert all(p.until_at is not None for p in told)
    await w.check_end(await w.job(job.id), JobState.SUCCEEDED, charged=PRICE)


async def test_jobs_that_wake_together_go_on_a_few_in_one_turn_of_the_loop(
    w: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """After one commit, or from threads: forty of them in one turn would keep everybody else waiting."""
    jobs = [await w.ask() for _ in range(20)]
    claim, begun, turn = w.store.claim, Counter[int](), 0

    def counted(job_id: str, token: str) -> Awaitable[Job]:
        begun[turn] += 1
        return claim(job_id, token)

    monkeypatch.setattr(w.store, "claim", counted)
    running = asyncio.gather(*(w.pipeline.run("prepare", job.id) for job in jobs))
    while not running.done():
        await asyncio.sleep(0)
        turn += 1
    assert (begun.total(), max(begun.values())) == (20, 4)


@pytest.mark.parametrize("first_is_at", ["wait", "hold"])
async def test_the_same_request_made_while_the_first_still_runs_waits_for_it(
    w: World, first_is_at: StepName, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(reserve, "_TURN_POLL_S", 600.0)
    source, begun_at = w.upload(), w.clock.now()
    first = await w.ask_until(first_is_at, source=source)
    second = await w.ask_until("hold", source=source)
    waiting = asyncio.create_task(w.run_step(f"{second.id}:request"))
    await w.shows(second, "turn")
    await until(lambda: w.clock.now() > begun_at + 5 * 3600 or waiting.done())
    assert not waiting.done(), "the first may stand in fal's queue for hours"
    await w.run_part(f"{first.id}:request")
    await waiting
    second = await w.ends(JobState.SUCCEEDED, charged=0, job=second)
    assert unwrap(second.result).repeat_of == first.id
    assert sum(w.upscaler.accepted.values()) == 1


@pytest.mark.parametrize(("first_is_at", "second_is_at"), [("wait", "hold"), ("hold", "submit")])
async def test_a_request_that_a_restart_met_before_the_same_one_had_ended_is_not_paid_again(
    w: World, first_is_at: StepName, second_is_at: StepName
) -> None:
    source = w.upload()
    first = await w.ask_until(first_is_at, source=source)
    second = await w.ask_until(second_is_at, source=source, requester=BOB)
    await w.run_part(f"{first.id}:request")
    w.engine.steps[f"{second.id}:request"] = "hold"
    await w.run_part(f"{second.id}:request")
    await w.check_end(await w.job(second.id), JobState.SUCCEEDED, charged=0)
    assert sum(w.upscaler.accepted.values()) == 1


@pytest.mark.parametrize("step", ["submit", "hold"])  # the second: by the row, after a restart
async def test_a_request_priced_after_the_same_younger_one_went_ahead_waits_for_that(w: World, step: StepName) -> None:
    source = w.upload()
    first = await w.ask_until("prepare", source=source)
    await w.clock.advance(1)
    second = await w.ask_until("submit", source=source)
    waiting = asyncio.create_task(w.run_part(f"{first.id}:request"))
    await w.shows(first, "turn")
    w.engine.steps[f"{second.id}:request"] = step
    await w.run_part(f"{second.id}:request")
    await waiting
    await w.check_end(await w.job(first.id), JobState.SUCCEEDED, charged=0)
    assert sum(w.upscaler.accepted.values()) == 1


async def test_a_result_that_is_deleted_while_it_is_taken_is_made_anew(
    w: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    source = w.upload()
    await w.done(source=source)

    async def found(*_: Any) -> Path:
        return w.folder / "deleted just now"

    monkeypatch.setattr(prepare, "ensure_result", found)
    await w.check_end(await w.done(source=source), JobState.SUCCEEDED, charged=PRICE)


async def test_of_two_prices_of_the_same_request_the_one_agreed_to_later_costs_nothing(w: World) -> None:
    source = w.upload(2400, 1600)
    first, second = [await w.done(source=source) for _ in range(2)]
    await w.service.confirm(first.id, first.requester)
    await w.drive()
    await w.service.confirm(second.id, second.requester)
    await w.drive()
    await w.check_end(await w.job(second.id), JobState.SUCCEEDED, charged=0)
    assert sum(w.upscaler.accepted.values()) == 1


async def test_nobody_waits_for_the_same_request_of_another_person_before_it_is_at_fal(w: World) -> None:
    source = w.upload()
    await w.ask_until("hold", source=source)
    second = await w.ask_until("hold", source=source, requester=BOB)
    begun_at = w.clock.now()
    await w.run_part(f"{second.id}:request")
    assert w.clock.now() - begun_at < 60
    await w.check_end(await w.job(second.id), JobState.SUCCEEDED, charged=PRICE)


async def test_two_equal_requests_that_a_restart_met_before_the_submit_do_not_wait_for_each_other(w: World) -> None:
    source = w.upload()
    jobs = [await w.ask_until("submit", source=source, requester=who) for who in (ANN, BOB)]
    for job in jobs:
        await w.store.update(job.id, remote=Remote("fake", submit="intent", intent_at=w.clock.now()))
        w.engine.steps[f"{job.id}:request"] = "hold"  # by the row
    begun_at = w.clock.now()
    await asyncio.gather(*(w.run_part(f"{job.id}:request") for job in jobs))
    assert w.clock.now() - begun_at < 60
    for job in jobs:
        await w.check_end(await w.job(job.id), JobState.SUCCEEDED, charged=PRICE)


async def test_the_result_of_a_request_that_cannot_be_delivered_yet_is_not_paid_again(w: World) -> None:
    source = w.upload()
    first = await w.ask_until("deliver", source=source)
    second = await w.ask(source=source)
    await w.run_part(f"{second.id}:request")
    assert (await w.job(first.id)).state is JobState.DELIVERING
    await w.check_end(await w.job(second.id), JobState.SUCCEEDED, charged=0)
    assert sum(w.upscaler.accepted.values()) == 1


async def test_a_request_whose_like_is_cancelled_goes_on_alone_and_can_be_cancelled_itself(w: World) -> None:
    source = w.upload()
    first = await w.ask_until("hold", source=source)
    second, third = [await w.ask_until("hold", source=source) for _ in range(2)]
    waiting = [asyncio.create_task(w.run_step(f"{job.id}:request")) for job in (second, third)]
    await w.shows(third, "turn")
    await w.service.cancel(third.id, third.requester)
    await w.service.cancel(first.id, first.requester)
    await asyncio.gather(*waiting)
    await w.ends(JobState.CANCELLED, charged=0, job=third)
    await w.check_end(await w.job(second.id), JobState.SUCCEEDED, charged=PRICE)


async def test_what_was_made_before_its_cancel_came_is_waited_for_while_it_cannot_be_had(
    w: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def too_late(request_id: str, *_: Any) -> str:
        w.upscaler.taken[request_id].finish()
        return "already_completed"

    monkeypatch.setattr(w.upscaler, "cancel", too_late)
    w.upscaler.faults["result"] += [ProviderUnavailable() for _ in range(4)]
    w.upscaler.hold = True
    job = await w.ask()
    async with w.driving():
        await w.shows(job, "upscaling")
        await w.service.cancel(job.id, job.requester)
    job = await w.job(job.id)
    assert (job.state, job.delivery, job.has_image) == (JobState.CANCELLED, Delivery("kept"), True)
    assert unwrap(job.receipt).charged_nanousd == (await w.money(job.id)).charged == PRICE
    assert unwrap(job.receipt).basis == "units"
