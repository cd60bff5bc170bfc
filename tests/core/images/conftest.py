"""What most tests of pixel work share: a loop for each file, and in it a service whose worker serves the whole file."""

import hashlib
from collections.abc import AsyncIterator, Awaitable, Callable
from functools import partial
from pathlib import Path

import pytest
import pytest_asyncio

from core.images.service import ImageService, Prepared
from tests.core.images import pictures

Prepare = Callable[[bytes], Awaitable[tuple[Prepared, bytes]]]


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


async def prepare_by(service: ImageService, folder: Path, data: bytes) -> tuple[Prepared, bytes]:
    """What the model gets of a file, and that file's bytes."""
    source, out = folder / "in", folder / "out"
    source.write_bytes(data)
    made = await service.prepare(source, out)
    written = out.read_bytes()
    assert made.bytes == len(written)
    assert made.sha256 == hashlib.sha256(written).hexdigest()
    assert made.source.bytes == len(data)
    assert (made.width_px, made.height_px) == pictures.decoded(written).size
    assert source.read_bytes() == data
    return made, written


@pytest.fixture
def prepared(image_service: ImageService, tmp_path: Path) -> Prepare:
    return partial(prepare_by, image_service, tmp_path)
