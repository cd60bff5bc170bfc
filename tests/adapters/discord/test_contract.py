"""Discord fulfils the contract of chat adapters."""

import asyncio
import re
from collections.abc import AsyncIterator, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from pathlib import Path
from typing import Any

from core.domain.job import Job
from core.ports import Reply
from tests.adapters.discord.fake_service import FakeCore, png
from tests.adapters.discord.kit import make, serving
from tests.contract import AdapterContract, Driver, Shown
from tests.emulators.discord import DiscordEmulator, Fault, SeenMessage, Upload
from tests.typed import unwrap

ESCAPED = re.compile(r"\\([^A-Za-z0-9\s])")


class DiscordDriver(Driver):
    """`/upscale` in a server's channel."""

    def __init__(self, discord: DiscordEmulator, core: FakeCore, task: asyncio.Task[None]) -> None:
        self._discord, self._core, self._task = discord, core, task
        self.gate = core.gate
        self.edit_interval_s = unwrap(core.adapter).min_edit_interval_s

    async def ask(self, name: str = "photo.png") -> None:
        await (await self._discord.invoke("/upscale", {"image": Upload(name, png())})).acknowledged()

    async def ask_twice(self) -> None:
        self._discord.gateway.deliveries = 2
        await self.ask()

    def jobs(self) -> Sequence[Job]:
        return list(self._core.jobs.values())

    def keep(self, job: Job) -> Job:
        self._core.jobs[job.id] = job
        return job

    def reply(self, job: Job) -> Reply:
        return self._core.reply(job.id)

    def shown(self) -> Sequence[Shown]:
        return [self._seen(message) for message in self._discord.messages() if not message.loading]

    @staticmethod
    def _seen(message: SeenMessage) -> Shown:
        links = [button.url for button in message.buttons if button.url]
        text = "\n".join([ESCAPED.sub(r"\1", message.text), *links])
        return Shown(text, len(message.images), tuple(image.alt or "" for image in message.images))

    def writes(self) -> int:
        return len([r for r in self._discord.requests if r.method in ("PATCH", "POST") and _writes(r.json)])

    def pinged(self) -> Sequence[str]:
        return [str(who) for message in self._discord.messages() for who in message.pinged] + [
            found for message in self._discord.messages() for found in _live(message.text)
        ]

    def break_edits(self, times: int) -> None:
        self._discord.faults.append(Fault("PATCH", "status", status=503, times=times))

    def refuse_whole_files(self) -> None:
        self._core.media.original_bytes = 60_000_000

    async def press_cancel(self) -> None:
        [message] = self._discord.messages()
        await self._discord.click(message, "Cancel")

    async def stop(self) -> None:
        self._task.cancel()
        await asyncio.gather(self._task, return_exceptions=True)


def _writes(body: Any) -> bool:
    return isinstance(body, dict) and "components" in body


def _live(text: str) -> list[str]:
    """Unescaped markup of members: a mention, bold, or a named link."""
    return re.findall(r"(?<!\\)<[@#][!&]?\d+>|(?<!\\)@everyone|(?<!\\)\*bold(?<!\\)\*|(?<!\\)\[a(?<!\\)\]\(", text)


@asynccontextmanager
async def _driver(folder: Path) -> AsyncIterator[Driver]:
    async with DiscordEmulator() as discord:
        discord.limits.webhook = (1_000, 1.0)
        core = FakeCore(folder)
        core.script = None
        async with serving(make(discord, core)) as task:
            yield DiscordDriver(discord, core, task)
        assert discord.violations == []


class TestDiscordKeepsTheContract(AdapterContract):
    def started(self, folder: Path) -> AbstractAsyncContextManager[Driver]:
        return _driver(folder)
