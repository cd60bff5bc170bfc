"""An aiohttp application on a loopback port, for as long as it is needed."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from aiohttp import web


@asynccontextmanager
async def served(
    app: web.Application, port: int = 0, *, host: str = "127.0.0.1", shutdown_timeout: float = 0.2, **how: Any
) -> AsyncIterator[str]:
    """Its address."""
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=shutdown_timeout, **how)
    await runner.setup()
    try:
        await web.TCPSite(runner, host, port).start()
        yield f"http://{host}:{runner.addresses[0][1]}"
    finally:
        await runner.cleanup()
