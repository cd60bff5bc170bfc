"""The web as links reach it, and the price of a megapixel."""

import asyncio
from collections import deque
from dataclasses import dataclass
from pathlib import Path

from core.domain.models import MODELS, ModelSpec
from tests.fakes.images import fake_picture


class FakeSources:
    """The web: `pages` by address. `errors` are raised by the next fetches."""

    def __init__(self) -> None:
        self.pages: dict[str, bytes] = {}
        self.errors: deque[BaseException] = deque()
        self.fetched: list[str] = []

    async def fetch_link(self, url: str, dest: Path) -> None:
        await self._fetch(url, dest)

    async def fetch_trusted(self, url: str, dest: Path, headers: object, hosts: object) -> None:
        await self._fetch(url, dest)

    async def _fetch(self, url: str, dest: Path) -> None:
        self.fetched.append(url)
        if self.errors:
            raise self.errors.popleft()
        await asyncio.sleep(0)
        dest.write_bytes(self.pages.get(url, fake_picture(salt=url)))


@dataclass
class FakePrices:
    """The price of a megapixel of the first model; others cost what their files say."""

    nanousd: int = 100_000_000

    async def smallest(self) -> int:
        return self.nanousd

    async def unit_price(self, model: ModelSpec = MODELS.default) -> int:
        return self.nanousd if model.id == MODELS.default.id else model.unit_price_nanousd
