"""Serves the page with the fake service on a loopback port; for the tests, and to view it by hand.

`python -m tests.adapters.web.site` serves it on http://127.0.0.1:8091 with unhurried jobs.
"""

import asyncio
import contextlib
import tempfile
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from aiohttp import web

from adapters.web import Settings, WebAdapter, create
from core.accounts.allowlist import AllowList
from tests.adapters.web.fake_service import FakeMedia, FakeService
from tests.fakes.clock import ShiftedClock
from tests.fakes.core import meanwhile
from tests.fakes.service import context_of
from tests.fakes.state import MemoryState
from tests.served import served


@dataclass
class Site:
    """A running page."""

    url: str
    service: FakeService
    adapter: WebAdapter
    clock: ShiftedClock
    data_dir: Path


@contextlib.asynccontextmanager
async def site(
    data_dir: Path, *, pace_s: float = 0.0, port: int = 0, allowlist: AllowList | None = None, **settings: Any
) -> AsyncIterator[Site]:
    """Serve until the context exits. `settings` are the adapter's."""
    clock = ShiftedClock(nap_s=3600.0)
    service = FakeService(data_dir, clock, pace_s=pace_s)
    url = settings.get("public_url")
    context = context_of(service, FakeMedia(data_dir), MemoryState(), url, allowlist=allowlist)
    adapter = create(Settings.model_validate(settings), context)
    app = web.Application()
    app.add_routes(adapter.routes())
    app.router.add_get("/readyz", _readyz)
    async with served(app, port, shutdown_timeout=1) as address, meanwhile(adapter.serve(lambda: None)):
        await asyncio.sleep(0)
        try:
            yield Site(address, service, adapter, clock, data_dir)
        finally:
            await service.crash()


async def _readyz(_: web.Request) -> web.Response:
    return web.json_response({"ready": True, "checks": {}})


async def _by_hand() -> None:
    with tempfile.TemporaryDirectory() as folder:
        async with site(Path(folder), pace_s=0.6, port=8091):
            await asyncio.Event().wait()


if __name__ == "__main__":
    asyncio.run(_by_hand())
