"""Measurements of the bot by itself: whole jobs per second, growth, an idle process, the time to start, a takeover."""

import asyncio
import dataclasses
import statistics
import tempfile
import time
from pathlib import Path
from typing import Any

import psutil

from benchmarks.kit import (
    MEMBER,
    InstantModel,
    a_database,
    ask,
    cpu_of_this_process,
    ended,
    noise_picture,
    quiet,
    running_bot,
)
from bot.app import App
from core.domain.job import Job, JobState, job_id_for
from tests.bot.process_kit import Bot, Client, client_of, until
from tests.emulators.fal import FalEmulator

IDLE_S = 15.0
POSTED_AT_ONCE = 20
WITHIN_S = 120.0
SETTLED_S = 10.0
"""A server that has just started, as that of the measurement, frees every lock: nobody is taken for dead meanwhile."""


async def _burst(app: App, picture: Path, count: int, run: str) -> float:
    """Whole jobs per second, all handed in at once."""
    began = time.perf_counter()
    jobs = await asyncio.gather(*(ask(app, picture, number, run) for number in range(count)))
    await asyncio.gather(*(ended(app, job.id) for job in jobs))
    return count / (time.perf_counter() - began)


async def _throughput(folder: Path, database: str, count: int, rounds: int, old: int = 0) -> dict[str, Any]:
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
        return {"rate": rate, "cpu_ms": 1000 * used / rate}


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
        async with a_database(database) as url:
            return await _throughput(Path(name), url, count, rounds, old)


async def idle() -> dict[str, Any]:
    """Seconds from the start of the process to a listening port (not the first start), memory and processor at rest."""
    starts = []
    with tempfile.TemporaryDirectory() as folder:
        bot = Bot(Path(folder), {"SECRET_KEY": ""})
        for _ in range(4):
            await bot.close()
            began = time.monotonic()
            await bot.start()
            starts.append(time.monotonic() - began)
        try:
            await asyncio.sleep(3)
            found = psutil.Process(bot.pid)
            before, began = sum(found.cpu_times()[:2]), time.monotonic()
            await asyncio.sleep(IDLE_S)
            cpu = 100 * (sum(found.cpu_times()[:2]) - before) / (time.monotonic() - began)
            mb = found.memory_info().rss / 1e6
        finally:
            await bot.close()
    return {"ready_s": statistics.median(starts[1:]), "mb": mb, "cpu": cpu}


async def _hand_in(client: Client, fal: FalEmulator, jobs: int) -> None:
    """All of them wait at fal when this returns."""
    for start in range(0, jobs, POSTED_AT_ONCE):
        await asyncio.gather(*(client.post(number) for number in range(start, start + POSTED_AT_ONCE)))
    await until(lambda: len(fal.seen("stream")) >= jobs, within_s=WITHIN_S)


async def takeover(jobs: int) -> dict[str, Any]:
    """Seconds from the `kill -9` of a process until another on its PostgreSQL asks fal again, over all its jobs."""
    with tempfile.TemporaryDirectory() as folder:
        async with a_database("postgresql") as url, FalEmulator(slots=1_000_000, job_s=600.0) as fal:
            env = {**fal.env(), "DATABASE_URL": url, "LIMIT_USER_WAITING": "none"}
            dying, living = (Bot(Path(folder, name), env) for name in ("dying", "living"))
            try:
                await dying.start()
                await living.start()
                async with client_of(dying) as client:
                    await _hand_in(client, fal, jobs)
                await asyncio.sleep(SETTLED_S)
                killed_at = time.monotonic()
                await dying.kill()
                await until(lambda: len(fal.seen("stream")) >= 2 * jobs, within_s=WITHIN_S)
                waits = [seen.at_s - killed_at for seen in fal.seen("stream")[jobs:]]
            finally:
                await asyncio.gather(dying.close(), living.close())
    return {"p50": statistics.median(waits), "max": max(waits)}
