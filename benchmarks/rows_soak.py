"""A soak: the whole bot under constant work with a clock that runs ahead, so that minutes stand for months.

After each round of jobs the clock jumps by half a day and everything that the bot does by itself is done. What may be
kept for a while (pictures a day, windows of limits forty, jobs and entries as
`HISTORY_DAYS` says) comes and goes several times; nothing may grow between the middle and the end.
"""

import asyncio
import gc
import os
import sqlite3
import statistics
import tempfile
import time
from pathlib import Path
from typing import Any

import psutil

from benchmarks.kit import InstantModel, ask, ended, noise_picture, quiet, rss_bytes, running_bot
from bot.app import App
from core.ports import SystemClock

ROUND = 60
JUMP_S = 43_200.0
HISTORY_DAYS = 30


class AheadClock(SystemClock):
    """The machine's clock, some time ahead."""

    ahead_s = 0.0

    def now(self) -> float:
        return super().now() + self.ahead_s


async def _round(app: App, picture: Path, number: int) -> None:
    os.utime(picture, times=(app.clock.now(), app.clock.now()))  # else it is an old upload at once
    jobs = await asyncio.gather(*(ask(app, picture, one, f"r{number}") for one in range(ROUND)))
    await asyncio.gather(*(ended(app, job.id) for job in jobs))


async def _maintain(app: App) -> None:
    for task in (*app.process_tasks, *app.maintenance.maintenance_tasks):
        await task.work()


def _rows(file: Path) -> int:
    """Of all tables of a database."""
    with sqlite3.connect(file) as connection:
        names = [name for (name,) in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")]
        return sum(connection.execute(f'SELECT count(*) FROM "{name}"').fetchone()[0] for name in names)


def _seen(folder: Path) -> dict[str, float]:
    gc.collect()
    files = sum(path.is_file() and not path.name.startswith("bot.db") for path in folder.rglob("*"))
    return {
        "mb": rss_bytes() / 1e6,
        "tasks": len(asyncio.all_tasks()),
        "open": psutil.Process().num_fds(),
        "files": files,
        "rows": _rows(folder / "bot.db"),
    }


async def soak(seconds: float) -> dict[str, Any]:
    """Means of everything counted in the middle fifth and in the last; jobs and days that went by."""
    quiet()
    clock = AheadClock()
    seen: list[dict[str, float]] = []
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        picture, model = (
            noise_picture(folder / "in.png", 64, 48),
            InstantModel(noise_picture(folder / "out.png", 128, 96)),
        )
        limits: dict[str, Any] = {"retention_days": 1, "history_days": HISTORY_DAYS}
        async with running_bot(folder / "data", model, clock=clock, **limits) as app:
            began = time.monotonic()
            while time.monotonic() < began + seconds or len(seen) < 10:
                await _round(app, picture, len(seen))
                clock.ahead_s += JUMP_S
                await _maintain(app)
                seen.append(_seen(folder / "data"))
    fifth = len(seen) // 5
    middle, last = seen[2 * fifth : 3 * fifth], seen[-fifth:]
    return {
        "jobs": len(seen) * ROUND,
        "days": clock.ahead_s / 86_400,
        **{key: [statistics.mean(one[key] for one in part) for part in (middle, last)] for key in seen[0]},
    }
