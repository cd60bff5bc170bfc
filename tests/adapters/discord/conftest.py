"""The connected bot, with a check after every test that it broke none of Discord's rules."""

from collections.abc import AsyncIterator
from pathlib import Path

import aiohttp
import pytest

from tests.adapters.discord.kit import Bot, running
from tests.adapters.discord.raw import COMMANDS, Raw
from tests.emulators.discord import DiscordEmulator


@pytest.fixture
async def bot(tmp_path: Path) -> AsyncIterator[Bot]:
    async with running(tmp_path) as started:
        yield started
        assert started.discord.violations == []
        assert started.discord.posts.warnings == []
        assert started.core.caught == []


@pytest.fixture
async def raw() -> AsyncIterator[Raw]:
    async with DiscordEmulator() as discord, aiohttp.ClientSession() as session:
        made = Raw(discord, session)
        status, _ = await made.call("PUT", f"/applications/{discord.world.application_id}/commands", json=COMMANDS)
        assert status == 200
        discord.gateway.sessions.clear()
        yield made
