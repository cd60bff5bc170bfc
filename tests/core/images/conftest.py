"""Shared fixtures: one event loop and one image service per test module."""

import hashlib
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path

import pytest
import pytest_asyncio

from core.images.service import ImageService, PreparedImage
from tests.core.images import pictures


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    here = Path(__file__).parent
    for item in (one for one in items if isinstance(one, pytest.Function) and here in one.path.parents):
        if "image_service" in item.fixturenames and not hasattr(item.module, "image_service"):
            item.add_marker(pytest.mark.asyncio(loop_scope="module"), append=False)


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def image_service() -> AsyncIterator[ImageService]:
    async with ImageService(workers=1) as made:
        yield made


@dataclass(frozen=True)
class Bench:
    """An image service and a folder for its files."""

    service: ImageService
    folder: Path

    def file(self, data: bytes, name: str = "in") -> Path:
        path = self.folder / name
        path.write_bytes(data)
        return path

    async def prepare(self, data: bytes) -> tuple[PreparedImage, bytes]:
        """Prepare a file for the model; also return the prepared bytes."""
        source, out = self.file(data), self.folder / "out"
        made = await self.service.prepare(source, out)
        written = out.read_bytes()
        assert made.bytes == len(written)
        assert made.sha256 == hashlib.sha256(written).hexdigest()
        assert made.source.bytes == len(data)
        assert (made.width_px, made.height_px) == pictures.decoded(written).size
        assert source.read_bytes() == data
        return made, written


@pytest.fixture
def bench(image_service: ImageService, tmp_path: Path) -> Bench:
    return Bench(image_service, tmp_path)


@pytest.fixture
async def fresh_bench(tmp_path: Path) -> AsyncIterator[Bench]:
    """A service with its own worker, whose memory was used by this test only."""
    async with ImageService(workers=1) as made:
        yield Bench(made, tmp_path)
