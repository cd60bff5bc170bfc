"""The connected bot, and a check after every test that nothing broke Discord's rules."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.adapters.discord.kit import Bot, running


@pytest.fixture
async def bot(tmp_path: Path) -> AsyncIterator[Bot]:
    async with running(tmp_path) as started:
        yield started
        assert started.discord.violations == []
        assert started.discord.posts.warnings == []
        assert started.core.caught == []
