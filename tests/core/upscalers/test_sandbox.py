"""The sandbox: fal's rules, real images, play money, and requests that survive their process."""

import asyncio
import multiprocessing
import os
import signal
import time
from collections.abc import AsyncIterator
from decimal import Decimal
from pathlib import Path
from typing import Any, cast

import pytest
import pyvips

from core.domain.errors import (
    DamagedImage,
    Draining,
    ImageRejected,
    ModelError,
    ModelFailed,
    OutputTooLarge,
    ProviderUnavailable,
    RequestLost,
    ResultExpired,
    to_json,
)
from core.images.service import ImageService
from core.ports import RemoteCompleted, RemoteQueued, RemoteRunning, SystemClock
from core.upscalers.sandbox import SandboxConfig, SandboxUpscaler
from core.upscalers.sandbox.model import Pace
from tests.core.upscalers.fal_kit import inputs, no_op, picture, statuses
from tests.core.upscalers.sandbox_kit import (
    JOB,
    SLOW,
    QuickImages,
    ended,
    ended_well,
    sandbox,
    sized,
    submitted,
)
from tests.fakes.clock import JumpingClock
from tests.fakes.core import until


@pytest.fixture
async def upscaler(tmp_path: Path) -> AsyncIterator[SandboxUpscaler]:
    async with sandbox(tmp_path) as made:
        yield made


async def test_a_picture_comes_back_larger_with_every_output(upscaler: SandboxUpscaler, tmp_path: Path) -> None:
    request_id = await submitted(upscaler, tmp_path, upscale_factor=2.5, seed=99)
    told = await statuses(upscaler, request_id)
    result = await upscaler.result(request_id)
    await upscaler.fetch(result.image_url, tmp_path / "out.png", max_bytes=10**8)
    assert isinstance(told[0], RemoteQueued | RemoteRunning)
    assert told[-1] == RemoteCompleted()
    percents = [s.percent for s in told if isinstance(s, RemoteRunning) and s.percent is not None]
    assert percents == sorted(percents)
    assert percents[-1] == 100.0
    assert result.seed == 99
    assert result.caption == (
        "An image of 64×48 pixels, enlarged 2.5× by Lanczos resampling in sandbox mode. "
        "No AI model looked at this image."
    )
    assert result.units == Decimal(1)
    assert result.inference_s is not None
    assert pyvips.Image.new_from_file(str(tmp_path / "out.png")).width == 160
    assert not upscaler.real_money


async def test_it_works_with_the_real_image_service(tmp_path: Path) -> None:
    kept_s = 1e9  # the clock jumps while the worker really works
    async with (
        ImageService(workers=1) as image_service,
        sandbox(tmp_path, image_service=image_service, result_ttl_s=kept_s) as upscaler,
    ):
        request_id = await ended_well(upscaler, tmp_path)
        result = await upscaler.result(request_id)
        await upscaler.fetch(result.image_url, tmp_path / "out.png", max_bytes=10**8)
        assert (await image_service.probe(tmp_path / "out.png")).width_px == 128


async def test_a_limited_number_runs_at_once_and_the_others_have_queue_positions(tmp_path: Path) -> None:
    async with sandbox(tmp_path, clock=JumpingClock(nap_s=10_000), pace=SLOW, slots=2) as upscaler:
        watches = [upscaler.watch(await submitted(upscaler, tmp_path)) for _ in range(4)]
        firsts = [await anext(watch) for watch in watches]
        await watches[1].aclose()
        thirds = await anext(watches[2])
        fourths = await anext(watches[3])
        for watch in watches:
            await watch.aclose()
    assert firsts == [RemoteRunning(None), RemoteRunning(None), RemoteQueued(0), RemoteQueued(1)]
    assert (thirds, fourths) == (RemoteRunning(None), RemoteQueued(0)), "the line moves up where somebody leaves"


async def test_the_queue_advances(tmp_path: Path) -> None:
    async with sandbox(tmp_path, slots=1) as upscaler:
        ids = [await submitted(upscaler, tmp_path) for _ in range(4)]
        *_, told = await asyncio.gather(*(statuses(upscaler, request_id) for request_id in ids))
    positions = [s.position for s in told if isinstance(s, RemoteQueued) and s.position is not None]
    assert positions == sorted(positions, reverse=True)
    assert positions[-1] == 0


async def test_a_second_process_start_goes_on_with_the_same_requests(tmp_path: Path) -> None:
    async with sandbox(tmp_path, clock=JumpingClock(nap_s=10_000), pace=SLOW, slots=1) as first:
        ids = [await submitted(first, tmp_path) for _ in range(3)]
        begun = first.watch(ids[0])
        assert await anext(begun) == RemoteRunning(None)
        await begun.aclose()
    async with sandbox(tmp_path) as second:
        for request_id in ids:
            assert (await statuses(second, request_id))[-1] == RemoteCompleted()
            assert (await second.result(request_id)).seed == 7


def _work_until_killed(folder: str, request_id: str) -> None:
    async def main() -> None:
        config = SandboxConfig(Path(folder) / "sandbox", pace=SLOW)
        upscaler = SandboxUpscaler(config, cast(Any, QuickImages()), SystemClock())
        await upscaler.start()
        async for _ in upscaler.watch(request_id):
            Path(folder, "at work").touch()

    asyncio.run(main())


async def test_a_request_whose_process_was_killed_is_finished_by_another(tmp_path: Path) -> None:
    async with sandbox(tmp_path) as first:
        request_id = await submitted(first, tmp_path)
    spawned = multiprocessing.get_context("spawn")
    child = spawned.Process(target=_work_until_killed, args=(str(tmp_path), request_id), daemon=True)
    child.start()
    deadline_s = time.monotonic() + 30
    while not (tmp_path / "at work").exists() and time.monotonic() < deadline_s:
        await asyncio.sleep(0.05)
    assert child.pid is not None
    os.kill(child.pid, signal.SIGKILL)
    async with sandbox(tmp_path) as second:
        assert (await statuses(second, request_id))[-1] == RemoteCompleted()
        assert (await second.result(request_id)).seed == 7
    await asyncio.to_thread(child.join, 10)


async def test_a_submit_that_nobody_saw_answered_is_found(upscaler: SandboxUpscaler, tmp_path: Path) -> None:
    url = await upscaler.stage(picture(tmp_path), "image/png", job_id=JOB)
    assert (await upscaler.find(url, since=0)).request_id is None
    request_id = await upscaler.submit(inputs(url), job_id=JOB, on_sending=no_op)
    found = await upscaler.find(url, since=0)
    assert (found.request_id, found.conclusive) == (request_id, True)


async def test_a_failing_announcement_submits_nothing(tmp_path: Path) -> None:
    async def fail() -> None:
        raise OSError("database is away")

    async with sandbox(tmp_path) as upscaler:
        with pytest.raises(OSError, match="away"):
            await upscaler.submit(inputs("sandbox://files/x"), job_id=JOB, on_sending=fail)
    assert list((tmp_path / "sandbox" / "requests").iterdir()) == []


@pytest.mark.parametrize(
    ("trouble", "expected"),
    [
        (
            OutputTooLarge(width_px=1, height_px=1, limit_px=1, limit_side_px=1, largest_factor=None),
            ImageRejected(reason="too_large", billed=False),
        ),
        (DamagedImage(), ImageRejected(reason="unreadable", billed=False)),
        (FileNotFoundError(), ImageRejected(reason="download", billed=False)),
        (RuntimeError("?"), ModelFailed(kind="internal_server_error", billed=False)),
    ],
)
async def test_errors_are_the_same_as_fals(tmp_path: Path, trouble: Exception, expected: ModelError) -> None:
    async with sandbox(tmp_path, image_service=QuickImages(trouble)) as upscaler:
        error = await ended(upscaler, await submitted(upscaler, tmp_path))
    assert to_json(error) == to_json(expected)


async def test_a_picture_that_was_never_staged_cannot_be_loaded(upscaler: SandboxUpscaler) -> None:
    request_id = await upscaler.submit(inputs("https://example.com/x.png"), job_id=JOB, on_sending=no_op)
    error = await ended(upscaler, request_id)
    assert to_json(error) == to_json(ImageRejected(reason="download", billed=False))


async def test_a_shutdown_of_the_image_workers_is_no_failure(tmp_path: Path) -> None:
    kept_s = 1e9  # the clock jumps while nothing happens
    async with sandbox(tmp_path, image_service=QuickImages(Draining()), result_ttl_s=kept_s) as upscaler:
        request_id = await submitted(upscaler, tmp_path)
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(statuses(upscaler, request_id), 0.3)
        with pytest.raises(ProviderUnavailable):
            await upscaler.result(request_id)
    async with sandbox(tmp_path, result_ttl_s=kept_s) as second:
        await statuses(second, request_id)
        assert (await second.result(request_id)).seed == 7


async def test_results_expire(tmp_path: Path) -> None:
    clock = JumpingClock(nap_s=0.001)
    async with sandbox(tmp_path, clock=clock, result_ttl_s=86_400) as upscaler:
        request_id = await ended_well(upscaler, tmp_path)
        url = (await upscaler.result(request_id)).image_url
        clock.offset_s += 90_000
        with pytest.raises(ResultExpired):
            await upscaler.result(request_id)
    async with sandbox(tmp_path, clock=clock, result_ttl_s=86_400) as second:
        await until(lambda: not (tmp_path / "sandbox" / "requests" / f"{request_id}.json").exists())
        await until(lambda: not list((tmp_path / "sandbox" / "files").iterdir()))
        with pytest.raises(RequestLost):
            await statuses(second, request_id)
        with pytest.raises(ResultExpired):
            await second.fetch(url, tmp_path / "out.png", max_bytes=10**8)


async def test_a_file_that_is_gone_meanwhile_does_not_stop_the_sweep(tmp_path: Path) -> None:
    files = tmp_path / "sandbox" / "files"
    files.mkdir(parents=True)
    for n in range(9):
        (files / f"a{n}").symlink_to(files / "swept-by-another-process")
    (files / "b").write_bytes(b"old")
    clock = JumpingClock(nap_s=0.001)
    clock.offset_s = 90_000
    async with sandbox(tmp_path, clock=clock, result_ttl_s=60):
        await until(lambda: not (files / "b").exists())


async def test_play_money_is_billed_by_megapixels_rounded_up(tmp_path: Path) -> None:
    async with sandbox(tmp_path, unit_price_nanousd=5) as upscaler:
        await ended_well(upscaler, tmp_path, size_px=(800, 600), upscale_factor=2)
        (event,) = await upscaler.billing_events(0, 4e9)
        assert await upscaler.billing_events(0, 1) == []
        assert await upscaler.unit_price() == 5
    assert (event.units, event.cost_nanousd) == (Decimal(2), 10)


@pytest.mark.parametrize(
    "address", ["sandbox://files/../../etc/passwd", "https://x/y", "sandbox://files/", "/etc/passwd"]
)
async def test_no_address_leads_out_of_the_folder(upscaler: SandboxUpscaler, tmp_path: Path, address: str) -> None:
    with pytest.raises(ModelFailed):
        await upscaler.fetch(address, tmp_path / "out", max_bytes=10**8)
    with pytest.raises(RequestLost):
        await statuses(upscaler, "../../etc/passwd")


async def test_a_result_above_the_cap_is_not_fetched(upscaler: SandboxUpscaler, tmp_path: Path) -> None:
    request_id = await ended_well(upscaler, tmp_path)
    with pytest.raises(ModelFailed):
        await upscaler.fetch((await upscaler.result(request_id)).image_url, tmp_path / "out", max_bytes=10)
    assert not (tmp_path / "out").exists()


async def test_a_request_takes_a_few_seconds_by_size_and_never_too_long() -> None:
    pace = Pace()
    assert 1 <= pace.duration_s(sized(640, 480), 2) <= 3
    assert pace.duration_s(sized(4000, 3000), 4) == pace.limit_s


async def test_two_hundred_at_once_all_end(tmp_path: Path) -> None:
    async with sandbox(tmp_path, slots=8) as upscaler:
        url = await upscaler.stage(picture(tmp_path), "image/png", job_id=JOB)
        ids = await asyncio.gather(*(upscaler.submit(inputs(url), job_id=JOB, on_sending=no_op) for _ in range(200)))
        ends = await asyncio.gather(*(statuses(upscaler, request_id) for request_id in ids))
    assert all(told[-1] == RemoteCompleted() for told in ends)
