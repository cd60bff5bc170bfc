"""The real bot as a real process, to be killed, frozen and started again; and a small client of its HTTP API."""

from __future__ import annotations

import asyncio
import hashlib
import json
import os
import signal
import sys
import time
from collections import Counter
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path
from typing import Any, Protocol

import aiohttp
import pyvips
from sqlalchemy import func, select

from core.domain.job import job_id_for
from core.storage import tables_ledger
from core.storage.database import Database
from tests.emulators.discord import DiscordEmulator
from tests.emulators.fal import FalEmulator
from tests.emulators.slack import SlackEmulator
from tests.fakes import core
from tests.fakes.core import closing
from tests.fakes.media import image_form
from tests.typed import unwrap

ROOT = Path(__file__).resolve().parents[2]
START_S = 60.0
TERMINAL = {"succeeded", "failed", "cancelled", "refused"}
PRICE_USD = 0.1

UNLIMITED = {
    "LIMIT_USER_DAY_USD": "none",
    "LIMIT_WORKSPACE_DAY_USD": "none",
    "LIMIT_GLOBAL_DAY_USD": "none",
    "LIMIT_USER_RUNNING": "none",
}

SANDBOX = {"UPSCALE_BACKEND": "sandbox", **dict.fromkeys(UNLIMITED, "")}
"""Play money, and the limits that the bot has by itself."""


def _heed_hangups() -> None:
    """Undo `nohup`, under which these tests may run."""
    signal.signal(signal.SIGHUP, signal.SIG_DFL)


class Bot:
    """`python -m bot run` in a folder of its own. `events` has the log as far as it was read."""

    def __init__(self, data_dir: Path, env: dict[str, str]) -> None:
        self.data_dir = data_dir
        self.env = env
        self.events: list[dict[str, Any]] = []
        self.noise: list[str] = []
        self.port = 0
        self.process: asyncio.subprocess.Process | None = None
        self._reader: asyncio.Task[None] | None = None

    @property
    def pid(self) -> int:
        return unwrap(self.process).pid

    def environment(self) -> dict[str, str]:
        keep = {name: os.environ[name] for name in ("PATH", "HOME", "TMPDIR", "LANG") if name in os.environ}
        given = {
            **keep, "PYTHONPATH": str(ROOT), "PYTHONUNBUFFERED": "1", "DATA_DIR": str(self.data_dir), "WEB_PORT": "0",
            "LOG_FORMAT": "json", "SECRET_KEY": "the same on every machine", **UNLIMITED, **self.env,
        }  # fmt: skip
        return {name: value for name, value in given.items() if value or name not in self.env}

    async def start(self) -> Bot:
        """Start, or start again; returns when it listens."""
        self.data_dir.mkdir(parents=True, exist_ok=True)
        self.port = 0
        self.process = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "bot", "run",
            cwd=self.data_dir,
            env=self.environment(),
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
            limit=1 << 20,
            preexec_fn=_heed_hangups,
        )  # fmt: skip
        self._reader = asyncio.create_task(self._read(self.process))
        await until(lambda: self.port > 0 or self._reader is None or self._reader.done(), within_s=START_S)
        assert self.port, "the bot did not start:\n" + "\n".join(self.noise[-30:])
        return self

    async def _read(self, process: asyncio.subprocess.Process) -> None:
        assert process.stdout is not None
        async for line in process.stdout:
            with (self.data_dir / "log").open("ab") as log:
                log.write(line)
            try:
                event = json.loads(line)
            except ValueError:
                self.noise.append(line.decode(errors="replace").rstrip())
                continue
            self.events.append(event)
            if event.get("event") == "http_listening":
                self.port = int(event["port"])

    def signal(self, number: signal.Signals) -> None:
        os.kill(self.pid, number)

    async def kill(self) -> None:
        """kill -9; returns when its child processes have ended too."""
        self.signal(signal.SIGKILL)
        await self.ended()

    async def ended(self, within_s: float = 30.0) -> int:
        """Wait for its end; returns the exit code."""
        assert self.process is not None
        async with asyncio.timeout(within_s):
            code = await self.process.wait()
            if self._reader is not None:
                await self._reader
        return code

    async def close(self) -> None:
        if self.process is not None and self.process.returncode is None:
            self.signal(signal.SIGCONT)
            await self.kill()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def log(self) -> str:
        return (self.data_dir / "log").read_text()

    @property
    def name(self) -> str:
        """The process's name; changes with every start."""
        return next(str(event["process"]) for event in reversed(self.events) if event.get("event") == "signed_in")

    async def __aenter__(self) -> Bot:
        try:
            return await self.start()
        except BaseException:
            await self.close()
            raise

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    async def command(self, *arguments: str) -> tuple[int, str]:
        """Run `python -m bot …` with the settings of this bot; returns the exit code and the output."""
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "bot", *arguments,
            cwd=self.data_dir, env=self.environment(), stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT,
        )  # fmt: skip
        said, _ = await asyncio.wait_for(process.communicate(), 60)
        return process.returncode or 0, said.decode()

    def errors(self) -> list[dict[str, Any]]:
        return [event for event in self.events if event.get("level") in {"error", "critical"}]


@asynccontextmanager
async def on_both_platforms(
    data_dir: Path, fal: FalEmulator
) -> AsyncIterator[tuple[Bot, DiscordEmulator, SlackEmulator]]:
    """One process, connected to Discord and to Slack; neither it nor the emulators may report an error."""
    async with DiscordEmulator() as discord, SlackEmulator(processing_s=0.03) as slack:
        discord.limits.everything = (10_000, 1.0)
        async with Bot(data_dir, fal.env() | discord.env() | slack.env()) as bot:
            await discord.gateway.wait_connected(timeout_s=30)
            await discord.until(lambda: discord.world.commands, 30)
            await until(lambda: bool(slack.socket.connections))
            yield bot, discord, slack
            assert bot.errors() == []
        assert [emulator.violations for emulator in (fal, discord, slack)] == [[], [], []]


until = partial(core.until, every_s=0.02)
"""A process takes its time, and is not to be disturbed by who waits for it."""


def picture(width_px: int, height_px: int, salt: int) -> bytes:
    """A small real PNG, different for every salt."""
    band = pyvips.Image.gaussnoise(width_px, height_px, mean=128, sigma=40, seed=salt).cast("uchar")
    data: bytes = band.bandjoin([band, band]).copy(interpretation="srgb").pngsave_buffer(compression=1)
    return data


class Listening(Protocol):
    """A bot that serves the page, in a process of its own or in this one."""

    port: int


class Client:
    """The HTTP API of one bot (change `bot` to use another). Jobs are identified by a number, their seed."""

    def __init__(self, session: aiohttp.ClientSession, bot: Listening) -> None:
        self.session = session
        self.bot = bot

    @staticmethod
    def job_id(number: int) -> str:
        """The id of the job posted under this number."""
        digest = hashlib.sha256(f"job-{number}".encode()).hexdigest()
        return job_id_for(f"web:job:{digest}")

    def url(self, path: str) -> str:
        return f"http://127.0.0.1:{self.bot.port}{path}"

    async def post(
        self, number: int, *, width_px: int = 64, height_px: int = 48, text: str = "2x seed={seed}"
    ) -> dict[str, Any]:
        """Post a picture; returns the response (202), or fails."""
        data = await asyncio.to_thread(picture, width_px, height_px, number)
        form = image_form(data, text=text.format(seed=number))
        headers = {"Idempotency-Key": f"job-{number}"}
        async with self.session.post(self.url("/api/jobs"), data=form, headers=headers) as response:
            body: dict[str, Any] = await response.json()
            assert response.status == 202, (response.status, body)
            return body

    async def try_post(self, number: int) -> tuple[int, dict[str, Any]]:
        """Post a picture once; returns the status and the body."""
        async with self.session.post(self.url("/api/jobs"), json={"url": f"https://example.org/{number}"}) as response:
            return response.status, await response.json()

    async def job(self, number: int) -> dict[str, Any]:
        async with self.session.get(self.url(f"/api/jobs/{self.job_id(number)}")) as response:
            body: dict[str, Any] = await response.json()
            return body if response.status == 200 else {"state": f"HTTP {response.status}"}

    async def image(self, number: int) -> bytes:
        async with self.session.get(self.url(f"/api/jobs/{self.job_id(number)}/image")) as response:
            assert response.status == 200, response.status
            return await response.read()

    async def finished(self, numbers: Sequence[int], *, within_s: float = 60.0) -> list[dict[str, Any]]:
        """Wait until all jobs have ended, polling only those that have not."""
        deadline, jobs = time.monotonic() + within_s, dict[int, dict[str, Any]]()
        while left := [n for n in numbers if n not in jobs or jobs[n]["state"] not in TERMINAL]:
            jobs |= {number: await self.job(number) for number in left}
            late = [(job["state"], job.get("progress")) for job in jobs.values() if job["state"] not in TERMINAL]
            assert not late or time.monotonic() < deadline, late
            await asyncio.sleep(0.1 if late else 0)
        return [jobs[number] for number in numbers]


@asynccontextmanager
async def client_of(bot: Listening) -> AsyncIterator[Client]:
    timeout = aiohttp.ClientTimeout(total=120)
    async with aiohttp.ClientSession(timeout=timeout, connector=aiohttp.TCPConnector(limit=300)) as session:
        yield Client(session, bot)


def accepted(fal: FalEmulator) -> Counter[int]:
    """Return how many requests fal accepted for each job's seed."""
    return Counter(int(job.model_input["seed"]) for job in fal.jobs.values())


def check_receipts(jobs: Sequence[dict[str, Any]]) -> None:
    """Check that all succeeded, each charged once what fal bills for one megapixel."""
    for job in jobs:
        assert job["state"] == "succeeded", (job["state"], job.get("error"))
        assert job["receipt"]["charged_usd"] == PRICE_USD, job["receipt"]
        assert job["receipt"]["basis"] == "units"


async def check_ledger(url: str, *, jobs: int) -> None:
    """Check that every job is charged once, and nothing is held."""
    e, h = tables_ledger.entries.c, tables_ledger.holds.c
    async with closing(Database.connect(url)) as database, database.read() as connection:
        sums = select(func.sum(e.used_nanousd), func.sum(e.held_nanousd))
        used, held = (await connection.execute(sums)).one()
        settled = (await connection.execute(select(func.count()).where(e.kind == "settle"))).scalar_one()
        still = select(func.count()).where(h.state.in_(("waiting", "running")))
        still_held = (await connection.execute(still)).scalar_one()
    assert (int(used), int(held), settled, still_held) == (jobs * 100_000_000, 0, jobs, 0)
