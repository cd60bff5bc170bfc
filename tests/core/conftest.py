"""What many tests of the core begin with: a world around the pipeline."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.core.jobs.pipeline_kit import World, world


@pytest.fixture
async def w(tmp_path: Path) -> AsyncIterator[World]:
    """On SQLite."""
    async with world(tmp_path) as made:
        yield made
