"""Faults that a test orders: what the next matching request meets instead of, or after, its answer."""

from __future__ import annotations

import re
import socket
import struct
from dataclasses import dataclass
from typing import Literal

from aiohttp import web

Action = Literal["reset", "reset_after", "delay", "status", "ratelimit", "cloudflare", "html"]


@dataclass
class Fault:
    """`where` is a regular expression over "METHOD /path"; `times` counts down to nothing.

    reset: connection reset before anything happens. reset_after: it happens, then the connection is reset.
    delay: `seconds` pass, then it happens. status: `status` with a JSON body. html: `status` with a HTML body.
    status with `code`: Discord's own error code; `files_only`: only requests that bring a file.
    ratelimit: 429 with `Via` and `retry_after` = `seconds`. cloudflare: 429 without `Via` (an address ban).
    """

    where: str
    action: Action
    times: int = 1
    status: int = 503
    seconds: float = 0.05
    shared: bool = False
    code: int = 0
    files_only: bool = False

    def matches(self, request: web.Request) -> bool:
        if self.files_only and not request.content_type.startswith("multipart/"):
            return False
        return self.times > 0 and re.search(self.where, f"{request.method} {request.path}") is not None


def reset_connection(request: web.Request) -> None:
    """Close the socket with RST, as a dying load balancer does."""
    transport = request.transport
    if transport is None:
        return
    raw = transport.get_extra_info("socket")
    if raw is not None:
        raw.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    transport.abort()
