"""Obligations: final edits and removals are retried until the platform accepts them."""

import asyncio
from collections import deque

import pytest

from core.domain.errors import DeliveryRefused, DeliveryUnavailable
from core.domain.job import Job, JobState
from core.jobs.reply_state import StoredReplyState
from tests.core.jobs.pipeline_kit import ANN, PRICE, World
from tests.fakes.chat import away
from tests.fakes.process import Crash

pytestmark = pytest.mark.usefixtures("any_database_url")


async def _failing(w: World) -> Job:
    w.upscaler.faults["submit"].append(ValueError("a bug"))
    return await w.done()


async def _owed(w: World) -> int:
    return await w.ctx.obligations.count()


async def _look(w: World, seconds: float) -> None:
    await w.pass_time(seconds, every_s=60)


async def test_a_failure_is_told_after_an_outage_of_seven_minutes(w: World) -> None:
    w.adapter.away_until = w.clock.now() + 420
    job = await _failing(w)
    assert w.adapter.message(job).kinds("failed") == []
    assert w.engine.unfinished() == []
    await w.pass_time(560, every_s=10)
    assert len(w.adapter.message(job).kinds("failed")) == 1
    assert await _owed(w) == 0


async def test_a_picture_is_delivered_after_an_outage_of_thirty_minutes(w: World) -> None:
    w.adapter.away_until = w.clock.now() + 1800
    job = await w.done()
    assert w.clock.now() < w.adapter.away_until + 400
    await w.check_end(job, JobState.SUCCEEDED, charged=PRICE)
    assert w.adapter.message(job).last.kind == "finished"


async def test_what_was_told_is_owed_no_longer_and_told_once(w: World) -> None:
    job = await _failing(w)
    assert await _owed(w) == 0
    await _look(w, 3600)
    assert len(w.adapter.message(job).kinds("failed")) == 1


async def test_a_message_that_is_gone_for_good_is_not_tried_again(w: World) -> None:
    w.adapter.faults["failed"].append(DeliveryRefused(reason="gone"))
    await _failing(w)
    assert (await _owed(w), w.adapter.calls["failed"]) == (0, 1)


async def test_a_bug_in_the_way_of_telling_is_tried_a_bounded_number_of_times(w: World) -> None:
    w.adapter.faults["failed"].extend([ZeroDivisionError() for _ in range(99)])
    await _failing(w)
    await _look(w, 20_000)
    assert await _owed(w) == 0
    assert 5 <= w.adapter.calls["failed"] <= 15


async def test_an_end_that_cannot_be_told_for_days_is_given_up(w: World) -> None:
    w.adapter.away_until = float("inf")
    await _failing(w)
    await w.pass_time(3 * 86_400 + 1800, every_s=900)
    assert await _owed(w) == 0
    assert w.adapter.calls["failed"] < 600


async def test_whenever_a_process_and_its_run_are_lost_the_end_is_told_once_by_the_next(w: World) -> None:
    for instant in range(1, 60):
        w.adapter.faults["failed"].extend(away(1))  # the first try fails: the next one comes from the row
        w.upscaler.faults["submit"] = deque(ValueError("a bug") for _ in range(4))
        job = await w.ask()
        w.fuse.left = instant
        try:
            await w.drive()
        except Crash:
            await w.crash()
            if (await w.job(job.id)).state.terminal:
                w.engine.steps.clear()
        else:
            return
        w.fuse.left = 0
        await w.drive()
        await _look(w, 300)
        message = w.adapter.message(job)  # told anew where it died before it was noted: an edit
        assert (message.last.kind, message.endings) == ("failed", {"failed:failed"}), instant
        assert await _owed(w) == 0, instant
    raise AssertionError("the job has more instants than this test tries")


async def test_of_two_processes_one_tells_the_end(w: World) -> None:
    w.adapter.faults["failed"].extend(away(1))
    job = await _failing(w)
    await w.clock.sleep(30)
    await asyncio.gather(*(w.maintenance.fulfil_obligations() for _ in range(4)))
    assert len(w.adapter.message(job).kinds("failed")) == 1
    assert w.adapter.calls["failed"] == 2


async def test_a_message_that_must_go_is_removed_when_the_platform_is_back(w: World) -> None:
    w.put(adapters={"fake": w.adapter})
    job = await w.done()
    w.adapter.faults["remove_message"].extend(away(5))
    left = {"channel": "C1", "ts": "1.2"}
    for _ in range(2):
        await StoredReplyState(w.ctx.running.unstored, job).remove_later(left)
    await w.members.erase(ANN)
    await _look(w, 3600)
    assert w.adapter.removed == [left]
    assert (await _owed(w), w.adapter.calls["remove_message"]) == (0, 6)


async def test_the_end_of_an_erased_job_is_owed_no_longer(w: World) -> None:
    w.adapter.faults["failed"].extend([DeliveryUnavailable(retry_after_s=None)] * 3)
    await _failing(w)
    await w.members.erase(ANN)
    await _look(w, 300)
    assert await _owed(w) == 0


async def test_two_unforeseen_errors_of_one_job_are_two_incidents(w: World) -> None:
    for _ in range(3):
        await w.store.add_incident("ref", area="step:submit", kind="ValueError", job_id="job")
    assert await w.store.incident("ref") is not None
