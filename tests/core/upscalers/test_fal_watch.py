"""Waiting for a request: the stream, its failures, and the number of requests."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from core.domain.errors import ProviderUnavailable, RequestLost
from core.ports import RemoteCompleted, RemoteQueued, RemoteRunning, RemoteUnanswered
from tests.core.upscalers.fal_kit import Rig, backend, completed, statuses, submitted
from tests.emulators.fal import CutStream, DropBefore, FalEmulator, GarbageStream, Respond, json_5xx, nginx, too_many
from tests.fakes.clock import JumpingClock


@pytest.fixture
async def fal() -> AsyncIterator[FalEmulator]:
    async with FalEmulator(job_s=0.1) as emulator:
        yield emulator


async def test_the_stream_tells_percent_and_ends_with_completed(rig: Rig) -> None:
    told = await statuses(rig.upscaler, await rig.submitted())
    assert told[-1] == RemoteCompleted()
    percents = [status.percent for status in told if isinstance(status, RemoteRunning)]
    assert percents == [None, 20.0, 40.0, 60.0, 80.0, 100.0]
    assert len(rig.fal.seen("stream")) == 1
    assert rig.fal.seen("status") == []


async def test_a_waiting_request_is_told_its_position(rig: Rig) -> None:
    rig.fal.slots = 1
    ids = [await rig.submitted() for _ in range(3)]
    told = await statuses(rig.upscaler, ids[2])
    assert [status.position for status in told if isinstance(status, RemoteQueued)][-1] == 0


async def test_a_watch_of_a_finished_request_ends_at_once(rig: Rig) -> None:
    request_id = await rig.completed()
    assert await statuses(rig.upscaler, request_id) == [RemoteCompleted()]


async def test_a_whole_job_of_53_seconds_takes_at_most_eight_requests(tmp_path: Path) -> None:
    # 53 s at a hundredth of the time: the heartbeat of 15 s and every log line scale with it.
    async with (
        FalEmulator(job_s=0.53, steps_logged=20, heartbeat_s=0.15) as fal,
        backend(fal) as upscaler,
    ):
        request_id = await completed(upscaler, tmp_path)
        result = await upscaler.result(request_id)
        await upscaler.fetch(result.image_url, tmp_path / "out.png", max_bytes=10**8)
        routes = [r.route for r in fal.requests if r.headers.get("user-agent", "").startswith("upscale-bot")]
    assert routes == ["token", "upload", "submit", "stream", "result", "download"]


async def test_an_outage_is_told_after_half_a_minute_and_its_end_too(fal: FalEmulator, tmp_path: Path) -> None:
    clock = JumpingClock()
    async with backend(fal, clock) as upscaler:
        request_id = await submitted(upscaler, tmp_path)
        for route in ("stream", "status"):
            fal.faults.add(route, nginx(503), times=9)
        told = await statuses(upscaler, request_id)
    assert told.count(RemoteUnanswered()) == 1
    assert told[-1] == RemoteCompleted()


async def test_a_cut_stream_is_opened_again(rig: Rig) -> None:
    rig.fal.job_s = 0.3
    rig.fal.faults.add("stream", CutStream(after_events=2), times=2)
    told = await statuses(rig.upscaler, await rig.submitted())
    assert told[-1] == RemoteCompleted()
    assert 2 <= len(rig.fal.seen("stream")) <= 3
    assert len(rig.fal.submits) == 1


async def test_garbage_in_the_stream_is_passed_over(rig: Rig) -> None:
    rig.fal.faults.add("stream", GarbageStream())
    told = await statuses(rig.upscaler, await rig.submitted())
    assert told[-1] == RemoteCompleted()


@pytest.mark.parametrize("fault", [nginx(502), json_5xx(500), DropBefore(), Respond(200, text="data: {}\n\n")])
async def test_without_streams_slowing_polls_find_the_end(fal: FalEmulator, tmp_path: Path, fault: Respond) -> None:
    fal.job_s = 0.2
    fal.faults.add("stream", fault, times=1000)
    clock = JumpingClock(nap_s=0.02)
    async with backend(fal, clock) as upscaler:
        told = await statuses(upscaler, await submitted(upscaler, tmp_path))
    assert told[-1] == RemoteCompleted()
    assert all(seconds <= 20 for seconds in clock.slept)


async def test_where_there_are_no_streams_at_all_53_seconds_take_few_polls(tmp_path: Path) -> None:
    clock = JumpingClock(nap_s=0.001)
    async with FalEmulator(job_s=60) as fal, backend(fal, clock) as upscaler:
        fal.stream_available = False
        watching = asyncio.ensure_future(statuses(upscaler, await submitted(upscaler, tmp_path)))
        async with asyncio.timeout(20):
            while clock.offset_s < 53:
                await asyncio.sleep(0.001)
        watching.cancel()
        await asyncio.gather(watching, return_exceptions=True)
    sleeps_in_53_s = next(n for n in range(len(clock.slept) + 1) if sum(clock.slept[:n]) >= 53)
    assert sleeps_in_53_s <= 12
    assert sum(seconds > 8 for seconds in clock.slept) >= 1


@pytest.mark.parametrize("fault", [json_5xx(503), nginx(503), too_many("2"), too_many(), DropBefore()])
async def test_failing_polls_do_not_end_the_wait(rig: Rig, fault: Respond) -> None:
    rig.fal.faults.add("stream", fault, times=3)
    rig.fal.faults.add("status", fault, times=3)
    told = await statuses(rig.upscaler, await rig.submitted())
    assert told[-1] == RemoteCompleted()
    assert len(rig.fal.submits) == 1


async def test_retry_after_is_obeyed(fal: FalEmulator, tmp_path: Path) -> None:
    fal.faults.add("stream", too_many("33"))
    clock = JumpingClock()
    async with backend(fal, clock) as upscaler:
        await statuses(upscaler, await submitted(upscaler, tmp_path))
    assert 33.0 in clock.slept
    assert fal.seen("status") == []


async def test_a_silent_stream_is_dead_after_the_idle_limit(tmp_path: Path) -> None:
    async with FalEmulator(job_s=1.0, steps_logged=1, heartbeat_s=60) as fal:
        async with backend(fal, stream_idle_s=0.2) as upscaler:
            told = await statuses(upscaler, await submitted(upscaler, tmp_path))
        assert told[-1] == RemoteCompleted()
        assert len(fal.seen("stream")) > 1


async def test_heartbeats_keep_a_silent_stream_alive(tmp_path: Path) -> None:
    async with FalEmulator(job_s=0.8, steps_logged=1, heartbeat_s=0.1) as fal:
        async with backend(fal, stream_idle_s=0.4) as upscaler:
            await statuses(upscaler, await submitted(upscaler, tmp_path))
        assert len(fal.seen("stream")) == 1


async def test_a_request_that_stays_not_found_is_lost(fal: FalEmulator) -> None:
    clock = JumpingClock()
    async with backend(fal, clock) as upscaler:
        with pytest.raises(RequestLost):
            await statuses(upscaler, "never-heard-of")
    assert sum(clock.slept) > 3


async def test_a_short_not_found_is_not_lost(rig: Rig) -> None:
    not_found = Respond(404, json={"status": "NOT_FOUND"})
    rig.fal.faults.add("stream", not_found, times=2)
    rig.fal.faults.add("status", not_found, times=2)
    told = await statuses(rig.upscaler, await rig.submitted())
    assert told[-1] == RemoteCompleted()


async def test_an_endless_outage_raises_in_the_end(fal: FalEmulator, tmp_path: Path) -> None:
    fal.faults.add("stream", nginx(503), times=10_000)
    fal.faults.add("status", nginx(503), times=10_000)
    clock = JumpingClock(nap_s=0.0)
    async with backend(fal, clock, outage_limit_s=600) as upscaler:
        request_id, began = await submitted(upscaler, tmp_path), clock.now()
        with pytest.raises(ProviderUnavailable):
            await statuses(upscaler, request_id)
    assert 600 <= clock.now() - began < 700


async def test_an_id_that_cannot_be_one_is_lost_without_a_request(rig: Rig) -> None:
    with pytest.raises(RequestLost):
        await statuses(rig.upscaler, "..")
    assert rig.fal.requests == []


async def test_an_id_stays_one_segment_of_its_address(rig: Rig) -> None:
    with pytest.raises(RequestLost):
        await statuses(rig.upscaler, "../../secrets")
    assert {seen.route for seen in rig.fal.requests} == {"stream", "status"}


async def test_leaving_a_watch_closes_its_connection(tmp_path: Path) -> None:
    async with FalEmulator(job_s=30) as fal, backend(fal) as upscaler:
        request_id = await submitted(upscaler, tmp_path)

        async def watch() -> None:
            async for _ in upscaler.watch(request_id):
                pass

        task = asyncio.ensure_future(watch())
        await asyncio.sleep(0.1)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert len(fal.seen("cancel")) == 0


async def test_fifty_waits_need_fifty_streams(tmp_path: Path) -> None:
    async with FalEmulator(job_s=0.02, slots=40) as fal, backend(fal) as upscaler:
        ids = [await submitted(upscaler, tmp_path) for _ in range(50)]
        ends = await asyncio.gather(*(statuses(upscaler, request_id) for request_id in ids))
        assert all(told[-1] == RemoteCompleted() for told in ends)
        assert len(fal.seen("stream")) == 50
        assert fal.seen("status") == []
