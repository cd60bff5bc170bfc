"""Starts the real adapter with discord.py against the emulator, with an in-memory core."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from adapters.discord.adapter import DiscordAdapter, create
from adapters.discord.settings import Settings
from core.domain.job import Progress
from tests.adapters.discord.fake_service import FakeCore, png
from tests.emulators.discord import DiscordEmulator, Invocation, SeenMessage, Upload
from tests.fakes.service import context_of

PICTURE = Upload("harbour.png", png())


def make(discord: DiscordEmulator, core: FakeCore, **settings: Any) -> DiscordAdapter:
    adapter = create(
        Settings.model_validate(
            {"discord_token": discord.token, "discord_api_url": discord.api_url, "shutdown_grace_s": 8.0, **settings}
        ),
        context_of(core, core.media, core.state, trusted_file_hosts=("127.0.0.1",), operator=core.operator),
    )
    core.adapter = adapter
    return adapter


@asynccontextmanager
async def serving(adapter: DiscordAdapter) -> AsyncIterator[asyncio.Task[None]]:
    """Run the adapter until it is connected; cancel and drain it at the end."""
    ready = asyncio.Event()
    task = asyncio.create_task(adapter.serve(ready.set))
    waiting = asyncio.create_task(ready.wait())
    try:
        await asyncio.wait({task, waiting}, timeout=20, return_when=asyncio.FIRST_COMPLETED)
        if task.done():
            task.result()
        assert ready.is_set(), "the adapter did not become ready"
        yield task
    finally:
        waiting.cancel()
        task.cancel()
        await asyncio.gather(task, waiting, return_exceptions=True)


async def delete(discord: DiscordEmulator, message: SeenMessage, **place: Any) -> Invocation:
    """Press Delete and confirm; return the invocation of the confirmation."""
    pressed = await discord.click(message, "Delete", **place)
    question = await discord.until(lambda: next(iter(pressed.followups), None), 60)  # a slow database has ten
    assert question.ephemeral
    return await discord.click(question, "Delete", **place)


@dataclass
class Bot:
    """The emulator, the core and the connected adapter."""

    discord: DiscordEmulator
    core: FakeCore
    adapter: DiscordAdapter

    async def ask(
        self,
        name: str,
        options: dict[str, Any] | None = None,
        test: Callable[[SeenMessage], object] = lambda _: True,
        **place: Any,
    ) -> SeenMessage:
        """Use a command; return its response."""
        return await (await self.discord.invoke(name, options, **place)).answer(test)

    async def waiting(self, options: dict[str, Any] | None = None, **place: Any) -> tuple[Invocation, str]:
        """Start an `/upscale` whose job does not progress; return its invocation and id."""
        self.core.script, before = None, set(self.core.jobs)
        started = await self.discord.invoke("/upscale", {"image": PICTURE, **(options or {})}, **place)
        return started, await self.discord.until(lambda: next(iter(set(self.core.jobs) - before), None))

    async def upscaling(self, options: dict[str, Any] | None = None, **place: Any) -> tuple[Invocation, str]:
        """The same, with the job at the model."""
        started, job_id = await self.waiting(options, **place)
        await self.core.progress(job_id, Progress("upscaling", percent=10))
        return started, job_id


async def upscale(bot: Bot) -> None:
    await bot.ask("/upscale", {"image": PICTURE}, test=lambda m: m.images)


@asynccontextmanager
async def running(directory: Path, **settings: Any) -> AsyncIterator[Bot]:
    async with DiscordEmulator() as discord:
        discord.limits.webhook, discord.limits.channel = (5, 0.2), (5, 0.5)  # as many as ever, in a tenth of the time
        core = FakeCore(directory)
        adapter = make(discord, core, **settings)
        async with serving(adapter):
            yield Bot(discord, core, adapter)
