"""Cancelling a job: in every state, by whoever may, with the right receipt."""

import asyncio
from collections.abc import AsyncIterator
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from core.domain.errors import JobNotFound, ModelFailed, NotAllowed, ProviderUnavailable, RequestLost, TooLate
from core.domain.job import Delivery, Job, JobState, ReplyAddress, Requester
from core.domain.limits import ScopeKind
from core.jobs.steps import StepName
from core.presentation.cards.account import history
from core.presentation.texts.result_texts import cancelled_late_text
from core.storage.files.job_files import JobFiles
from tests.core.jobs.pipeline_kit import BOB, MOD, PRICE, World, world
from tests.core.storage.ledger_kit import running
from tests.fakes.core import until
from tests.typed import unwrap


@pytest.fixture
async def w(tmp_path: Path) -> AsyncIterator[World]:
    async with world(tmp_path, None, running(ScopeKind.USER, 1)) as made:
        yield made


async def cancelled(w: World, job: Job, *, charged: int = 0, basis: str = "none") -> None:
    job = await w.ends(JobState.CANCELLED, charged=charged, job=job)
    assert unwrap(job.receipt).basis == basis
    assert w.adapter.message(job).notice.charged


async def test_before_anything_began_it_costs_nothing(w: World) -> None:
    job = await w.ask()
    await w.service.cancel(job.id, job.requester)
    await cancelled(w, job)
    assert w.upscaler.calls == {}


async def test_between_any_two_steps_before_the_submit_it_costs_nothing(w: World) -> None:
    steps: list[StepName] = ["hold", "submit"]
    for step in steps:
        job = await w.ask()
        await w.steps_until(job.id, step)
        await w.service.cancel(job.id, job.requester)
        await cancelled(w, job)
    assert not w.upscaler.posts


async def test_while_it_waits_its_turn_it_leaves_the_line_at_once(w: World) -> None:
    w.upscaler.hold = True
    first, second = await w.ask(), await w.ask()
    tasks = [asyncio.create_task(w.run_part(f"{first.id}:request"))]
    await w.accepts(1)
    tasks.append(asyncio.create_task(w.run_part(f"{second.id}:request")))
    await w.shows(second, "turn")
    await w.service.cancel(second.id, MOD)
    await asyncio.wait_for(tasks[1], 10)
    assert (await w.job(second.id)).state is JobState.CANCELLED
    w.upscaler.of(first.id).finish()
    await asyncio.wait_for(tasks[0], 10)
    await cancelled(w, second)
    assert (await w.job(first.id)).state is JobState.SUCCEEDED


async def test_while_the_picture_is_uploaded_it_is_never_submitted(w: World) -> None:
    stage = w.upscaler.stage
    job = await w.ask()

    async def slow_stage(*args: Any, **values: Any) -> str:
        await w.service.cancel(job.id, job.requester)
        return await stage(*args, **values)

    w.upscaler.stage = slow_stage  # type: ignore[method-assign]
    await cancelled(w, job)
    assert not w.upscaler.posts


async def test_while_the_submit_is_tried_again_it_ends_there(w: World) -> None:
    w.upscaler.script.extend(["busy"] * 3)
    job = await w.ask()
    submit = w.upscaler.submit

    async def submit_then_cancel(*args: Any, **values: Any) -> str:
        try:
            return await submit(*args, **values)
        finally:
            if w.upscaler.posts[job.id] == 2:
                await w.service.cancel(job.id, job.requester)

    w.upscaler.submit = submit_then_cancel  # type: ignore[method-assign]
    await cancelled(w, job)
    assert w.upscaler.posts[job.id] == 2
    assert w.upscaler.accepted[job.id] == 0


async def test_in_the_instant_of_the_submit_fal_is_told_and_its_bill_decides(w: World) -> None:
    w.upscaler.hold = True
    job = await w.ask()

    async def press(_: str) -> None:
        await w.service.cancel(job.id, job.requester)

    w.upscaler.on_submit = press
    await cancelled(w, job)
    assert len(w.upscaler.cancelled) == 1


async def while_running(w: World) -> Job:
    """A job that was cancelled by its requester while the model ran."""
    w.upscaler.hold = True
    job = await w.ask()
    async with w.driving():
        await w.shows(job, "upscaling")
        await w.service.cancel(job.id, job.requester)
    return job


async def test_removed_from_fals_queue_it_costs_nothing(w: World) -> None:
    w.upscaler.cancel_answer = "removed"
    await cancelled(w, await while_running(w))


async def test_stopped_by_fal_it_costs_nothing(w: World) -> None:
    await cancelled(w, await while_running(w))


def finishes_all_the_same(w: World) -> None:
    w.upscaler.cancel_stops = False
    answer = w.upscaler.cancel

    async def cancel(request_id: str, *more: Any, **_: Any) -> Any:
        said = await answer(request_id, *more)
        w.upscaler.taken[request_id].finish()
        return said

    w.upscaler.cancel = cancel  # type: ignore[method-assign]


async def test_finished_and_billed_all_the_same_the_image_is_kept_and_told_but_not_shown(w: World) -> None:
    finishes_all_the_same(w)
    w.upscaler.units = Decimal("0.5")
    job = await w.job((await while_running(w)).id)
    assert (job.state, job.delivery, job.has_image) == (JobState.CANCELLED, Delivery("kept"), True)
    assert job.receipt is not None
    assert job.result is not None
    assert (await w.money(job.id)).charged == job.receipt.charged_nanousd == 50_000_000
    assert JobFiles(w.folder).absolute(job.result.path).exists()
    message = w.adapter.message(job)
    assert not message.kinds("finished")
    assert message.notice.what == cancelled_late_text("en")
    assert [option.value for option in history([job], "en").choices[0].options] == [job.id]
    reply = ReplyAddress("fake", {"message": "there"})
    again = await w.driven((await w.service.redeliver(job.id, job.requester, reply=reply)).id)
    await w.check_end(again, JobState.SUCCEEDED, charged=0)
    assert w.adapter.messages["there"].pictures == 1


async def test_a_cancel_without_an_answer_does_not_hold_up_the_end(w: World, monkeypatch: pytest.MonkeyPatch) -> None:
    async def unanswered(request_id: str, *_: Any) -> Any:
        w.upscaler.taken[request_id].finish()
        await asyncio.sleep(3600)

    monkeypatch.setattr(w.upscaler, "cancel", unanswered)
    async with asyncio.timeout(30):
        job = await w.job((await while_running(w)).id)
    assert (job.state, job.delivery) == (JobState.CANCELLED, Delivery("kept"))


async def test_removed_costs_nothing_also_if_the_watch_ends_before_that_answer(
    w: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def removed(request_id: str, *_: Any) -> Any:
        request = w.upscaler.taken[request_id]
        request.outcome = RequestLost()
        request.finish()
        for _turn in range(20):
            await asyncio.sleep(0)
        return "removed"

    monkeypatch.setattr(w.upscaler, "cancel", removed)
    await cancelled(w, await while_running(w))


async def test_what_its_owner_had_erased_meanwhile_is_not_kept(w: World) -> None:
    finishes_all_the_same(w)
    w.upscaler.hold = True
    job = await w.ask()
    async with w.driving():
        await w.shows(job, "upscaling")
        await w.store.update(job.id, cancel_requested_by="erased")
        await w.maintenance.notice_cancels()
    job = await w.job(job.id)
    assert (job.state, job.result) == (JobState.CANCELLED, None)


@pytest.mark.parametrize(
    ("call", "error"),
    [
        ("", None),
        ("cancel", ProviderUnavailable()),
        ("result", ProviderUnavailable()),
        ("result", RequestLost()),
        ("result", ModelFailed(kind="placeholder_result", billed=True)),
    ],
    ids=["its end is never told", "it cannot be told", "no bill can be read", "its status vanished", "billed"],
)
async def test_where_fal_does_not_say_what_it_bills_the_estimate_counts_until_reconciled(
    w: World, call: str, error: Exception | None
) -> None:
    w.upscaler.cancel_stops = bool(call)
    if error is not None:
        w.upscaler.faults[call].append(error)
    await cancelled(w, await while_running(w), charged=PRICE, basis="unknown")


async def test_a_cancel_survives_a_crash_and_is_passed_on_by_the_next_process(w: World) -> None:
    w.upscaler.hold = True
    job = await w.ask_until("wait")
    await w.service.cancel(job.id, job.requester)
    await w.crash()
    await cancelled(w, job)
    assert len(w.upscaler.cancelled) == 1


async def test_a_cancel_pressed_in_another_process_is_noticed(w: World) -> None:
    w.upscaler.hold = True
    job = await w.ask()
    async with w.driving():
        await w.shows(job, "upscaling")
        await w.store.update(job.id, cancel_requested_by="fake:ann")
        await w.maintenance.notice_cancels()
    await cancelled(w, job)


async def test_a_cancel_of_a_job_that_runs_elsewhere_leaves_nothing_in_this_process(w: World) -> None:
    job = await w.ask_until("submit")
    await w.service.cancel(job.id, job.requester)
    assert not w.ctx.running.cancel_event(job.id).done(), "only a step of this process keeps the flag"
    await w.drive()
    await cancelled(w, job)


async def test_once_it_is_delivered_or_over_it_is_too_late(w: World) -> None:
    job = await w.ask_until("deliver")
    with pytest.raises(TooLate):
        await w.service.cancel(job.id, job.requester)
    w.adapter.gates["finished"] = asyncio.Event()
    async with w.driving():
        await until(lambda: w.adapter.calls["finished"] == 1)
        with pytest.raises(TooLate):
            await w.service.cancel(job.id, job.requester)
        w.adapter.gates["finished"].set()
    with pytest.raises(TooLate):
        await w.service.cancel(job.id, job.requester)
    await w.check_end(await w.job(job.id), JobState.SUCCEEDED, charged=PRICE)


async def test_only_the_requester_and_moderators_of_the_place_may_stop_a_job(w: World) -> None:
    job = await w.ask()
    with pytest.raises(NotAllowed):
        await w.service.cancel(job.id, BOB)
    for stranger in (Requester("fake", "eve", workspace_id="w2", is_moderator=True), Requester("other", "ann")):
        with pytest.raises(JobNotFound):
            await w.service.cancel(job.id, stranger)
    await w.service.cancel(job.id, MOD)
    await cancelled(w, job)


async def test_a_slot_that_a_cancelled_job_held_goes_to_the_next_in_line(w: World) -> None:
    w.upscaler.hold = True
    first, second = await w.ask(), await w.ask()
    tasks = [asyncio.create_task(w.run_part(f"{first.id}:request"))]
    await w.shows(first, "upscaling")
    tasks.append(asyncio.create_task(w.run_part(f"{second.id}:request")))
    await w.shows(second, "turn")
    await w.service.cancel(first.id, first.requester)
    await w.accepts(2)
    w.upscaler.of(second.id).finish()
    await asyncio.wait_for(asyncio.gather(*tasks), 10)
    await cancelled(w, first)
    assert (await w.job(second.id)).state is JobState.SUCCEEDED
