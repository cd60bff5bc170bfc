"""Refuse links that lead to private addresses (SSRF).

Addresses are checked when a name is resolved, when a socket is made, and once the connection is established, so a name
that resolves to something else in between (DNS rebinding) gains nothing. This module sends no requests.
"""

from __future__ import annotations

import asyncio
import concurrent.futures
import ipaddress
import re
import socket
import threading
from collections.abc import Iterable
from dataclasses import dataclass
from functools import partial
from typing import Any, Final
from urllib.parse import quote, urlsplit

import aiohttp
from aiohttp.abc import AbstractResolver, ResolveResult
from aiohttp.client_proto import ResponseHandler
from aiohttp.resolver import ThreadedResolver
from aiohttp.typedefs import LooseHeaders
from yarl import URL

from core.domain.errors import LinkRefused

IPAddress = ipaddress.IPv4Address | ipaddress.IPv6Address

MAX_URL_CHARS: Final = 8192
_READ_BYTES: Final = 64 * 1024
_MAX_RESPONSES: Final = 16
_MAX_OVERHEAD_BYTES: Final = 64 * 1024
"""Headers and chunk framing, besides two bytes for each byte of the file."""
_LOOKUP_THREADS: Final = threading.BoundedSemaphore(256)
"""Limits DNS lookup threads. A member has four downloads at a time, each with ten seconds to connect."""
_LONG_AUTHORITY: Final = re.compile(r"[^/?#]*//[^/?#]{400}")
"""A host has at most 253 characters; IDNA encoding of much longer ones takes too long."""
_STANDARD_PORTS: Final = {80, 443}
_LEGACY_IPV4: Final = re.compile(r"(0x[0-9a-f]*|[0-9]+)(\.(0x[0-9a-f]*|[0-9]+)){0,3}\.?", re.IGNORECASE)
"""Forms that C libraries also accept as an IPv4 address: 2130706433, 0177.1, 0x7f.0.0.1."""

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
6to4; and Azure's own 168.63.129.16. Listed because `ipaddress.is_global` differs between Python releases.
"""
_GLOBAL_UNICAST: Final = ipaddress.IPv6Network("2000::/3")
_NAT64: Final = ipaddress.IPv6Network("64:ff9b::/96")
_ISATAP: Final = {0x00005EFE, 0x02005EFE}
"""The upper half of an interface identifier that ends in an IPv4 address (RFC 5214)."""


def is_public(address: IPAddress) -> bool:
    """Whether an address is public. An IPv4 address embedded in an IPv6 address must be public as well."""
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


def literal_address(host: str) -> IPAddress | None:
    """Return the address that `host` spells out, in any notation that some library accepts; None for a name."""
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
    """Hosts written `host`, `host:port` or `.suffix` (the suffix itself and everything below), in lower case."""

    entries: frozenset[str]

    @classmethod
    def of(cls, entries: Iterable[str]) -> HostSet:
        return cls(frozenset(entry.strip().lower().rstrip(".") for entry in entries if entry.strip()))

    def has(self, host: str, port: int) -> bool:
        """Whether an entry matches; an entry without a port matches the standard ports."""
        name = host.lower().rstrip(".").strip("[]")
        bracketed = f"[{name}]" if ":" in name else name
        if f"{bracketed}:{port}" in self.entries:
            return True
        if port not in _STANDARD_PORTS:
            return False
        if self.entries & {name, bracketed}:
            return True
        return any(entry.startswith(".") and f".{name}".endswith(entry) for entry in self.entries)


def parse_link(text: str) -> URL:
    """Parse a typed link into a URL with a scheme, a host and no credentials. Raises LinkRefused."""
    if len(text) > MAX_URL_CHARS:
        raise LinkRefused(reason="syntax")
    text = text.strip().removeprefix("<").removesuffix(">")
    if _LONG_AUTHORITY.match(text) or "\\" in text or any(ord(c) <= 32 or ord(c) == 127 for c in text):
        raise LinkRefused(reason="syntax")
    try:
        url = URL(text)
        host, port = url.host, url.port  # yarl parses them on first access
        written = urlsplit(text)
        query, path = _percent_encoded(written.query), _percent_encoded(written.path or "/")
    except ValueError as error:
        raise LinkRefused(reason="syntax") from error
    if url.scheme not in ("http", "https"):
        raise LinkRefused(reason="scheme" if url.scheme else "syntax")
    if not host or port == 0:
        raise LinkRefused(reason="syntax")
    if url.user is not None or url.password is not None:
        raise LinkRefused(reason="credentials")
    path = url.raw_path if "/." in path else path  # without `/../`
    return URL.build(scheme=url.scheme, authority=url.raw_authority, path=path, query_string=query, encoded=True)


def _percent_encoded(text: str) -> str:
    """Encode what a URL cannot hold and leave escapes as they are: yarl decodes some, which breaks signed links."""
    return quote(text, safe="%/:?#[]@!$&'()*+,;=", errors="surrogateescape")


class Guard:
    """Checks one fetch. `trusted` hosts are exempt from the port and address checks on the first hop."""

    def __init__(self, trusted: HostSet, *, allow_private: bool = False) -> None:
        self._trusted = trusted
        self._allow_private = allow_private
        self.refused = False
        """Whether an address of this hop was refused."""
        self._exempt = False

    def check_url(self, url: URL, *, redirected: bool = False) -> None:
        """Check the port, and an address spelled out in the link, before each hop. Raises LinkRefused.

        No host is exempt after a redirect, since the other side chose its target.
        """
        host, port = url.host or "", url.port or 0
        self._exempt = not redirected and self._trusted.has(host, port)
        self.refused = False
        if self._exempt:
            return
        if port not in _STANDARD_PORTS and not self._allow_private:
            raise LinkRefused(reason="port")
        address = literal_address(host)
        if address is not None and not self.allows(address):
            raise LinkRefused(reason="private_address")

    def allows(self, address: IPAddress) -> bool:
        return self._exempt or self._allow_private or is_public(address)

    def check_address(self, address: str) -> None:
        """Raise OSError for an address that this hop may not connect to."""
        if not self.allows(ipaddress.ip_address(address.partition("%")[0])):
            self.refused = True
            raise OSError("address refused")

    def make_socket(self, info: tuple[Any, ...]) -> socket.socket:
        """Make a socket, for aiohttp's `socket_factory`. No packet leaves for a refused address."""
        family, kind, protocol, _, sockaddr = info
        self.check_address(sockaddr[0])
        return socket.socket(family, kind, protocol)


class GuardedResolver(AbstractResolver):
    """The system's resolver. A name with any refused address is refused."""

    def __init__(self, guard: Guard) -> None:
        self._guard = guard
        self._system = ThreadedResolver(_LookupThreads())  # type: ignore[arg-type]  # it uses only `getaddrinfo`

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_UNSPEC
    ) -> list[ResolveResult]:
        """Resolve a name. Raises OSError where it is unknown or has a refused address."""
        found = await self._system.resolve(host, port, family)
        for result in found:
            self._guard.check_address(result["host"])
        return found

    async def close(self) -> None:
        await self._system.close()


class _LookupThreads:
    """Looks up names in threads of their own, since an unresponsive name server blocks a thread for half a minute.

    A few such links would use up the event loop's thread pool, which also serves files and jobs.
    """

    async def getaddrinfo(self, *args: Any, **options: Any) -> Any:
        """Like the event loop's method. Raises OSError also where too many lookups are pending."""
        if not _LOOKUP_THREADS.acquire(blocking=False):
            raise OSError("too many lookups")
        result: concurrent.futures.Future[Any] = concurrent.futures.Future()
        result.set_running_or_notify_cancel()  # a cancelled caller then does not cancel it

        def look_up() -> None:
            try:
                found = socket.getaddrinfo(*args, **options)
            except (OSError, UnicodeError) as error:
                result.set_exception(error)
            else:
                result.set_result(found)
            finally:
                _LOOKUP_THREADS.release()

        threading.Thread(target=look_up, name="look-up", daemon=True).start()
        return await asyncio.wrap_future(result)


class _LimitedResponse(ResponseHandler):
    """Reads in small pieces. Disconnects from a server that sends many responses to one request, or almost empty
    chunks in large numbers.

    Each piece is parsed in one go: 256 KB of interim responses (100 Continue) or tiny chunks blocked the event loop for
    50 ms.
    """

    _read_bytes = 0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        transport.max_size = _READ_BYTES  # type: ignore[attr-defined]  # an attribute of asyncio's socket transports
        super().connection_made(transport)

    def data_received(self, data: bytes) -> None:
        super().data_received(data)
        self._read_bytes += len(data)
        overhead = self._read_bytes - 3 * self._payload.total_bytes if self._payload is not None else 0
        if (len(self._buffer) > _MAX_RESPONSES or overhead > _MAX_OVERHEAD_BYTES) and self.transport is not None:
            self._buffer.clear()
            self.set_exception(aiohttp.ServerDisconnectedError())
            self.transport.abort()


class GuardedConnector(aiohttp.TCPConnector):
    """A connector for one fetch. Keeps no connection open for later ones."""

    def __init__(self, guard: Guard) -> None:
        super().__init__(
            resolver=GuardedResolver(guard),
            socket_factory=guard.make_socket,
            use_dns_cache=False,
            force_close=True,
            limit=1,
        )
        self._guard = guard
        self._factory = partial(_LimitedResponse, loop=self._loop)  # type: ignore[assignment]  # as the base class does

    async def connect(self, req: Any, traces: Any, timeout: aiohttp.ClientTimeout) -> Any:
        """Connect, then check the actual peer before anything is sent to it."""
        connection = await super().connect(req, traces, timeout)
        peer = connection.transport.get_extra_info("peername") if connection.transport else None
        try:
            self._guard.check_address(peer[0] if peer else "")
        except (OSError, ValueError):
            self._guard.refused = True
            connection.close()
            raise
        return connection


def guarded_session(guard: Guard, headers: LooseHeaders, timeout: aiohttp.ClientTimeout) -> aiohttp.ClientSession:
    """Make a session for one fetch from an untrusted host."""
    return aiohttp.ClientSession(
        connector=GuardedConnector(guard), headers=headers, timeout=timeout,
        cookie_jar=aiohttp.DummyCookieJar(), auto_decompress=False, trust_env=False, max_field_size=_READ_BYTES,
    )  # fmt: skip
