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
from tests.fakes.service import context_of
from tests.fakes.state import MemoryState


@dataclass
class Site:
    """A running page."""

    url: str
    port: int
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
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=1)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", port).start()
    port = runner.addresses[0][1]
    serving = asyncio.create_task(adapter.serve(lambda: None))
    await asyncio.sleep(0)
    try:
        yield Site(f"http://127.0.0.1:{port}", port, service, adapter, clock, data_dir)
    finally:
        serving.cancel()
        await asyncio.gather(serving, return_exceptions=True)
        await service.close()
        await runner.cleanup()


async def _readyz(_: web.Request) -> web.Response:
    return web.json_response({"ready": True, "checks": {}})


async def _by_hand() -> None:
    with tempfile.TemporaryDirectory() as folder:
        async with site(Path(folder), pace_s=0.6, port=8091):
            await asyncio.Event().wait()


if __name__ == "__main__":
    asyncio.run(_by_hand())
