"""Limits on connections: a deadline for the first request's headers, a limit per client address, a limit on all.

A new connection replaces the one that has waited longest for a request, so that a client that only holds sockets open
loses those and keeps no request out.
"""

import asyncio
import contextlib
import resource
from collections.abc import Iterable
from typing import Any, Protocol

import structlog
from aiohttp import web

from core.net.client_address import TrustedProxies

log = structlog.get_logger(__name__)

_UNREADABLE = '{"error": {"code": "bad_request", "message": "This request cannot be read.", "fields": {}}}'
HEADER_TIMEOUT_S = 10.0
KEEPALIVE_S = 75.0
"""Longer than reverse proxies keep their idle connections (nginx: 60 s)."""
LINGER_S = 2.0
MAX_CONNECTIONS = 4_000
MAX_PER_CLIENT = 256
_WANTED_FILES = 16_384
_RESERVED_FILES = 200


class Connection(Protocol):
    """A connection that has sent nothing yet, or one with a handler."""

    @property
    def is_waiting(self) -> bool:
        """Whether it has not sent the complete headers of a request: idle, silent, or slow."""

    def drop(self) -> None:
        """Close it immediately."""


class Connections:
    """Counts and drops connections. For clients on this machine and declared proxies only the total is limited."""

    def __init__(
        self, proxies: TrustedProxies, *, max_total: int | None = None, per_client: int = MAX_PER_CLIENT
    ) -> None:
        self.header_timeout_s = HEADER_TIMEOUT_S
        self._proxies = proxies
        self._max_total = _max_connections() if max_total is None else max_total
        self._per_client = per_client
        self._of_client: dict[str, dict[Connection, None]] = {}
        self._all: dict[Connection, str] = {}

    def __len__(self) -> int:
        return len(self._all)

    def client(self, peer: str | None) -> str:
        return self._proxies.client(peer)

    def add(self, connection: Connection, peer: str | None) -> bool:
        """Count a new connection; False if there is no room, even after dropping a waiting one."""
        client = self.client(peer)
        same_client = self._of_client.get(client, {})
        shared = self._proxies.trusts(peer) or client.startswith("127.") or client == "::/64"
        if not shared and len(same_client) >= self._per_client and not _drop_waiting(same_client):
            return False
        if len(self._all) >= self._max_total and not _drop_waiting(self._all):
            return False
        self._count(connection, client)
        return True

    def replace(self, connection: Connection, by: Connection) -> bool:
        """Count `by` instead of `connection`; False if that was dropped."""
        client = self.remove(connection)
        if client is not None:
            self._count(by, client)
        return client is not None

    def remove(self, connection: Connection) -> str | None:
        """Stop counting a connection; returns its client, None if it was not counted."""
        client = self._all.pop(connection, None)
        if client is not None:
            self._of_client[client].pop(connection, None)
            if not self._of_client[client]:
                del self._of_client[client]
        return client

    def close(self) -> None:
        for connection in list(self._all):
            connection.drop()

    def _count(self, connection: Connection, client: str) -> None:
        self._all[connection] = client
        self._of_client.setdefault(client, {})[connection] = None


def _drop_waiting(connections: Iterable[Connection]) -> bool:
    """Close the oldest connection without a request; returns whether there was one."""
    found = next((connection for connection in connections if connection.is_waiting), None)
    if found is None:
        return False
    found.drop()
    return True


def _max_connections() -> int:
    """Raise the process's limit on open files as far as allowed; returns how many connections it leaves."""
    limits = resource.getrlimit(resource.RLIMIT_NOFILE)
    soft, hard = (_WANTED_FILES if limit == resource.RLIM_INFINITY else min(_WANTED_FILES, limit) for limit in limits)
    if soft < hard:
        with contextlib.suppress(ValueError, OSError):
            resource.setrlimit(resource.RLIMIT_NOFILE, (hard, limits[1]))
            soft = hard
    return max(50, min(MAX_CONNECTIONS, soft - _RESERVED_FILES))


class BoundedHandler(web.RequestHandler):
    """aiohttp's protocol with a connection count, a deadline for the first request, and no tracebacks for bad HTTP."""

    __slots__ = ("_connections", "_header_deadline")

    def __init__(self, server: web.Server, connections: Connections, loop: asyncio.AbstractEventLoop) -> None:
        super().__init__(
            server,
            loop=loop,
            access_log=None,  # type: ignore[arg-type]
            keepalive_timeout=KEEPALIVE_S,
            lingering_time=LINGER_S,
            auto_decompress=False,
        )
        self._connections = connections
        self._header_deadline: asyncio.TimerHandle | None = None

    @property
    def is_waiting(self) -> bool:
        return self._waiter is not None and not self._waiter.done()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        super().connection_made(transport)
        self._header_deadline = self._loop.call_later(self._connections.header_timeout_s, self._check_headers)

    def connection_lost(self, exc: BaseException | None) -> None:
        if self._header_deadline is not None:
            self._header_deadline.cancel()
        self._connections.remove(self)
        super().connection_lost(exc)

    def drop(self) -> None:
        self._connections.remove(self)
        self.force_close()

    def _check_headers(self) -> None:
        if self._request_count == 0 and self.is_waiting:
            self.drop()

    def handle_error(self, *args: Any, **kw: Any) -> web.StreamResponse:
        """Answer HTTP that cannot be read as the server answers, instead of with its bytes and aiohttp's version."""
        response = super().handle_error(*args, **kw)
        if isinstance(response, web.Response) and response.status < 500:
            response.content_type, response.text = "application/json", _UNREADABLE
        response.headers["Server"] = "upscale-bot"
        return response

    def log_exception(self, *args: Any, **kw: Any) -> None:
        """Log one line without a traceback, since strangers can cause it."""
        log.debug("http_request_unreadable", kind=type(kw.get("exc_info")).__name__)
