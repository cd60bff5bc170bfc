"""What many tests of the core begin with: a world around the pipeline."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.core.jobs.pipeline_kit import World, world


@pytest.fixture
async def w(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[World]:
    """On SQLite; in a module that uses `any_database_url`, on both databases."""
    both = "any_database_url" in request.fixturenames
    async with world(tmp_path, request.getfixturevalue("any_database_url") if both else None) as made:
        yield made
