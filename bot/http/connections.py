"""The server's connections: a deadline for the first request's headers, a share per client address, a cap on all.

A newcomer takes the place of the connection that has waited longest for a request. So whoever merely holds sockets
open loses those, and never keeps a request out.
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

HEADER_LIMIT_S = 10.0
KEEPALIVE_S = 75.0
"""Longer than reverse proxies keep their idle connections (nginx: 60 s)."""
LINGER_S = 2.0
MAX_CONNECTIONS = 4_000
MAX_PER_CLIENT = 256
_WANTED_FILES = 16_384
_FILES_FOR_OTHERS = 200


class Connection(Protocol):
    """One that has sent nothing yet, or that has a handler."""

    @property
    def waits(self) -> bool:
        """Whether no complete request's headers are here: idle, silent, or sending them slowly."""

    def drop(self) -> None:
        """Close at once."""


class Connections:
    """Counts and drops. Clients on this machine and declared proxies have no share of their own, only the cap."""

    def __init__(self, proxies: TrustedProxies, *, most: int | None = None, per_client: int = MAX_PER_CLIENT) -> None:
        self.header_limit_s = HEADER_LIMIT_S
        self._proxies = proxies
        self._most = _affordable() if most is None else most
        self._per_client = per_client
        self._of_client: dict[str, dict[Connection, None]] = {}
        self._all: dict[Connection, str] = {}

    def __len__(self) -> int:
        return len(self._all)

    def client(self, peer: str | None) -> str:
        """Whose share the connection from this address counts against."""
        return self._proxies.client(peer)

    def enter(self, connection: Connection, peer: str | None) -> bool:
        """Count a new connection in; False where there is no room for it, even after dropping a waiting one."""
        client = self.client(peer)
        mine = self._of_client.setdefault(client, {})
        shared = self._proxies.trusts(peer) or client.startswith("127.") or client == "::/64"
        if not shared and len(mine) >= self._per_client and not _drop_waiting(mine):
            return False
        if len(self._all) >= self._most and not _drop_waiting(self._all):
            return False
        self._count(connection, client)
        return True

    def replace(self, connection: Connection, by: Connection) -> bool:
        """Count `by` in the place of `connection`; False where that has been dropped."""
        client = self.leave(connection)
        if client is not None:
            self._count(by, client)
        return client is not None

    def leave(self, connection: Connection) -> str | None:
        """Count it out; whose it was, None where it is not counted."""
        client = self._all.pop(connection, None)
        if client is not None:
            self._of_client[client].pop(connection, None)
            if not self._of_client[client]:
                del self._of_client[client]
        return client

    def close(self) -> None:
        """Drop what is still open."""
        for connection in list(self._all):
            connection.drop()

    def _count(self, connection: Connection, client: str) -> None:
        self._all[connection] = client
        self._of_client.setdefault(client, {})[connection] = None


def _drop_waiting(connections: Iterable[Connection]) -> bool:
    """Close the oldest connection without a request; whether there was one."""
    found = next((connection for connection in connections if connection.waits), None)
    if found is None:
        return False
    found.drop()
    return True


def _affordable() -> int:
    """How many connections the process may have open, after raising its own limit on files as far as allowed."""
    limits = resource.getrlimit(resource.RLIMIT_NOFILE)
    soft, hard = (_WANTED_FILES if limit == resource.RLIM_INFINITY else min(_WANTED_FILES, limit) for limit in limits)
    if soft < hard:
        with contextlib.suppress(ValueError, OSError):
            resource.setrlimit(resource.RLIMIT_NOFILE, (hard, limits[1]))
            soft = hard
    return max(50, min(MAX_CONNECTIONS, soft - _FILES_FOR_OTHERS))


class BoundedHandler(web.RequestHandler):
    """aiohttp's protocol, counted, with a deadline for the first request and without tracebacks for bad HTTP."""

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
    def waits(self) -> bool:
        return self._waiter is not None and not self._waiter.done()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Begin to read, with a deadline."""
        super().connection_made(transport)
        self._header_deadline = self._loop.call_later(self._connections.header_limit_s, self._headers_due)

    def connection_lost(self, exc: BaseException | None) -> None:
        """Count it out."""
        if self._header_deadline is not None:
            self._header_deadline.cancel()
        self._connections.leave(self)
        super().connection_lost(exc)

    def drop(self) -> None:
        self._connections.leave(self)
        self.force_close()

    def _headers_due(self) -> None:
        if self._request_count == 0 and self.waits:
            self.drop()

    def log_exception(self, *args: Any, **kw: Any) -> None:
        """One line by its kind: what strangers send is no reason for a traceback."""
        log.debug("http_request_unreadable", kind=type(kw.get("exc_info")).__name__)
