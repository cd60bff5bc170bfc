"""An attacker's web server at an address that passes for public: in a network namespace it is this machine's own."""

from __future__ import annotations

import asyncio
import contextlib
import os
import struct
import zlib
from collections import Counter

from aiohttp import web

from tests.bot.process_kit import picture
from tests.served import served

ADDRESSES = tuple(f"93.184.216.{last}" for last in range(34, 42))
"""The attacker has several; one client address has a share of everything."""
_JUNK_BYTES = 300_000


class Elsewhere:
    """`/slow/N` drips, `/junk/N`, `/page/N`, `/bomb/N` are no usable image, `/huge/N` never ends, `/hop` redirects,
    `/down` is out of order.
    """

    def __init__(self, host: str = "127.0.0.1", port: int = 0) -> None:
        self._address = (host, port)
        self.asked: Counter[str] = Counter()
        self.reached_inside = 0
        self.base_url = ""
        self._junk = os.urandom(_JUNK_BYTES)
        head = struct.pack(">IIBBBBB", 60_000, 60_000, 8, 2, 0, 0, 0)
        chunk = b"IHDR" + head
        bomb = b"\x89PNG\r\n\x1a\n" + struct.pack(">I", 13) + chunk + struct.pack(">I", zlib.crc32(chunk))
        self._bodies = {"junk": self._junk, "bomb": bomb + self._junk, "page": b"<html>" + self._junk}
        self._picture = picture(640, 480, 7)
        self._life = contextlib.AsyncExitStack()

    async def __aenter__(self) -> Elsewhere:
        app = web.Application()
        handlers = {"slow": self._slow, "huge": self._huge, **dict.fromkeys(self._bodies, self._bad)}
        for name, handler in handlers.items():
            app.router.add_get(f"/{name}/{{number}}", handler)
        app.router.add_get("/hop", self._hop)
        app.router.add_get("/down", self._down)
        app.router.add_get("/picture/{number}", self._good)
        host, port = self._address
        address = await self._life.enter_async_context(served(app, port, host=host))
        if port == 80:
            await self._serve_inside()
        self.base_url = address.removesuffix(":80")
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._life.aclose()

    async def _serve_inside(self) -> None:
        """Count whatever reaches this machine's own address."""
        app = web.Application()
        app.router.add_route("*", "/{rest:.*}", self._inside)
        await self._life.enter_async_context(served(app, 80))

    async def _inside(self, _: web.Request) -> web.StreamResponse:
        self.reached_inside += 1
        return web.Response(body=self._picture, content_type="image/png")

    async def _slow(self, request: web.Request) -> web.StreamResponse:
        self.asked["slow"] += 1
        answer = web.StreamResponse(headers={"Content-Type": "image/png"})
        await answer.prepare(request)
        with contextlib.suppress(ConnectionError):
            for byte in self._picture[:600]:
                await answer.write(bytes([byte]))
                await asyncio.sleep(0.2)
        return answer

    async def _bad(self, request: web.Request) -> web.StreamResponse:
        kind = request.path.split("/")[1]
        self.asked[kind] += 1
        return web.Response(body=self._bodies[kind] + request.match_info["number"].encode(), content_type="image/png")

    async def _huge(self, request: web.Request) -> web.StreamResponse:
        self.asked["huge"] += 1
        answer = web.StreamResponse(headers={"Content-Type": "image/png"})
        await answer.prepare(request)
        await answer.write(self._picture)
        with contextlib.suppress(ConnectionError):
            while True:
                await answer.write(self._junk)
        return answer

    async def _hop(self, request: web.Request) -> web.StreamResponse:
        self.asked["hop"] += 1
        to = "".join(char for char in request.query["to"] if char.isprintable())
        return web.Response(status=302, headers={"Location": to})

    async def _down(self, _: web.Request) -> web.StreamResponse:
        return web.Response(status=503)

    async def _good(self, request: web.Request) -> web.StreamResponse:
        self.asked["picture"] += 1
        return web.Response(body=self._picture, content_type="image/png")
