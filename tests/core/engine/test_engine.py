"""The durable engine on both databases: a part runs once, errors are retried, another process resumes."""

import asyncio
import logging
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Any

import pytest
from sqlalchemy.exc import OperationalError

from core.domain.job import Job, JobState, job_id_for
from core.engine import engine as module
from core.engine.engine import Engine
from core.engine.replicas import Replicas
from core.engine.work import Piece
from core.jobs.steps.runner import StorageTrouble
from core.ports import NotOwner
from tests.core.jobs.pipeline_kit import PRICE, World
from tests.fakes.core import until

pytestmark = pytest.mark.usefixtures("any_database_url")


@asynccontextmanager
async def engine_of(w: World) -> AsyncIterator[Engine]:
    """The real engine of one process, closed afterwards."""
    engine = Engine(w.pipeline, w.work)
    w.service._engine = engine
    w.maintenance._engine = engine
    try:
        yield engine
    finally:
        await w.pipeline.hand_over()
        await engine.close()


async def in_hand(w: World) -> list[Piece]:
    return list(await w.work.of(w.ctx.lease.token))


async def all_ended(w: World) -> None:
    async with asyncio.timeout(10):
        while await in_hand(w):
            await asyncio.sleep(0.02)


async def ended(w: World, job: Job) -> Job:
    async with asyncio.timeout(30):
        while not (found := await w.job(job.id)).state.terminal:
            await asyncio.sleep(0.02)
    await until(lambda: any(shown.kind in {"finished", "failed"} for shown in w.adapter.message(job).shown))
    return found


async def test_a_job_is_carried_to_its_end_and_the_same_part_never_runs_twice(w: World) -> None:
    async with engine_of(w) as engine:
        job = await w.ask()
        await asyncio.gather(*(engine.start(job.id, part="request") for _ in range(5)))
        assert await in_hand(w) == [Piece(job.id, "request")]
        await w.check_end(await ended(w, job), JobState.SUCCEEDED, charged=PRICE)
        for _ in range(3):
            await engine.start(job.id, part="request")
        await all_ended(w)
        assert w.adapter.message(job).pictures == 1
        assert w.upscaler.posts[job.id] == 1


@pytest.mark.parametrize("part", ["request", "confirmed", "deliver", "announce"])
async def test_what_begins_after_its_end_finds_nothing_to_do(w: World, part: Any) -> None:
    async with engine_of(w) as engine:
        w.upscaler.faults["submit"].append(ValueError("a bug"))
        failed = await ended(w, await w.ask())
        done = await ended(w, await w.ask())
        await all_ended(w)
        shown = [len(w.adapter.message(job).shown) for job in (failed, done)]
        for job in (failed, done):
            await engine.start(job.id, part=part)
        await all_ended(w)
        assert [len(w.adapter.message(job).shown) for job in (failed, done)] == shown
        assert w.upscaler.posts[done.id] == 1


async def test_the_question_ends_the_first_half_and_the_answer_begins_the_second(w: World) -> None:
    async with engine_of(w):
        job = await w.ask(source=w.upload(2400, 1600))
        await until(lambda: bool(w.adapter.message(job).kinds("ask")))
        await asyncio.gather(*(w.service.confirm(job.id, job.requester) for _ in range(3)))
        await w.check_end(await ended(w, job), JobState.SUCCEEDED, charged=PRICE)


def troubled(w: World, times: int) -> list[StorageTrouble]:
    """Let steps fail with database errors so many times; the errors that are left."""
    real, troubles = w.pipeline.run, [StorageTrouble("x") for _ in range(times)]

    async def run(step: Any, job_id: str, token: str | None = None, **how: Any) -> Any:
        if troubles:
            raise troubles.pop()
        return await real(step, job_id, token, **how)

    w.pipeline.run = run  # type: ignore[method-assign]
    return troubles


async def test_trouble_with_the_database_inside_a_step_is_tried_again(w: World) -> None:
    troubles = troubled(w, 2)
    async with engine_of(w):
        job = await w.ask()
        await w.check_end(await ended(w, job), JobState.SUCCEEDED, charged=PRICE)
    assert not troubles


async def test_a_job_that_was_handed_over_goes_on_in_the_next_process(w: World) -> None:
    w.upscaler.hold = True
    async with engine_of(w):
        job = await w.ask()
        await w.shows(job, "upscaling")
    assert not (await w.job(job.id)).state.terminal
    token = w.ctx.lease.token
    await w.crash()
    async with engine_of(w):
        await w.maintenance.take_over(w.replica, token)
        w.upscaler.of(job.id).finish()
        await w.check_end(await ended(w, job), JobState.SUCCEEDED, charged=PRICE)
    assert w.upscaler.posts[job.id] == 1


async def through_deaths(w: World, died: bool, *, reached: Sequence[None] | None = None) -> Job:
    """A job whose process dies seven times at the same place; `reached` grows by one each time that it comes there."""
    job: Job | None = None
    token = ""
    for attempt in range(7):
        async with engine_of(w):
            if job is None:
                job = await w.ask()
            else:
                await w.maintenance.take_over(w.replica, token if died else "")
            if attempt > 5:
                if w.upscaler.hold:
                    w.upscaler.of(job.id).finish()
                return await ended(w, job)
            await until(lambda: bool(w.pipeline.jobs_here))
            while reached is not None and len(reached) <= attempt:
                await asyncio.sleep(0.01)
            if w.upscaler.hold:
                await w.shows(job, "upscaling")
        token = w.ctx.lease.token
        await w.crash()
    raise AssertionError


async def test_a_job_whose_processes_keep_dying_of_its_picture_is_given_up_and_says_so(w: World) -> None:
    hung: list[None] = []

    async def hang(*_: Any, **__: Any) -> Any:
        hung.append(None)
        await asyncio.Event().wait()

    w.images.prepare = hang  # type: ignore[method-assign]
    found = await through_deaths(w, died=True, reached=hung)
    assert found.state is JobState.FAILED
    assert (await w.money(found.id)).open_holds == 0
    assert w.adapter.message(found).notice.reference == found.id


@pytest.mark.parametrize("died", [True, False])
async def test_deaths_and_restarts_while_a_job_waits_at_the_provider_never_give_it_up(w: World, died: bool) -> None:
    w.upscaler.hold = True
    found = await through_deaths(w, died)
    await w.check_end(found, JobState.SUCCEEDED, charged=PRICE)


async def test_a_job_that_another_process_carries_on_is_no_error_and_not_taken_back(
    w: World, caplog: pytest.LogCaptureFixture
) -> None:
    runs: list[str] = []

    async def run(step: Any, job_id: str, token: str | None = None, **_: Any) -> Any:
        runs.append(job_id)
        raise NotOwner

    w.pipeline.run = run  # type: ignore[method-assign]
    async with engine_of(w) as engine:
        job = await w.ask()
        await all_ended(w)
        await engine.resume()
        await engine.take_unowned()
    assert runs == [job.id]
    assert [record for record in caplog.records if record.levelno >= logging.ERROR] == []


async def test_what_a_process_that_was_taken_for_dead_had_in_hand_is_not_lost_by_its_end(w: World) -> None:
    """Nor does it take anything itself."""
    w.upscaler.hold = True
    async with engine_of(w) as engine:
        job = await w.ask()
        await w.shows(job, "upscaling")
        token = w.ctx.lease.token
        await Replicas(w.database).revoke(w.replica)
        w.upscaler.of(job.id).finish()
        await until(lambda: not w.pipeline.jobs_here)
        await engine.take_unowned()
        assert not w.pipeline.jobs_here
    assert await w.work.of(token) == [Piece(job.id, "request")]
    await w.crash()
    async with engine_of(w) as engine:
        await engine.take_unowned()
        await w.check_end(await ended(w, job), JobState.SUCCEEDED, charged=PRICE)


async def test_what_fell_out_for_want_of_the_database_is_resumed(w: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_STEP_ATTEMPTS", 1)
    troubles = troubled(w, 1)
    async with engine_of(w) as engine:
        job = await w.ask()
        await until(lambda: not troubles and not engine._running)
        assert await in_hand(w) == [Piece(job.id, "request")]
        await w.maintenance.pick_up()
        await engine.resume()
        await w.check_end(await ended(w, job), JobState.SUCCEEDED, charged=PRICE)


async def test_an_end_that_cannot_be_written_down_is_written_later(w: World, monkeypatch: pytest.MonkeyPatch) -> None:
    async def away(*_: Any) -> None:
        raise OperationalError("delete", None, OSError("away"))

    async with engine_of(w) as engine:
        with monkeypatch.context() as patched:
            patched.setattr(w.work, "end", away)
            job = await w.ask()
            await w.check_end(await ended(w, job), JobState.SUCCEEDED, charged=PRICE)
            await until(lambda: not engine._running)
        await engine.resume()
        await all_ended(w)
        assert w.adapter.message(job).pictures == 1


async def test_a_run_that_breaks_is_begun_again_a_bounded_number_of_times(w: World) -> None:
    async def run(*_: Any, **__: Any) -> Any:
        raise ZeroDivisionError

    w.pipeline.run = run  # type: ignore[method-assign]
    async with engine_of(w):
        job = await w.ask()
        for _ in range(8):
            await all_ended(w)
            w.clock.at += 60
            await w.maintenance.pick_up()
        found = await w.job(job.id)
    assert found.state is JobState.FAILED
    assert (await w.money(job.id)).open_holds == 0


async def test_a_start_is_not_cut_in_two_by_whoever_stops_waiting_for_it(
    w: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    began, go_on = asyncio.Event(), asyncio.Event()
    add = w.work.add

    async def slow(*args: Any) -> Any:
        began.set()
        await go_on.wait()
        return await add(*args)

    async with engine_of(w):
        monkeypatch.setattr(w.work, "add", slow)
        request = w.request()
        asking = asyncio.create_task(w.service.request(request))
        await began.wait()
        asking.cancel()
        await asyncio.wait({asking})
        go_on.set()
        job = await w.job(job_id_for(request.key))
        assert (await ended(w, job)).state is JobState.SUCCEEDED


async def test_a_job_that_nobody_has_in_hand_is_picked_up(w: World) -> None:
    async with engine_of(w):
        job, _ = await w.store.add(await unstarted(w))
        await w.maintenance.pick_up()
        assert (await w.job(job.id)).state is JobState.QUEUED
        w.clock.at += 60
        await w.maintenance.pick_up()
        await w.check_end(await ended(w, job), JobState.SUCCEEDED, charged=PRICE)


async def unstarted(w: World) -> Job:
    """A job's row after a crash before its run."""
    kept, w.service._engine = w.service._engine, w.engine
    job = await w.ask()
    w.service._engine = kept
    await w.store.remove(job.id)
    return job
