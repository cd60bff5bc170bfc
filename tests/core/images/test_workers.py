"""Failures of a worker do not affect the bot or other workers."""

import asyncio
import errno
import os
import signal
import struct
import zlib
from collections.abc import AsyncIterator
from pathlib import Path

import psutil
import pytest

from core.domain import errors
from core.images import job_folder
from core.images.service import Bounds, ImageService
from tests.core.images import pictures
from tests.fakes.core import until


@pytest.fixture
async def image_service(tmp_path: Path) -> AsyncIterator[ImageService]:
    scratch = tmp_path / "scratch"
    scratch.mkdir()
    async with ImageService(workers=1, scratch=scratch) as made:
        yield made
    assert list(scratch.iterdir()) == []
    assert _workers() == []


def _workers() -> list[psutil.Process]:
    found = []
    for child in psutil.Process().children():
        try:
            if "core.images.worker" in " ".join(child.cmdline()):
                found.append(child)
        except (psutil.NoSuchProcess, psutil.ZombieProcess):
            continue
    return found


def _endless(tmp_path: Path) -> Path:
    """A named pipe without a writer: opening it hangs, like a codec that never returns."""
    path = tmp_path / "endless"
    os.mkfifo(path)
    return path


async def _at_work(image_service: ImageService, path: Path) -> tuple[asyncio.Task[object], psutil.Process]:
    """A call that hangs in its worker, whose second thread reads jobs."""
    task: asyncio.Task[object] = asyncio.create_task(image_service.probe(path))
    return task, await _started()


async def _started() -> psutil.Process:
    for _ in range(2000):
        for worker in _workers():
            if worker.num_threads() > 1:
                await asyncio.sleep(0.05)
                return worker
        await asyncio.sleep(0.005)
    raise AssertionError("the worker never got to work")


@pytest.mark.parametrize(
    ("signal_number", "error"),
    [
        (signal.SIGXCPU, errors.ImageTooCostly),
        (signal.SIGABRT, errors.ImageTooCostly),
        (signal.SIGSEGV, errors.DamagedImage),
        (signal.SIGBUS, errors.DamagedImage),
    ],
)
async def test_a_worker_that_dies_in_the_middle_gives_a_clear_error_and_the_next_call_works(
    signal_number: signal.Signals, error: type[errors.UpscaleError], image_service: ImageService, tmp_path: Path
) -> None:
    task, worker = await _at_work(image_service, _endless(tmp_path))
    worker.send_signal(signal_number)
    with pytest.raises(error):
        await task
    assert (await image_service.probe(pictures.scene_in(tmp_path))).width_px == 96
    assert (image_service.stats["died"], image_service.stats["started"]) == (1, 2)


async def test_a_worker_that_was_killed_while_idle_is_replaced_unnoticed(
    image_service: ImageService, tmp_path: Path
) -> None:
    path = pictures.scene_in(tmp_path)
    await image_service.probe(path)
    worker = _workers()[0]
    worker.kill()
    for _ in range(500):
        if not _workers():
            break
        await asyncio.sleep(0.01)
    await asyncio.sleep(0.05)
    assert (await image_service.probe(path)).width_px == 96
    assert (image_service.stats["died"], image_service.stats["started"]) == (0, 2)


async def test_work_on_a_paid_result_is_tried_once_more_on_a_new_worker(
    image_service: ImageService, tmp_path: Path
) -> None:
    pipe = _endless(tmp_path)
    task: asyncio.Task[object] = asyncio.create_task(image_service.fit(pipe, tmp_path, 1_000_000))
    worker = await _started()
    pipe.unlink()  # the second try finds a picture there
    pictures.scene_in(tmp_path).rename(pipe)
    worker.kill()
    assert getattr(await task, "kind", "") == "original"
    assert (image_service.stats["died"], image_service.stats["started"]) == (1, 2)


async def test_a_picture_whose_worker_was_killed_is_read_by_the_next_one(
    image_service: ImageService, tmp_path: Path
) -> None:
    pipe = _endless(tmp_path)
    task, worker = await _at_work(image_service, pipe)
    pipe.unlink()
    pictures.scene_in(tmp_path).rename(pipe)
    worker.kill()
    assert getattr(await task, "width_px", 0) == 96


async def test_a_picture_that_costs_two_workers_their_lives_is_too_costly(
    image_service: ImageService, tmp_path: Path
) -> None:
    task, worker = await _at_work(image_service, _endless(tmp_path))
    worker.kill()
    await until(lambda: image_service.stats["died"] == 1)
    (await _started()).kill()
    with pytest.raises(errors.ImageTooCostly):
        await task
    assert image_service.stats["died"] == 2


async def test_a_hang_ends_with_the_wall_time_and_the_next_call_works(tmp_path: Path) -> None:
    async with ImageService(workers=1, timeout_s=2) as image_service:
        with pytest.raises(errors.ImageTooCostly):
            await image_service.probe(_endless(tmp_path))
        assert image_service.stats["too_slow"] == 1
        assert (await image_service.probe(pictures.scene_in(tmp_path))).width_px == 96


async def test_a_cancelled_call_takes_its_worker_with_it(image_service: ImageService, tmp_path: Path) -> None:
    task, worker = await _at_work(image_service, _endless(tmp_path))
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    await asyncio.to_thread(psutil.wait_procs, [worker], 5)
    assert not worker.is_running()
    assert (await image_service.probe(pictures.scene_in(tmp_path))).width_px == 96


async def test_processor_time_is_bounded_for_each_job(tmp_path: Path) -> None:
    path = tmp_path / "wide"
    path.write_bytes(pictures.encoded(pictures.scene(1600, 1200), "PNG"))
    async with ImageService(workers=1, bounds=Bounds(cpu_s=1)) as image_service:
        for _ in range(4):  # together more than the bound, each far below it
            await image_service.preview(path, tmp_path / "out", max_side_px=400, max_bytes=1_000_000)
        with pytest.raises(errors.ImageTooCostly):
            await image_service.enlarge(path, tmp_path / "out", 4)
        assert (await image_service.probe(path)).width_px == 1600


async def test_memory_is_bounded(tmp_path: Path) -> None:
    path = tmp_path / "interlaced"
    path.write_bytes(_interlaced(9000, 5000))
    async with ImageService(workers=1, bounds=Bounds(address_space_bytes=480_000_000)) as image_service:
        with pytest.raises(errors.ImageTooCostly):
            await image_service.probe(path)
        assert (await image_service.probe(pictures.scene_in(tmp_path))).width_px == 96
    async with ImageService(workers=1) as image_service:
        assert (await image_service.probe(path)).width_px == 9000


def _interlaced(width_px: int, height_px: int) -> bytes:
    """An interlaced 16-bit RGBA PNG is decoded whole: 8 bytes per pixel, from a file of a few hundred KB."""
    packer = zlib.compressobj(1)
    body = b""
    for x0, y0, dx, dy in (
        (0, 0, 8, 8),
        (4, 0, 8, 8),
        (0, 4, 4, 8),
        (2, 0, 4, 4),
        (0, 2, 2, 4),
        (1, 0, 2, 2),
        (0, 1, 1, 2),
    ):
        columns, lines = -(-(width_px - x0) // dx), -(-(height_px - y0) // dy)
        line = bytes(1 + columns * 8)
        for _ in range(lines):
            body += packer.compress(line)
    header = struct.pack(">IIBBBBB", width_px, height_px, 16, 6, 0, 0, 1)
    return (
        b"\x89PNG\r\n\x1a\n"
        + pictures.png_chunk(b"IHDR", header)
        + pictures.png_chunk(b"IDAT", body + packer.flush())
        + pictures.png_chunk(b"IEND", b"")
    )


async def test_workers_are_recycled_and_end_when_idle(tmp_path: Path) -> None:
    path = pictures.scene_in(tmp_path)
    async with ImageService(workers=1, jobs_per_worker=2, idle_s=0.05) as image_service:
        await image_service.probe(path)
        await image_service.probe(path)
        await image_service.probe(path)
        assert image_service.stats["started"] == 2
        for _ in range(400):
            if not _workers():
                break
            await asyncio.sleep(0.01)
        assert _workers() == []
        assert (await image_service.probe(path)).width_px == 96


async def test_nothing_starts_before_the_first_picture(image_service: ImageService) -> None:
    assert _workers() == []
    assert image_service.stats["started"] == 0


async def test_many_calls_share_the_workers(tmp_path: Path) -> None:
    path = pictures.scene_in(tmp_path)
    async with ImageService(workers=2) as image_service:
        found = await asyncio.gather(*(image_service.probe(path) for _ in range(40)))
        assert {facts.width_px for facts in found} == {96}
        assert image_service.stats["started"] == 2


async def test_a_worker_knows_no_secret(
    image_service: ImageService, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FAL_KEY", "very-secret")
    await image_service.probe(pictures.scene_in(tmp_path))
    assert "very-secret" not in str(_workers()[0].environ())


async def test_closing_ends_work_in_progress_and_takes_no_more(tmp_path: Path) -> None:
    image_service = ImageService(workers=1)
    task, worker = await _at_work(image_service, _endless(tmp_path))
    waiting = asyncio.create_task(image_service.probe(pictures.scene_in(tmp_path)))
    await asyncio.sleep(0)
    await image_service.close()
    for done in (task, waiting):
        with pytest.raises(errors.Draining):
            await done
    with pytest.raises(errors.Draining):
        await image_service.probe(pictures.scene_in(tmp_path))
    assert not worker.is_running()
    await image_service.close()


async def test_a_worker_ends_when_the_bot_is_gone(image_service: ImageService, tmp_path: Path) -> None:
    await image_service.probe(pictures.scene_in(tmp_path))
    worker = _workers()[0]
    image_service._pool._idle[0].process.stdin.close()  # type: ignore[union-attr]  # what the end of the bot does to the pipe
    await asyncio.to_thread(psutil.wait_procs, [worker], 5)
    assert not worker.is_running()


async def test_a_full_disk_is_reported(
    image_service: ImageService, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: Path) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(job_folder, "link_or_copy", full)
    with pytest.raises(errors.StorageFull):
        await image_service.probe(pictures.scene_in(tmp_path))
