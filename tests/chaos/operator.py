"""What an operator does in the middle of it all: a new key, a start with a wrong one, a backup put back."""

import asyncio
import random
import signal
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from sqlalchemy import select

from core.domain.job import Job
from core.ports import SystemClock
from core.storage import tables
from core.storage.database import Database
from core.storage.encryption import Vault
from core.storage.jobs import SqlJobStore
from tests.bot.process_kit import Bot
from tests.fakes.core import closing

FIRST_KEY = "the key of the first day"
_FREE_WITHIN_S = 20.0
"""A killed process's connections to the database end a moment after it."""


@dataclass
class Operator:
    """`url` is the database's own address, past the network that processes are cut off from."""

    url: str
    folder: Path
    bots: Sequence[Bot]
    chance: random.Random
    key: str = FIRST_KEY
    keys: int = 1
    backups: int = 0
    forgotten: dict[str, int | None] = field(default_factory=dict)
    """Jobs of which a restored backup knew nothing, or not the end; id → seed."""

    async def jobs(self) -> list[Job]:
        """Every job in the database."""
        async with closing(Database.connect(self.url)) as database:
            store = SqlJobStore(database, Vault(self.key), SystemClock())
            async with database.read() as connection:
                ids = list((await connection.scalars(select(tables.jobs.c.id))).all())
            return [job for job in [await store.get(job_id) for job_id in ids] if job is not None]

    async def _told(self) -> set[str]:
        """Ids of jobs that have ended and of which nothing is left to be said."""
        ended = {job.id for job in await self.jobs() if job.state.terminal}
        async with closing(Database.connect(self.url)) as database, database.read() as connection:
            return ended - set((await connection.scalars(select(tables.obligations.c.job_id))).all())

    async def change_key(self) -> None:
        """Every process ends; a start under a foreign key is refused; all start with a new key beside the old one."""
        await self._stop_all()
        foreign = Bot(self.folder / "foreign", {**self.bots[0].env, "SECRET_KEY": f"foreign {self.chance.random()}"})
        foreign.data_dir.mkdir(exist_ok=True)
        code, said = await foreign.command("run")
        assert code != 0, said
        assert "SECRET_KEY_OLD" in said, said
        self.keys += 1
        new = f"the key of day {self.keys}"
        for bot in self.bots:
            bot.env |= {"SECRET_KEY": new, "SECRET_KEY_OLD": self.key}
        self.key = new
        await self._start_all()

    async def restore(self) -> None:
        """A backup is made, life goes on, and then it is put back."""
        self.backups += 1
        file = self.folder / f"{self.backups}.backup"
        told = await self._told()
        code, said = await self.bots[0].command("backup", str(file))
        assert code == 0, said
        await asyncio.sleep(self.chance.uniform(1, 4))
        await self._stop_all()
        self.forgotten |= {job.id: job.parameters.seed for job in await self.jobs() if job.id not in told}
        deadline = time.monotonic() + _FREE_WITHIN_S
        code, said = await self.bots[0].command("restore", str(file), "--yes")
        while "stop it first" in said and time.monotonic() < deadline:
            code, said = await self.bots[0].command("restore", str(file), "--yes")
        assert code == 0, said
        await self._start_all()

    async def _stop_all(self) -> None:
        """Some are told to end, some are killed."""
        for bot in self.bots:
            bot.signal(self.chance.choice((signal.SIGTERM, signal.SIGKILL)))
        await asyncio.gather(*(bot.ended() for bot in self.bots))

    async def _start_all(self) -> None:
        await asyncio.gather(*(bot.start() for bot in self.bots))
