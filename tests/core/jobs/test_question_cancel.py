"""Cancelling a job around the question of its price, which it is asked once."""

from types import SimpleNamespace
from typing import Any

import pytest

from core.domain.errors import OtherModelChosen
from core.domain.job import Job, JobState
from core.storage.jobs import SqlJobStore
from tests.core.jobs.pipeline_kit import World


async def test_while_a_dear_image_is_read_nothing_is_asked(w: World) -> None:
    prepare, job = w.images.prepare, await w.ask(source=w.upload(2400, 1600))

    async def slow_prepare(*args: Any, **values: Any) -> Any:
        await w.service.cancel(job.id, job.requester)
        return await prepare(*args, **values)

    w.images.prepare = slow_prepare  # type: ignore[method-assign]
    await w.ends(JobState.CANCELLED, charged=0, job=job)
    assert not w.adapter.message(job).kinds("ask")


async def test_in_the_instant_of_the_question_it_closes_the_question(w: World) -> None:
    job, store = await w.ask(source=w.upload(2400, 1600)), w.ctx.store

    async def get_then_ask(job_id: str) -> Job | None:
        found = await store.get(job_id)
        w.put(store=store)
        await w.drive()
        return found

    w.put(store=SimpleNamespace(get=get_then_ask))
    assert (await w.service.cancel(job.id, job.requester)).state is JobState.CANCELLED
    await w.ends(JobState.CANCELLED, charged=0, job=job)


async def test_for_another_model_it_is_cancelled_whoever_closes_the_question_first(
    w: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    job, start = await w.done(source=w.upload(2400, 1600)), w.engine.start

    async def start_and_run(*args: Any, **values: Any) -> None:
        await start(*args, **values)
        await w.drive()

    monkeypatch.setattr(w.engine, "start", start_and_run)
    await w.service.cancel(job.id, job.requester, chosen="seedvr2")
    assert isinstance((await w.ends(JobState.CANCELLED, charged=0, job=job)).error, OtherModelChosen)


async def test_the_question_of_the_price_can_be_cancelled_for_nothing(w: World) -> None:
    job = await w.done(source=w.upload(2400, 1600))
    assert (await w.service.cancel(job.id, job.requester)).state is JobState.CANCELLED
    await w.ends(JobState.CANCELLED, charged=0, job=job)


async def test_at_the_moment_of_the_agreement_it_is_not_lost(w: World, monkeypatch: pytest.MonkeyPatch) -> None:
    job, transition = await w.done(source=w.upload(2400, 1600)), SqlJobStore.transition

    async def agreed_first(*args: Any, **changes: Any) -> Any:
        monkeypatch.setattr(SqlJobStore, "transition", transition)
        await w.service.confirm(job.id, job.requester)
        return await transition(*args, **changes)

    monkeypatch.setattr(SqlJobStore, "transition", agreed_first)
    await w.service.cancel(job.id, job.requester)
    await w.ends(JobState.CANCELLED, charged=0, job=job)
    assert not w.upscaler.posts
