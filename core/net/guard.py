"""Which addresses a link may lead to, judged where it counts: at the socket that is about to be connected.

A name is checked when it is resolved, each address again when its socket is made, and the peer once more when the
connection stands; a name that resolves to something else in between (DNS rebinding) gains nothing. No requests here.
"""

from __future__ import annotations

import asyncio
import contextlib
import ipaddress
import re
import socket
import threading
from collections.abc import Iterable
from dataclasses import dataclass
from functools import partial
from typing import Any, Final

import aiohttp
from aiohttp.abc import AbstractResolver, ResolveResult
from aiohttp.client_proto import ResponseHandler
from aiohttp.resolver import ThreadedResolver
from yarl import URL

from core.domain.errors import LinkRefused

IPAddress = ipaddress.IPv4Address | ipaddress.IPv6Address

MAX_URL_CHARS: Final = 8192
_PIECE_BYTES: Final = 64 * 1024
_MOST_ANSWERS: Final = 16
_MOST_AROUND: Final = 64 * 1024
"""Bytes around those of the file, besides two for each: headers, and the lengths of its chunks."""
_LOOKUPS: Final = threading.BoundedSemaphore(256)
"""Threads that look names up. A member has four downloads at a time, each with ten seconds to connect."""
_AUTHORITY: Final = re.compile(r"[^/?#]*//[^/?#]{400}")
"""A host has at most 253 characters; longer ones cost the encoder of international names more than they are worth."""
_STANDARD_PORTS: Final = {80, 443}
_LEGACY_IPV4: Final = re.compile(r"(0x[0-9a-f]*|[0-9]+)(\.(0x[0-9a-f]*|[0-9]+)){0,3}\.?", re.IGNORECASE)
"""What C libraries also read as an IPv4 address: 2130706433, 0177.1, 0x7f.0.0.1."""

_NOT_PUBLIC: Final = tuple(
    ipaddress.ip_network(network)
    for network in (
        "0.0.0.0/8", "10.0.0.0/8", "100.64.0.0/10", "127.0.0.0/8", "168.63.129.16/32", "169.254.0.0/16",
        "172.16.0.0/12", "192.0.0.0/24", "192.0.2.0/24", "192.31.196.0/24", "192.52.193.0/24", "192.88.99.0/24",
        "192.168.0.0/16", "192.175.48.0/24", "198.18.0.0/15", "198.51.100.0/24", "203.0.113.0/24", "224.0.0.0/4",
        "240.0.0.0/4",
        "::/96", "100::/64", "100:0:0:1::/64", "2001::/23", "2001:db8::/32", "2002::/16", "2620:4f:8000::/48",
        "3fff::/20", "5f00::/16", "64:ff9b:1::/48", "fc00::/7", "fe80::/10", "fec0::/10", "ff00::/8",
    )
)  # fmt: skip
"""IANA's special-purpose registries (read 2026-11-22): private, shared (CGNAT, with Alibaba's 100.100.100.200),
loopback, link-local (with the clouds' metadata), documentation, benchmarking, AS112, AMT, multicast, reserved, Teredo,
6to4; and Azure's own 168.63.129.16. Listed here because `ipaddress.is_global` differs between Python releases.
"""
_GLOBAL_UNICAST: Final = ipaddress.IPv6Network("2000::/3")
_NAT64: Final = ipaddress.IPv6Network("64:ff9b::/96")
_ISATAP: Final = {0x00005EFE, 0x02005EFE}
"""The upper half of an interface identifier that ends in an IPv4 address (RFC 5214)."""


def is_public(address: IPAddress) -> bool:
    """Whether an address is anybody's on the internet; an IPv4 address wrapped in IPv6 is judged as itself too."""
    inner = _embedded(address)
    if inner is not None and not is_public(inner):
        return False
    if any(address.version == network.version and address in network for network in _NOT_PUBLIC):
        return False
    if address.version == 4:
        return address.is_global
    return address in _GLOBAL_UNICAST or address in _NAT64 or address.ipv4_mapped is not None


def _embedded(address: IPAddress) -> ipaddress.IPv4Address | None:
    if isinstance(address, ipaddress.IPv4Address):
        return None
    if address.ipv4_mapped is not None:
        return address.ipv4_mapped
    if address in _NAT64 or int(address) >> 32 & 0xFFFFFFFF in _ISATAP:
        return ipaddress.IPv4Address(int(address) & 0xFFFFFFFF)
    return None


def literal(host: str) -> IPAddress | None:
    """The address that a host spells out, in any notation that some library understands; None for a name."""
    try:
        return ipaddress.ip_address(host.partition("%")[0])
    except ValueError:
        pass
    if _LEGACY_IPV4.fullmatch(host):
        try:
            return ipaddress.IPv4Address(socket.inet_aton(host.rstrip(".")))
        except OSError as error:
            raise LinkRefused(reason="syntax") from error
    return None


@dataclass(frozen=True, slots=True)
class HostSet:
    """Hosts written `host`, `host:port` or `.suffix` (the suffix itself and everything below). Lower case inside."""

    entries: frozenset[str]

    @classmethod
    def of(cls, entries: Iterable[str]) -> HostSet:
        """From configuration or an adapter."""
        return cls(frozenset(entry.strip().lower().rstrip(".") for entry in entries if entry.strip()))

    def has(self, host: str, port: int) -> bool:
        """Whether this very host is meant; an entry without a port means the standard ones."""
        name = host.lower().rstrip(".").strip("[]")
        bracketed = f"[{name}]" if ":" in name else name
        if f"{bracketed}:{port}" in self.entries:
            return True
        if port not in _STANDARD_PORTS:
            return False
        if self.entries & {name, bracketed}:
            return True
        return any(entry.startswith(".") and f".{name}".endswith(entry) for entry in self.entries)


def parse(text: str) -> URL:
    """A typed link as a URL with a scheme, a host and no credentials. Raises LinkRefused. Makes no request."""
    if len(text) > MAX_URL_CHARS:
        raise LinkRefused(reason="syntax")
    text = text.strip().removeprefix("<").removesuffix(">")
    if _AUTHORITY.match(text) or "\\" in text or any(ord(c) <= 32 or ord(c) == 127 for c in text):
        raise LinkRefused(reason="syntax")
    try:
        url = URL(text)
        host, port = url.host, url.port  # both are read here for the first time
    except ValueError as error:
        raise LinkRefused(reason="syntax") from error
    if url.scheme not in ("http", "https"):
        raise LinkRefused(reason="scheme" if url.scheme else "syntax")
    if not host or port == 0:
        raise LinkRefused(reason="syntax")
    if url.user is not None or url.password is not None:
        raise LinkRefused(reason="credentials")
    return url.with_fragment(None)


class Guard:
    """Judges one fetch. `trusted` hosts are exempt from the checks of port and address, on its first hop."""

    def __init__(self, trusted: HostSet, *, allow_private: bool = False) -> None:
        self._trusted = trusted
        self._allow_private = allow_private
        self.refused = False
        """Whether an address was turned down at the socket."""
        self._exempt_now = False

    def admit(self, url: URL, *, redirected: bool = False) -> None:
        """Before each hop: port, and an address spelled out in the link. Raises LinkRefused.

        Where a redirect leads is the other side's choice, so that nobody is exempt after one.
        """
        host, port = url.host or "", url.port or 0
        self._exempt_now = not redirected and self._trusted.has(host, port)
        self.refused = False
        if self._exempt_now:
            return
        if port not in _STANDARD_PORTS and not self._allow_private:
            raise LinkRefused(reason="port")
        address = literal(host)
        if address is not None and not self.allows(address):
            raise LinkRefused(reason="private_address")

    def allows(self, address: IPAddress) -> bool:
        """Whether this hop may connect there."""
        return self._exempt_now or self._allow_private or is_public(address)

    def check(self, address: str) -> None:
        """Raises OSError for an address that this hop may not connect to."""
        if not self.allows(ipaddress.ip_address(address.partition("%")[0])):
            self.refused = True
            raise OSError("address refused")

    def make_socket(self, info: tuple[Any, ...]) -> socket.socket:
        """For aiohttp's `socket_factory`: no packet leaves for a refused address."""
        family, kind, protocol, _, sockaddr = info
        self.check(sockaddr[0])
        return socket.socket(family, kind, protocol)


class GuardedResolver(AbstractResolver):
    """The system's resolver; a name with one refused address is refused whole."""

    def __init__(self, guard: Guard) -> None:
        self._guard = guard
        self._system = ThreadedResolver(Lookups())  # type: ignore[arg-type]  # all that it asks of a loop

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_UNSPEC
    ) -> list[ResolveResult]:
        """Raises OSError where the name is unknown or leads to a refused address."""
        found = await self._system.resolve(host, port, family)
        for result in found:
            self._guard.check(result["host"])
        return found

    async def close(self) -> None:
        await self._system.close()


class Lookups:
    """Names looked up in threads of their own: whose name server is silent holds a thread for half a minute.

    In the loop's own threads a few such links would keep everybody's files and jobs waiting.
    """

    async def getaddrinfo(self, *args: Any, **how: Any) -> Any:
        """As the loop's. Raises OSError, also where very many lookups hang already."""
        if not _LOOKUPS.acquire(blocking=False):
            raise OSError("too many lookups")
        loop = asyncio.get_running_loop()
        done: asyncio.Future[Any] = loop.create_future()

        def tell(found: Any) -> None:
            if done.cancelled():
                return
            if isinstance(found, Exception):
                done.set_exception(found)
            else:
                done.set_result(found)

        def look_up() -> None:
            found: Any
            try:
                found = socket.getaddrinfo(*args, **how)
            except (OSError, UnicodeError) as error:
                found = error
            finally:
                _LOOKUPS.release()
            with contextlib.suppress(RuntimeError):  # the loop is closed by now
                loop.call_soon_threadsafe(tell, found)

        threading.Thread(target=look_up, name="look-up", daemon=True).start()
        return await done


class _Answer(ResponseHandler):
    """Reads in small pieces, and hangs up on a server that sends many answers to one request, or next to nothing in
    very many chunks.

    A piece is parsed at once: 256 KB of interim answers (100 Continue) or of tiny chunks kept the event loop for 50 ms.
    """

    _read_bytes = 0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        transport.max_size = _PIECE_BYTES  # type: ignore[attr-defined]  # of asyncio's sockets
        super().connection_made(transport)

    def data_received(self, data: bytes) -> None:
        super().data_received(data)
        self._read_bytes += len(data)
        around = self._read_bytes - 3 * self._payload.total_bytes if self._payload is not None else 0
        if (len(self._buffer) > _MOST_ANSWERS or around > _MOST_AROUND) and self.transport is not None:
            self._buffer.clear()
            self.set_exception(aiohttp.ServerDisconnectedError())
            self.transport.abort()


class GuardedConnector(aiohttp.TCPConnector):
    """A connector for one fetch, that never keeps a connection for a later one."""

    def __init__(self, guard: Guard) -> None:
        super().__init__(
            resolver=GuardedResolver(guard),
            socket_factory=guard.make_socket,
            use_dns_cache=False,
            force_close=True,
            limit=1,
        )
        self._guard = guard
        self._factory = partial(_Answer, loop=self._loop)  # type: ignore[assignment]  # as the base class's own

    async def connect(self, req: Any, traces: Any, timeout: aiohttp.ClientTimeout) -> Any:
        """As the base class; then the peer that really answered is checked, before anything is sent to it."""
        connection = await super().connect(req, traces, timeout)
        peer = connection.transport.get_extra_info("peername") if connection.transport else None
        try:
            self._guard.check(peer[0] if peer else "")
        except (OSError, ValueError):
            self._guard.refused = True
            connection.close()
            raise
        return connection
