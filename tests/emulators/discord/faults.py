"""Faults that a test orders: what the next matching request meets instead of, or after, its answer."""

import asyncio
import re
import socket
import struct
from dataclasses import dataclass
from typing import Literal

from aiohttp import web

Action = Literal["reset", "reset_after", "delay", "status", "status_after", "ratelimit", "cloudflare", "html"]
Brings = Literal["", "files", "words"]


@dataclass
class Fault:
    """`where` is a regular expression over "METHOD /path"; `times` counts down to nothing.

    reset: connection reset before anything happens. reset_after: it happens, then the connection is reset.
    delay: `seconds` pass (or `until` is set), then it happens. status: `status` with a JSON body.
    status_after: it happens, then the same. html: `status` with a HTML body.
    status with `code`: Discord's own error code; a 429 of them says no time.
    `brings`: only requests with files, or only those without. `place`: only those about this channel, by its messages
    or by the token of an interaction there.
    ratelimit: 429 with `Via` and `retry_after` = `seconds`. cloudflare: 429 without `Via` (an address ban).
    """

    where: str
    action: Action
    times: int = 1
    status: int = 503
    seconds: float = 0.05
    shared: bool = False
    code: int = 0
    brings: Brings = ""
    place: int = 0
    until: asyncio.Event | None = None

    def matches(self, request: web.Request, place: int) -> bool:
        """`place` is the channel that the request is about, 0 for none."""
        if self.brings and (self.brings == "files") != request.content_type.startswith("multipart/"):
            return False
        return (
            self.times > 0
            and self.place in (0, place)
            and re.search(self.where, f"{request.method} {request.path}") is not None
        )


def reset_connection(request: web.Request) -> None:
    """Close the socket with RST, as a dying load balancer does."""
    transport = request.transport
    if transport is None:
        return
    raw = transport.get_extra_info("socket")
    if raw is not None:
        raw.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    transport.abort()
