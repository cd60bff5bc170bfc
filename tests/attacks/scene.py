"""The bot as a process, everything outside of it, and what an onlooker sees of its health, its rows and its disk."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import json
import os
import sqlite3
import sys
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Iterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

import aiohttp

from tests.attacks.elsewhere import Elsewhere
from tests.bot.process_kit import ROOT, Bot, picture, until
from tests.emulators.discord import DiscordEmulator
from tests.emulators.fal import FalEmulator
from tests.emulators.slack import SlackEmulator
from tests.fakes.media import image_form
from tests.typed import unwrap

T = TypeVar("T")

TOKEN = "correct horse battery staple"
_SCAN_EVERY_S = 0.25
_FOLDERS = ("jobs", "uploads", "scratch")


@dataclass
class Scene:
    """One bot on Discord, with Slack over HTTP, its page behind a token, and real money at an emulated fal."""

    bot: Bot
    fal: FalEmulator
    slack: SlackEmulator
    discord: DiscordEmulator
    elsewhere: Elsewhere
    web: aiohttp.ClientSession
    sources: Sequence[str] = ("127.0.0.1",)
    """The addresses that strangers come from."""
    _turns: Iterator[str] = field(init=False)

    def __post_init__(self) -> None:
        self._turns = itertools.cycle(self.sources)

    async def connect(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        """A stranger's connection, from the next of their addresses."""
        source = next(self._turns)
        return await asyncio.open_connection(self.sources[0], self.bot.port, local_addr=(source, 0))

    def url(self, path: str) -> str:
        return f"http://127.0.0.1:{self.bot.port}{path}"

    @property
    def signed_in(self) -> dict[str, str]:
        return {"Authorization": f"Bearer {TOKEN}"}

    async def post(self, path: str, **how: Any) -> tuple[int, str]:
        """As the operator, signed in; status and body."""
        async with self.web.post(self.url(path), headers=self.signed_in, **how) as answer:
            return answer.status, await answer.text()

    async def hand_in(self, data: bytes) -> tuple[int, str]:
        """As the operator, a picture."""
        return await self.post("/api/jobs", data=image_form(data))

    async def get(self, path: str, **how: Any) -> int:
        """As nobody; the status."""
        async with self.web.get(self.url(path), allow_redirects=False, **how) as answer:
            return answer.status

    def query(self, sql: str, *values: str) -> list[Any]:
        """Rows of the bot's database."""
        with contextlib.closing(sqlite3.connect(self.bot.data_dir / "bot.db", timeout=30)) as database:
            return database.execute(sql, values).fetchall()

    def rows(self) -> Counter[str]:
        """Rows of every table of ours."""
        names = self.query("SELECT name FROM sqlite_master WHERE type = 'table'")
        return Counter({name: self.query(f'SELECT count(*) FROM "{name}"')[0][0] for (name,) in names})

    def states(self) -> Counter[str]:
        """How many jobs are in each state."""
        return Counter(dict(self.query("SELECT state, count(*) FROM jobs GROUP BY state")))

    def disk_bytes(self) -> int:
        """Bytes of pictures, uploads and scratch files."""
        total = 0
        for top in _FOLDERS:
            for folder, _, names in os.walk(self.bot.data_dir / top):  # which passes over what vanishes meanwhile
                for name in names:
                    with contextlib.suppress(OSError):
                        total += (Path(folder) / name).stat().st_size
        return total

    def tracebacks(self) -> int:
        """How many were logged so far."""
        return sum("exception" in event for event in self.bot.events) + sum("Traceback" in x for x in self.bot.noise)


async def each(work: Iterable[Awaitable[T]], at_once: int = 40) -> list[T]:
    """All of these, some at a time; what each gave."""
    turns = asyncio.Semaphore(at_once)

    async def one(task: Awaitable[T]) -> T:
        async with turns:
            return await task

    return await asyncio.gather(*map(one, work))


def counted(found: Iterable[Any]) -> str:
    return ", ".join(f"{count} × {what}" for what, count in sorted(Counter(map(str, found)).items()))


@dataclass(frozen=True)
class Attack:
    """One row of the table. `run` does it `size` times (`short` in tests) and says what happened.

    `leaves_jobs`: a member's jobs are rows.
    """

    said: str
    run: Callable[[Scene, int], Awaitable[str]]
    size: int
    short: int
    leaves_jobs: bool = False


@dataclass
class Seen:
    """What an onlooker saw while an attack ran."""

    attack: Attack
    happened: str = ""
    health: dict[str, float] = field(default_factory=dict)
    new_rows: Counter[str] = field(default_factory=Counter)
    most_disk_bytes: int = 0
    new_tracebacks: int = 0


class Sampler:
    """The process that asks `/healthz`."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self._process = process

    @classmethod
    async def of(cls, port: int) -> Sampler:
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "tests.attacks.sampler", str(port),
            cwd=ROOT, stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE,
        )  # fmt: skip
        return cls(process)

    async def report(self) -> dict[str, float]:
        """What was seen since the last report."""
        assert self._process.stdout is not None
        assert self._process.stdin
        self._process.stdin.write(b"\n")
        await self._process.stdin.drain()
        async with asyncio.timeout(30):
            report: dict[str, float] = json.loads(await self._process.stdout.readline())
        return report

    async def close(self) -> None:
        unwrap(self._process.stdin).close()
        async with asyncio.timeout(30):
            await self._process.wait()


async def watch(scene: Scene, sampler: Sampler, attack: Attack, size: int) -> Seen:
    """Run one attack and look on."""
    seen = Seen(attack)
    before, traces = await asyncio.to_thread(scene.rows), scene.tracebacks()
    await sampler.report()
    running = asyncio.ensure_future(attack.run(scene, size))
    while not running.done():
        seen.most_disk_bytes = max(seen.most_disk_bytes, await asyncio.to_thread(scene.disk_bytes))
        await asyncio.wait({running}, timeout=_SCAN_EVERY_S)
    seen.happened = await running
    seen.health = await sampler.report()
    seen.new_rows = await asyncio.to_thread(scene.rows) - before
    seen.new_tracebacks = scene.tracebacks() - traces
    return seen


async def warm(scene: Scene) -> None:
    """One picture, from the request to its end."""
    status, _ = await scene.hand_in(picture(64, 64, 1))
    assert status == 202, status
    await until(lambda: scene.states()["succeeded"] == 1)


@asynccontextmanager
async def scene_in(folder: Path, elsewhere: Elsewhere, sources: Sequence[str], **settings: str) -> AsyncIterator[Scene]:
    """Everything started, and a first picture made, so that what the bot stores of itself is there."""
    slack = SlackEmulator(tiers=False, processing_s=0.01)
    async with FalEmulator(slots=50, job_s=0.2) as fal, slack, elsewhere, DiscordEmulator() as discord:
        space = slack.member.space()
        discord.limits.everything = discord.limits.webhook = discord.limits.channel = (100_000, 1.0)
        env = {
            **fal.env(), "WEB_TOKEN": TOKEN, "PUBLIC_URL": "https://bot.example", "SLACK_API_URL": slack.api_url,
            "SLACK_CLIENT_ID": slack.client_id, "SLACK_CLIENT_SECRET": slack.client_secret,
            "WEB_HOST": "0.0.0.0",
            "SLACK_BOT_TOKEN": "xoxb-acme-bot-token", "SLACK_SIGNING_SECRET": slack.signing_secret,
            "DISCORD_TOKEN": discord.token, "DISCORD_API_URL": discord.api_url,
            "LIMIT_USER_RUNNING": "3", "ALLOWED_WORKSPACES": f"slack:{space.id},discord:{discord.guild.id}",
            "TRUSTED_FILE_HOSTS": ",".join(slack.file_hosts), **settings,
        }  # fmt: skip
        bot = await Bot(folder / "data", env).start()
        slack.http_target = f"http://127.0.0.1:{bot.port}/slack/events"
        connector = aiohttp.TCPConnector(limit=100, force_close=True)
        try:
            timeout = aiohttp.ClientTimeout(total=120)
            async with aiohttp.ClientSession(connector=connector, timeout=timeout) as web:
                scene = Scene(bot, fal, slack, discord, elsewhere, web, sources)
                await warm(scene)
                await discord.until(lambda: discord.world.commands, 30)
                yield scene
        finally:
            await bot.close()
