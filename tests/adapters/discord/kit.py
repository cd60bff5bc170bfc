"""Starts the real adapter on the real discord.py against the emulator, with the core in memory."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from adapters.discord import DiscordAdapter, Settings, create
from core.ports import AdapterContext
from tests.adapters.discord.fake_service import FakeCore
from tests.emulators.discord import DiscordEmulator, Invocation, SeenMessage


def context(core: FakeCore) -> AdapterContext:
    return AdapterContext(
        service=core,
        media=core.media,
        state=core.state,
        clock=core.clock,
        data_dir=core.folder,
        public_url=None,
        version="test",
        trusted_file_hosts=("127.0.0.1",),
    )


def make(discord: DiscordEmulator, core: FakeCore, **settings: Any) -> DiscordAdapter:
    adapter = create(
        Settings.model_validate(
            {"discord_token": discord.token, "discord_api_url": discord.api_url, "shutdown_grace_s": 8.0, **settings}
        ),
        context(core),
    )
    core.adapter = adapter
    return adapter


@asynccontextmanager
async def serving(adapter: DiscordAdapter) -> AsyncIterator[asyncio.Task[None]]:
    """The adapter, connected; cancelled and drained at the end."""
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
    """Press Delete, and agree to the question that comes; what becomes of the question is the answer."""
    pressed = await discord.click(message, "Delete", **place)
    question = await discord.until(lambda: next(iter(pressed.followups), None))
    assert question.ephemeral
    return await discord.click(question, "Delete", **place)


class Bot:
    """What most tests need: the emulator, the core, the adapter, connected."""

    def __init__(self, discord: DiscordEmulator, core: FakeCore, adapter: DiscordAdapter) -> None:
        self.discord = discord
        self.core = core
        self.adapter = adapter


@asynccontextmanager
async def running(directory: Path, **settings: Any) -> AsyncIterator[Bot]:
    async with DiscordEmulator() as discord:
        core = FakeCore(directory)
        adapter = make(discord, core, **settings)
        async with serving(adapter):
            yield Bot(discord, core, adapter)
