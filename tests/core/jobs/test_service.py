"""The service's promises to adapters: it answers at once, never waits for a job, and separates workspaces."""

import asyncio
from types import SimpleNamespace
from typing import Any

import pytest

from core.accounts.allowlist import AllowList, AllowSettings
from core.domain.errors import (
    Draining,
    InvalidParameters,
    JobNotFound,
    NoImage,
    NotAdmitted,
    NotAllowed,
    ProviderHalted,
    ResultExpired,
    TooLate,
    UnsafeNotAllowed,
)
from core.domain.events import JobEvent
from core.domain.identity import Place
from core.domain.job import JobState, ReplyAddress, Requester, Source
from core.jobs import event_bus
from core.jobs.context import PipelineSettings
from core.jobs.service import JobService
from core.ports import Change, PlaceFacts, RemoteRunning
from tests.core.jobs.pipeline_kit import ANN, BOB, MOD, PRICE, World
from tests.fakes.core import until
from tests.fakes.operator import Told
from tests.typed import unwrap

EVE = Requester("fake", "eve", workspace_id="w2", is_moderator=True)


async def test_a_stranger_whom_the_operator_does_not_pay_for_leaves_nothing_held_and_no_row(w: World) -> None:
    async def facts(place: Place) -> PlaceFacts:
        return PlaceFacts(is_own=place.id == "w1")

    fake: Any = SimpleNamespace(place_facts=facts)
    allowlist = AllowList(AllowSettings(), w.state, w.clock, Told(), {"fake": fake})
    engine: Any = w.engine
    service = JobService(w.ctx, engine, w.members, w.service.budgets, allow_unsafe=False, allowlist=allowlist)
    with pytest.raises(NotAdmitted):
        await service.request(w.request(requester=EVE))
    assert (w.engine.steps, await service.history(EVE), list(w.folder.glob("jobs/*"))) == ({}, [], [])
    asked = await w.done(source=w.upload(2400, 1600))
    assert asked.state is JobState.AWAITING_CONFIRMATION
    await service.confirm(asked.id, ANN)


# --- judging ----------------------------------------------------------------------------------------------------


async def test_a_mistake_in_the_text_starts_nothing_and_names_every_problem(w: World) -> None:
    with pytest.raises(InvalidParameters) as caught:
        await w.ask(text="factor=9 creativty=0.5 steps=2")
    assert {problem.name for problem in caught.value.problems} == {"factor", "creativty", "steps"}
    assert (w.engine.steps, await w.service.history(ANN)) == ({}, [])


async def test_a_link_may_stand_in_the_text_and_without_one_there_is_no_picture(w: World) -> None:
    with pytest.raises(NoImage):
        await w.ask(source=Source("link"), text="2x")
    job = await w.ask(source=Source("link"), text="https://example.org/a.png 3x")
    assert (job.source.url, job.parameters.factor) == ("https://example.org/a.png", 3.0)


async def test_a_process_that_ends_takes_nothing_new(w: World) -> None:
    kept = await w.done()
    asked = await w.done(source=w.upload(2400, 1600))
    w.service.drain()
    there = ReplyAddress("fake", {"message": "there"})
    for attempt in (
        w.ask(),
        w.service.confirm(asked.id, ANN),
        w.service.repeat(kept.id, ANN, Change("again"), key="x", reply=there),
        w.service.redeliver(kept.id, ANN, reply=there),
    ):
        with pytest.raises(Draining):
            await attempt


async def test_a_halted_provider_refuses_new_jobs_and_leaves_running_ones_alone(w: World) -> None:
    w.upscaler.hold = True
    job = await w.ask()
    async with w.driving():
        await w.shows(job, "upscaling")
        w.upscaler.halted = ProviderHalted(kind="credit")
        with pytest.raises(ProviderHalted):
            await w.ask()
        w.upscaler.of(job.id).finish()
    await w.check_end(await w.job(job.id), JobState.SUCCEEDED, charged=PRICE)
    w.upscaler.halted = None
    w.upscaler.hold = False
    assert (await w.done()).state is JobState.SUCCEEDED


async def test_safety_off_is_refused_when_asked_for_and_gives_way_when_it_is_a_default(w: World) -> None:
    with pytest.raises(UnsafeNotAllowed):
        await w.ask(text="safety=off")
    await w.members.set_defaults(ANN, "safety=off factor=3", {})
    job = await w.ask(unsafe_place=True)
    assert (job.parameters.safety, job.parameters.factor) == (True, 3.0)


async def test_saved_defaults_count_until_something_is_said(w: World) -> None:
    await w.service.accounts.set_defaults(ANN, "creative steps=40")
    plain = await w.ask(fields={})
    said = await w.ask(text="steps=10", fields={})
    assert (plain.parameters.creativity, plain.parameters.steps) == (0.6, 40)
    assert said.parameters.steps == 10
    assert (await w.service.accounts.set_defaults(ANN, "")).defaults == {}


async def test_the_estimate_of_a_batch_is_the_price_that_will_be_asked(w: World) -> None:
    quote = await w.service.estimate(2400, 1600, ANN, text="2x")
    assert (quote.megapixels, quote.estimate_nanousd, quote.needs_confirmation) == (16, 1_600_000_000, True)
    assert (await w.service.estimate(600, 400, ANN)).needs_confirmation is False


# --- who may see what -------------------------------------------------------------------------------------------


async def test_a_job_does_not_exist_for_people_of_another_place(w: World) -> None:
    job = await w.done()
    there = ReplyAddress("fake", {"message": "there"})
    assert (await w.service.job(job.id, BOB)).id == job.id
    for attempt in (
        w.service.job(job.id, EVE),
        w.service.cancel(job.id, EVE),
        w.service.delete(job.id, EVE),
        w.service.redeliver(job.id, EVE, reply=there),
        w.service.repeat(job.id, EVE, Change("again"), key="x", reply=there),
        w.service.job("000000000000", None),
    ):
        with pytest.raises(JobNotFound):
            await attempt


async def test_deleted_pictures_are_gone_here_and_at_fal_but_the_receipt_stays(w: World) -> None:
    job = await w.done()
    deleted = await w.service.delete(job.id, MOD)
    assert deleted.images_deleted
    assert unwrap(deleted.result).caption == ""
    assert not list((w.folder / "jobs").rglob("result*"))
    assert w.upscaler.calls["erase"] == 1
    assert deleted.receipt == job.receipt
    there = ReplyAddress("fake", {"message": "there"})
    with pytest.raises(ResultExpired):
        await w.service.redeliver(job.id, ANN, reply=there)
    with pytest.raises(TooLate):
        await w.service.repeat(job.id, ANN, Change("again"), key="x", reply=there)


async def test_old_pictures_are_deleted_when_their_time_is_over(w: World) -> None:
    job = await w.done()
    await w.maintenance.delete_old_images()
    assert not (await w.job(job.id)).images_deleted
    w.clock.at += 8 * 86_400
    await w.maintenance.delete_old_images()
    assert (await w.job(job.id)).images_deleted


async def test_the_history_is_ones_own_newest_first(w: World) -> None:
    mine = []
    for _ in range(3):
        mine.append((await w.done()).id)
        w.clock.at += 10
    await w.done(requester=BOB)
    assert [job.id for job in await w.service.history(ANN)] == mine[::-1]
    newest = (await w.service.history(ANN, limit=1))[0]
    assert [job.id for job in await w.service.history(ANN, before=newest.created_at)] == mine[1::-1]
    w.clock.at += 10
    refused = await w.done(text="to=8k")
    assert [job.id for job in await w.service.history(ANN, limit=2)] == [refused.id, mine[2]]
    assert [job.id for job in await w.service.history(ANN, limit=2, refused=False)] == [mine[2], mine[1]]


async def test_a_member_can_take_everything_along_and_be_forgotten(w: World) -> None:
    import json
    import zipfile

    job = await w.done()
    path = await w.service.accounts.export(ANN)
    try:
        with zipfile.ZipFile(path) as archive:
            record = json.loads(archive.read("data.json"))
            assert [kept["reference"] for kept in record["jobs"]] == [job.id]
            assert any(name.startswith(f"images/{job.id}/result") for name in archive.namelist())
            assert "fake://" not in archive.read("data.json").decode()
    finally:
        path.unlink()
    assert await w.service.accounts.erase(ANN) == 1
    assert await w.service.history(ANN) == []
    assert await w.store.get(job.id) is None


# --- watching ---------------------------------------------------------------------------------------------------


async def events_of(w: World, job_id: str, after: int = 0) -> list[JobEvent]:
    async with asyncio.timeout(20):
        return [event async for event in w.service.watch(job_id, after=after)]


async def test_whoever_watches_sees_every_change_in_order_and_one_end(w: World) -> None:
    w.upscaler.hold = True
    w.upscaler.statuses = [RemoteRunning(percent) for percent in (10.0, 50.0, 90.0)]
    job = await w.ask()
    async with w.driving():
        watching = [asyncio.create_task(events_of(w, job.id)) for _ in range(3)]
        await w.shows(job, "upscaling")
        w.upscaler.of(job.id).finish()
    for events in await asyncio.gather(*watching):
        ids = [event.id for event in events]
        assert ids == sorted(set(ids))
        assert [event.kind for event in events].count("finished") == 1
        assert events[-1].kind == "finished"
        under_way = [event.job for event in events if event.kind == "progressed"]
        stages = [job.progress.stage if job.progress else "preparing" for job in under_way]
        assert stages.index("upscaling") > stages.index("preparing")


async def test_a_watcher_that_comes_back_gets_only_what_is_new(w: World) -> None:
    job = await w.done()
    everything = w.ctx.event_bus.recent(job.id, 0)
    late = await events_of(w, job.id)
    assert [event.kind for event in late] == ["finished"]
    assert await events_of(w, job.id, after=late[-1].id) == []
    assert len(everything) > 1


async def test_a_job_that_another_process_runs_can_be_watched_with_its_percentage(
    w: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(event_bus, "_IDLE_S", 0.01)
    w.upscaler.hold = True
    w.upscaler.statuses = [RemoteRunning(40.0)]
    job = await w.done(source=w.upload(2400, 1600))
    w.ctx.event_bus._events.clear()
    seen: list[JobEvent] = []

    async def look() -> None:
        async for event in w.service.watch(job.id):
            seen.append(event)

    watching = asyncio.create_task(look())
    await until(lambda: seen)
    other = World(w.folder, w.url, settings=PipelineSettings(shares_progress=True))
    other.engine, other.upscaler, other.adapter, other.clock = w.engine, w.upscaler, w.adapter, w.clock
    await other.open()
    try:
        await other.service.confirm(job.id, ANN)
        async with other.driving():
            await until(lambda: any(one.job.progress and one.job.progress.percent == 40 for one in seen))
            w.upscaler.of(job.id).finish()
            await asyncio.wait_for(watching, 20)
    finally:
        await other.close()
    assert (seen[0].kind, seen[-1].kind) == ("price_asked", "finished")
    assert [one.id for one in seen] == sorted({one.id for one in seen})


async def test_nobody_can_watch_what_is_not_there(w: World) -> None:
    with pytest.raises(JobNotFound):
        await events_of(w, "000000000000")


async def test_the_feed_forgets_old_jobs_and_keeps_its_size(w: World) -> None:
    job = await w.ask()
    for _ in range(200):
        w.ctx.event_bus.publish(job)
        assert len(w.ctx.event_bus.recent(job.id, 0)) <= 16
    assert len(w.ctx.event_bus.recent(job.id, 0)) == 16


async def test_moderators_see_what_runs_and_waits_in_their_own_place_and_take_one_out(w: World) -> None:
    await w.done()
    asks = await w.done(source=w.upload(2400, 1600), requester=BOB)
    waits = await w.ask()
    await w.ask(requester=EVE)
    here = await w.service.queue(MOD)
    assert {job.id: job.requester.user_id for job in here.jobs} == {waits.id: "ann", asks.id: "bob"}
    assert here.total == 2
    with pytest.raises(NotAllowed):
        await w.service.queue(BOB)
    assert (await w.service.queue(Requester("web", "operator", is_operator=True))).total == 3
    await w.service.cancel(asks.id, MOD)
    assert [job.id for job in (await w.service.queue(MOD)).jobs] == [waits.id]


async def test_a_job_may_be_written_first_and_begun_once_its_place_is_known(w: World) -> None:
    job = await w.service.request(w.request(), start=False)
    assert w.engine.steps == {}
    await w.service.begin(job.id, ReplyAddress("fake", {"message": "acknowledged"}))
    ended = await w.driven(job.id)
    assert (ended.state, ended.reply.data) == (JobState.SUCCEEDED, {"message": "acknowledged"})
