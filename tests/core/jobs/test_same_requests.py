"""The same bytes with the same parameters and seed are paid once, by whoever is first."""

import asyncio
from pathlib import Path
from typing import Any
from unittest.mock import AsyncMock

import pytest

from core.domain.errors import LedgerUnavailable
from core.domain.job import JobState, Remote, Requester
from core.jobs.context import StepName
from core.jobs.steps import prepare, reserve
from core.ports import HoldRequest
from tests.core.jobs.pipeline_kit import ANN, BOB, PRICE, World
from tests.fakes.core import until
from tests.typed import unwrap


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


async def test_a_request_that_a_restart_met_before_the_same_one_had_ended_is_not_paid_again(
    w: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also where the ledger cannot take back at that moment what may have been held before the restart."""
    monkeypatch.setattr(w.ledger, "release", AsyncMock(side_effect=LedgerUnavailable))
    source = w.upload()
    first = await w.ask_until("wait", source=source)
    second = await w.ask_until("hold", source=source, requester=BOB)
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


@pytest.mark.parametrize("other", [ANN, BOB])
@pytest.mark.parametrize("held", ["first", "second", "both"])
async def test_of_the_same_requests_not_sent_yet_one_goes_and_the_others_take_its_result(
    w: World, other: Requester, held: str
) -> None:
    """Also where each held its money before it could see the other's, or a restart met both after that."""
    source = w.upload()
    jobs = [await w.ask_until("hold", source=source, requester=who) for who in (ANN, other, ANN)]
    for job in jobs[held == "second" : 1 if held == "first" else 2]:
        await w.ledger.hold(HoldRequest(job.id, job.requester, PRICE, 1))
    begun_at = w.clock.now()
    await asyncio.gather(*(w.run_part(f"{job.id}:request") for job in reversed(jobs)))
    assert w.clock.now() - begun_at < 60
    charged = [unwrap((await w.job(job.id)).receipt).charged_nanousd for job in jobs]
    assert (sorted(charged), sum(w.upscaler.accepted.values())) == ([0, 0, PRICE], 1)
    assert [(await w.money(job.id)).held for job in jobs] == [0, 0, 0]


@pytest.mark.parametrize("billed", [False, True])
async def test_the_same_request_as_one_that_is_cancelled_at_fal_waits_for_what_comes_of_that(
    w: World, billed: bool
) -> None:
    w.upscaler.hold, w.upscaler.cancel_stops = True, not billed
    source = w.upload()
    first, second = await w.ask_until("wait", source=source), await w.ask_until("hold", source=source)
    await w.service.cancel(first.id, ANN)
    waiting = asyncio.create_task(w.run_part(f"{second.id}:request"))
    await w.shows(second, "turn")
    w.upscaler.hold = False
    if billed:
        w.upscaler.of(first.id).finish()
    await w.run_part(f"{first.id}:request")
    await waiting
    assert (await w.job(first.id)).state is JobState.CANCELLED
    await w.check_end(await w.job(second.id), JobState.SUCCEEDED, charged=0 if billed else PRICE)


async def test_of_the_same_requests_whose_earlier_result_is_lost_one_is_paid(w: World) -> None:
    source = w.upload()
    lost = await w.done(source=source)
    w.forget_files()
    await w.store.update(lost.id, remote=Remote("fake", image_url="gone"))
    jobs = [await w.ask_until("hold", source=source) for _ in range(2)]
    await asyncio.gather(*(w.run_part(f"{job.id}:request") for job in jobs))
    assert sum(w.upscaler.accepted.values()) == 2


async def test_nobody_waits_for_the_same_request_of_another_person_before_its_money_is_held(w: World) -> None:
    source = w.upload()
    await w.ask_until("hold", source=source)
    second = await w.ask_until("hold", source=source, requester=BOB)
    begun_at = w.clock.now()
    await w.run_part(f"{second.id}:request")
    assert w.clock.now() - begun_at < 60
    await w.check_end(await w.job(second.id), JobState.SUCCEEDED, charged=PRICE)


async def test_two_equal_requests_that_a_restart_met_before_the_submit_do_not_wait_for_each_other(w: World) -> None:
    source = w.upload()
    jobs = [await w.ask_until("hold", source=source, requester=who) for who in (ANN, BOB)]
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
