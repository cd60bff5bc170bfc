"""Jobs that wait for a slot or the provider: late forecasts, and cancellations with an unknown bill."""

import asyncio
import dataclasses
import gc
from collections import Counter
from collections.abc import Awaitable
from typing import Any

import pytest

from core.domain.errors import ProviderUnavailable
from core.domain.job import Delivery, Job, JobState, Progress
from core.jobs.steps import long_wait
from core.ports import RemoteQueued, RemoteRunning, RemoteUnanswered
from tests.core.jobs.pipeline_kit import PRICE, World
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


async def test_a_job_that_has_ended_leaves_nothing_for_a_collection_of_cycles(w: World) -> None:
    """While jobs follow each other, garbage in cycles stays for long."""
    w.upscaler.statuses = [RemoteQueued(0), RemoteRunning(40.0)]
    gc.collect()
    gc.disable()
    try:
        await w.paid()
        left = [one for one in gc.get_objects() if type(one).__name__ == "_Watcher"]
    finally:
        gc.enable()
    assert left == []


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


async def test_a_cancel_that_fal_does_not_answer_is_told_with_its_end_in_time(
    w: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(long_wait, "SILENT_S", 0.0)
    w.put(settings=dataclasses.replace(w.settings, cancel_grace_s=0.5))
    w.upscaler.hold, w.upscaler.cancel_stops = True, False
    job = await w.ask()
    async with w.driving():
        await w.shows(job, "upscaling")
        await w.service.cancel(job.id, job.requester)
    assert "answer" in [progress.awaits for progress in w.adapter.message(job).progress]


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


async def test_a_cancel_just_after_the_row_was_read_ends_the_wait_at_once(
    w: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """No maintenance runs in the terminal, which would notice it in the row."""
    w.upscaler.hold = True
    job = await w.ask_until("wait")
    real = w.store.claim

    async def claim(job_id: str, token: str) -> Job:
        read = await real(job_id, token)
        if not unwrap(await w.store.get(job_id)).cancel_requested_by:
            await w.service.cancel(job_id, job.requester)
        return read

    monkeypatch.setattr(w.store, "claim", claim)
    async with asyncio.timeout(5):
        await w.run_part(f"{job.id}:request")
    await w.check_end(await w.job(job.id), JobState.CANCELLED, charged=0)
