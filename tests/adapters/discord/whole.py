"""The whole bot in this process, with its real core and ledger, against the emulators of Discord and fal."""

import asyncio
from collections import defaultdict
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import discord
import pytest
from sqlalchemy import select

from bot.app import App
from bot.settings import load
from core.domain.job import Job, job_id_for
from core.storage import tables_ledger
from tests.bot.process_kit import UNLIMITED
from tests.emulators.discord import DiscordEmulator
from tests.emulators.fal import FalEmulator
from tests.fakes.clock import ShiftedClock


@dataclass
class Whole:
    """`app` runs in this process, so that a test can read its ledger and move its clock."""

    app: App
    discord: DiscordEmulator
    fal: FalEmulator
    clock: ShiftedClock

    async def job(self, key: str) -> Job | None:
        return await self.app.store.get(job_id_for(key))

    async def ended(self, key: str, within_s: float = 200.0) -> Job:
        """Wait until the job of this key has ended."""
        async with asyncio.timeout(within_s):
            while (job := await self.job(key)) is None or not job.state.terminal:
                await asyncio.sleep(0.05)
        return job

    async def settled(self, within_s: float = 200.0) -> None:
        """Wait until all jobs have ended and all their messages are sent."""
        async with asyncio.timeout(within_s):
            while self.app.pipeline.jobs_here or await self.app.ctx.obligations.take_due(1):
                await asyncio.sleep(0.05)

    async def charges(self) -> dict[str, list[int]]:
        """The settled amounts by job id; a job that was charged twice has two."""
        e, found = tables_ledger.entries.c, defaultdict(list)
        async with self.app.database.read() as connection:
            for key, used in await connection.execute(select(e.job_key, e.used_nanousd).where(e.used_nanousd != 0)):
                found[key].append(int(used))
        return found

    async def held(self) -> int:
        """The number of open holds."""
        h = tables_ledger.holds.c
        async with self.app.database.read() as connection:
            return len((await connection.execute(select(h.key).where(h.state.in_(("waiting", "running"))))).all())


class _ShortSleeps:
    """asyncio with short sleeps for discord.py, whose own retries would take minutes."""

    def __getattr__(self, name: str) -> Any:
        return getattr(asyncio, name)

    async def sleep(self, seconds: float) -> None:
        await asyncio.sleep(min(seconds, 0.05))


@asynccontextmanager
async def whole_bot(folder: Path, patch: pytest.MonkeyPatch, **env: str) -> AsyncIterator[Whole]:
    clock = ShiftedClock(nap_s=0.25)
    for library in (discord.http, discord.webhook.async_):
        patch.setattr(library, "asyncio", _ShortSleeps())
    async with DiscordEmulator() as emulator, FalEmulator(slots=100) as fal:
        emulator.limits.everything = emulator.limits.webhook = emulator.limits.channel = (100_000, 1.0)
        settings = {
            **UNLIMITED, **fal.env(), **emulator.env(),
            "DATA_DIR": str(folder / "data"), "WEB_PORT": "0", "LOG_LEVEL": "error", **env,
        }  # fmt: skip
        for name, value in settings.items():
            patch.setenv(name, value)
        async with App(load(None), clock=clock) as app:
            await emulator.gateway.wait_connected(timeout_s=30)
            await emulator.until(lambda: emulator.world.commands, 30)
            yield Whole(app, emulator, fal, clock)
