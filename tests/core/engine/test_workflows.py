"""The durable engine itself, on both databases: a part runs once, trouble is retried, another process goes on."""

import asyncio
import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, cast

import pytest
from dbos import DBOS
from sqlalchemy import make_url

from core.domain.job import Job, JobState, job_id_for
from core.engine.cluster import new_name
from core.engine.replicas import Replicas
from core.engine.workflows import DbosEngine, _Running
from core.jobs.steps.runner import StorageTrouble
from tests.core.jobs.pipeline_kit import USD, World, world
from tests.fakes.core import until

PRICE = USD // 10


def engine_url(w: World) -> str:
    url = make_url(w.url)
    if url.get_backend_name() == "sqlite":
        return f"sqlite:///{w.folder / 'jobs.db'}"
    return url.set(drivername="postgresql+psycopg").render_as_string(hide_password=False)


@asynccontextmanager
async def engine_of(w: World, name: str | None = None) -> AsyncIterator[DbosEngine]:
    """The real engine in the place of the fake one, as one process; handed over and closed afterwards."""
    engine = DbosEngine(w.pipeline, database_url=engine_url(w), executor_id=name or new_name())
    await engine.open()
    w.service._engine = engine
    w.maintenance._engine = engine
    try:
        yield engine
    finally:
        await w.pipeline.hand_over()
        await engine.close()


@pytest.fixture
async def w(any_database_url: str, tmp_path: Path) -> AsyncIterator[World]:
    async with world(tmp_path, any_database_url) as made:
        yield made


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
        await w.check_end(await ended(w, job), JobState.SUCCEEDED, charged=PRICE)
        for _ in range(3):
            await engine.start(job.id, part="request")
        await until(lambda: not w.pipeline.jobs_here)
        assert w.adapter.message(job).pictures == 1
        assert w.upscaler.posts[job.id] == 1
        async with asyncio.timeout(10):
            while job.id in await engine.active():
                await asyncio.sleep(0.02)


async def test_the_question_ends_the_first_half_and_the_answer_begins_the_second(w: World) -> None:
    async with engine_of(w):
        job = await w.ask(source=w.upload(2400, 1600))
        await until(lambda: bool(w.adapter.message(job).kinds("ask")))
        await asyncio.gather(*(w.service.confirm(job.id, job.requester) for _ in range(3)))
        await w.check_end(await ended(w, job), JobState.SUCCEEDED, charged=PRICE)


async def test_trouble_with_the_database_inside_a_step_is_tried_again(w: World) -> None:
    real, troubles = w.pipeline.run_on, [StorageTrouble("x") for _ in range(2)]

    async def run_on(step: Any, job_id: str, token: str) -> Any:
        if troubles:
            raise troubles.pop()
        return await real(step, job_id, token)

    w.pipeline.run_on = run_on  # type: ignore[method-assign]
    async with engine_of(w):
        job = await w.ask()
        await w.check_end(await ended(w, job), JobState.SUCCEEDED, charged=PRICE)
    assert not troubles


async def test_a_job_that_was_handed_over_goes_on_in_the_next_process(w: World) -> None:
    w.upscaler.hold = True
    name = new_name()
    async with engine_of(w, name):
        job = await w.ask()
        await w.shows(job, "upscaling")
    assert not (await w.job(job.id)).state.terminal
    await w.crash()
    async with engine_of(w):
        await w.maintenance.take_over(name)
        w.upscaler.of(job.id).finish()
        await w.check_end(await ended(w, job), JobState.SUCCEEDED, charged=PRICE)
    assert w.upscaler.posts[job.id] == 1


async def through_deaths(w: World, died: bool) -> Job:
    """A job whose process ends seven times while it is at the same place, and that is then let go on."""
    job: Job | None = None
    names = [new_name()]
    for attempt in range(7):
        async with engine_of(w, names[-1]):
            if job is None:
                job = await w.ask()
            else:
                await w.maintenance.take_over(names[-2], died)
            if attempt > 5:
                if w.upscaler.hold:
                    w.upscaler.of(job.id).finish()
                return await ended(w, job)
            await until(lambda: bool(w.pipeline.jobs_here))
            if w.upscaler.hold:
                await w.shows(job, "upscaling")
        names.append(new_name())
        await w.crash()
    raise AssertionError


async def test_a_job_whose_processes_keep_dying_of_its_picture_is_given_up_and_says_so(w: World) -> None:
    async def hang(*_: Any) -> Any:
        await asyncio.Event().wait()

    w.images.prepare = hang  # type: ignore[method-assign]
    found = await through_deaths(w, died=True)
    assert found.state is JobState.FAILED
    assert (await w.money(found.id)).open_holds == 0
    assert w.adapter.message(found).notice.reference == found.id


@pytest.mark.parametrize("died", [True, False])
async def test_deaths_and_restarts_while_a_job_waits_at_the_provider_never_give_it_up(w: World, died: bool) -> None:
    w.upscaler.hold = True
    found = await through_deaths(w, died)
    await w.check_end(found, JobState.SUCCEEDED, charged=PRICE)


async def test_a_job_that_another_process_carries_on_is_no_error(w: World) -> None:
    records: list[logging.LogRecord] = []
    handler = logging.Handler()
    handler.emit = records.append  # type: ignore[method-assign]
    async with engine_of(w) as engine:
        logging.getLogger("dbos").addHandler(handler)
        job = await w.ask()
        await Replicas(w.database).revoke(w.replica)  # taken for dead
        await engine.start(job.id, part="confirmed")
        async with asyncio.timeout(10):
            while job.id in await engine.active():
                await asyncio.sleep(0.02)
    logging.getLogger("dbos").removeHandler(handler)
    assert [record.getMessage() for record in records] == []


async def test_what_fell_out_of_the_engine_is_resumed(w: World) -> None:
    """As it happens when the engine's own tables are away at the moment of a checkpoint."""
    w.upscaler.hold = True
    async with engine_of(w) as engine:
        job = await w.ask()
        await w.shows(job, "upscaling")
        workflow_id = f"{job.id}:request"
        await w.pipeline.hand_over()
        await until(lambda: not w.pipeline.jobs_here)
        _Running.broken.add(workflow_id)
        w.upscaler.of(job.id).finish()
        await w.maintenance.resume_broken()
        assert not _Running.broken
        await w.check_end(await ended(w, job), JobState.SUCCEEDED, charged=PRICE)
        assert await engine.resume_broken() == 0


async def test_a_start_is_not_cut_in_two_by_whoever_stops_waiting_for_it(
    w: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    began, go_on = asyncio.Event(), asyncio.Event()
    start = DBOS.start_workflow_async

    async def slow(*args: Any) -> Any:
        began.set()
        await go_on.wait()
        return await start(*args)

    async with engine_of(w):
        monkeypatch.setattr(DBOS, "start_workflow_async", slow)
        request = w.request()
        asking = asyncio.create_task(w.service.request(request))
        await began.wait()
        asking.cancel()
        await asyncio.wait({asking})
        go_on.set()
        job = await w.job(job_id_for(request.key))
        assert (await ended(w, job)).state is JobState.SUCCEEDED


async def test_a_job_that_no_workflow_has_in_hand_is_picked_up(w: World) -> None:
    async with engine_of(w):
        job, _ = await w.store.add(await unstarted(w))
        await w.maintenance.pick_up()
        assert (await w.job(job.id)).state is JobState.QUEUED
        w.clock.at += 60
        await w.maintenance.pick_up()
        await w.check_end(await ended(w, job), JobState.SUCCEEDED, charged=PRICE)


async def unstarted(w: World) -> Job:
    """A job's row, as a crash leaves it between the row and its workflow."""
    kept, w.service._engine = w.service._engine, w.engine
    job = await w.ask()
    w.service._engine = kept
    await w.store.remove(job.id)
    return job


async def test_old_rows_of_the_engine_are_forgotten(w: World) -> None:
    async with engine_of(w) as engine:
        job = await w.ask()
        await ended(w, job)
        async with asyncio.timeout(10):
            while await engine.active():
                await asyncio.sleep(0.02)
        assert await engine.forget_before(1.0) == 0
        assert await engine.forget_before(4_000_000_000.0) >= 1
        assert cast(list[Any], await DBOS.list_workflows_async()) == []


async def test_whoever_needs_a_thread_while_the_engine_closes_gets_one(w: World) -> None:
    """Image workers, for instance, remove their folders in threads when they end."""
    closed = False

    async def work() -> None:
        while not closed:
            await asyncio.to_thread(int)

    async with engine_of(w):
        working = asyncio.create_task(work())
    closed = True
    await working
