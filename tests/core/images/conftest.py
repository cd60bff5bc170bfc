"""What most tests of pixel work share: a loop for each file, and in it a service whose worker serves the whole file."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio

from core.images.service import ImageService


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        here = isinstance(item, pytest.Function) and Path(__file__).parent in item.path.parents
        if here and "image_service" in item.fixturenames and not hasattr(item.module, "image_service"):
            item.add_marker(pytest.mark.asyncio(loop_scope="module"), append=False)


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def image_service() -> AsyncIterator[ImageService]:
    async with ImageService(workers=1) as made:
        yield made


@pytest.fixture
async def fresh_service() -> AsyncIterator[ImageService]:
    """With a worker of its own, whose memory is only what this test used."""
    async with ImageService(workers=1) as made:
        yield made
