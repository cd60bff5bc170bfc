"""Who really sent a request: the peer, or, behind a declared reverse proxy, the client that the proxy names.

`X-Forwarded-For` is anybody's word, so it is read from its end and only for as long as a declared proxy wrote it.
"""

from __future__ import annotations

import functools
import ipaddress
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from aiohttp import web

IPNetwork = ipaddress.IPv4Network | ipaddress.IPv6Network
UNKNOWN = "unknown"
CLIENT = web.RequestKey("client", str)
"""Under this key of a request the server notes who really sent it."""
_MAX_HOPS = 10
_IPV6_PREFIX = 64
"""What one customer usually has; its single addresses are no different clients."""


@dataclass(frozen=True, slots=True)
class TrustedProxies:
    """The proxies that an operator declared, as addresses or networks."""

    networks: tuple[IPNetwork, ...] = ()

    @classmethod
    def of(cls, entries: Iterable[str]) -> TrustedProxies:
        """From configuration. Raises ValueError for what is no address and no network."""
        return cls(tuple(ipaddress.ip_network(entry.strip(), strict=False) for entry in entries if entry.strip()))

    def has(self, address: str | None) -> bool:
        """Whether this peer is a declared proxy."""
        found = _parsed(address)
        return found is not None and any(found.version == n.version and found in n for n in self.networks)

    def client(self, peer: str | None, forwarded_for: Sequence[str] = ()) -> str:
        """The client's address (an IPv6 one as its /64), given the peer and every `X-Forwarded-For` header."""
        hops = [hop.strip() for header in forwarded_for for hop in header.split(",")][-_MAX_HOPS:]
        address = peer
        while hops and self.has(address):
            named = hops.pop()
            if _parsed(named) is None:
                break
            address = named
        return _grouped(address)


@functools.lru_cache(maxsize=4_096)
def _parsed(address: str | None) -> ipaddress.IPv4Address | ipaddress.IPv6Address | None:
    try:
        found = ipaddress.ip_address((address or "").strip("[]").partition("%")[0])
    except ValueError:
        return None
    return getattr(found, "ipv4_mapped", None) or found


def _grouped(address: str | None) -> str:
    found = _parsed(address)
    if found is None:
        return UNKNOWN
    if found.version == 4:
        return str(found)
    return str(ipaddress.ip_network((found, _IPV6_PREFIX), strict=False))
