"""A worker that cannot be started is distinguished from one that an image was too large for."""

import asyncio
import errno
import os
from pathlib import Path

import pytest

from core.domain import errors
from core.images import pool
from core.images.pool import NoWorker
from core.images.service import ImageService
from tests.core.images import pictures


@pytest.mark.parametrize(
    ("program", "error", "told"),
    [
        ("import no_such_library", NoWorker, 1),
        ("raise SystemExit(0)", NoWorker, 1),
        ("import os, signal; os.kill(os.getpid(), signal.SIGKILL)", NoWorker, 1),
        ("import time; time.sleep(60)", NoWorker, 1),
        ("print('ready', flush=True); input(); raise SystemExit(3)", errors.DamagedImage, 0),
        ("print('ready', flush=True); input(); import time; time.sleep(60)", errors.ImageTooCostly, 0),
    ],
)
async def test_an_exit_before_the_job_is_no_worker_and_a_normal_exit_during_it_is_not_over_limit(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, program: str, error: type[Exception], told: int
) -> None:
    replaced = tmp_path / "core" / "images"
    replaced.mkdir(parents=True)
    (replaced / "worker.py").write_text(program)
    news: list[str] = []
    monkeypatch.setattr(pool, "_ROOT", tmp_path)
    async with ImageService(workers=1, timeout_s=1.0, no_worker=lambda: news.append("told")) as image_service:
        with pytest.raises(error):
            await image_service.probe(pictures.scene_in(tmp_path))
    assert len(news) == told


@pytest.mark.parametrize("number", [errno.EAGAIN, errno.ENOMEM])
async def test_failing_to_start_a_process_is_no_worker(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: int
) -> None:
    async def refused(*_: object, **__: object) -> None:
        raise OSError(number, os.strerror(number))

    async with ImageService(workers=1) as image_service:
        with monkeypatch.context() as patched:
            patched.setattr(asyncio, "create_subprocess_exec", refused)
            with pytest.raises(NoWorker):
                await image_service.probe(pictures.scene_in(tmp_path))
        assert (await image_service.probe(pictures.scene_in(tmp_path))).width_px == 96
