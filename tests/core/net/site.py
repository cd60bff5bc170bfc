"""Servers on loopback for the tests of downloads."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

from aiohttp import web
from aiohttp.test_utils import TestServer

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]
BODY = bytes(range(256)) * 400


class Site:
    """A web server on loopback that records its requests."""

    def __init__(self, routes: dict[str, Handler]) -> None:
        self.seen: list[web.Request] = []
        app = web.Application()
        for path, handler in routes.items():
            app.router.add_get(path, self._noted(handler))
        self.server = TestServer(app)

    def _noted(self, handler: Handler) -> Handler:
        async def handle(request: web.Request) -> web.StreamResponse:
            self.seen.append(request)
            return await handler(request)

        return handle

    @property
    def host(self) -> str:
        return f"127.0.0.1:{self.server.port}"

    def url(self, path: str) -> str:
        return f"http://{self.host}{path}"


@asynccontextmanager
async def site_with(**routes: Handler) -> AsyncIterator[Site]:
    site = Site({f"/{name}": handler for name, handler in routes.items()})
    await site.server.start_server()
    try:
        yield site
    finally:
        await site.server.close()


async def whole_body(request: web.Request) -> web.StreamResponse:
    return web.Response(body=BODY)


def redirect(location: str, status: int = 302) -> Handler:
    async def handle(request: web.Request) -> web.StreamResponse:
        return web.Response(status=status, headers={"Location": location})

    return handle


def text_answer(status: int, text: str = "", content_type: str = "text/plain") -> Handler:
    async def handle(request: web.Request) -> web.StreamResponse:
        return web.Response(status=status, text=text, content_type=content_type)

    return handle


@asynccontextmanager
async def raw_answers(*answers: bytes) -> AsyncIterator[tuple[str, list[bytes]]]:
    """A server that sends exactly these bytes, one response a connection, and disconnects."""
    asked: list[bytes] = []

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        asked.append(await reader.readuntil(b"\r\n\r\n"))
        writer.write(answers[min(len(asked), len(answers)) - 1])
        await writer.drain()
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    try:
        yield f"127.0.0.1:{server.sockets[0].getsockname()[1]}", asked
    finally:
        server.close()
        await server.wait_closed()


async def silent_answer(request: web.Request) -> web.StreamResponse:
    await asyncio.sleep(30)
    return web.Response()
