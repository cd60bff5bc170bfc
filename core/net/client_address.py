"""Find the real client of a request: the peer or, behind a declared reverse proxy, the client that the proxy names.

Anybody can send `X-Forwarded-For`, so it is read from its end, and only while the address before is a declared proxy.
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
"""Request key under which the server stores the client's address."""
_MAX_HOPS = 10
_IPV6_PREFIX = 64
"""One customer usually gets a whole /64, so all its addresses count as one client."""


@dataclass(frozen=True, slots=True)
class TrustedProxies:
    networks: tuple[IPNetwork, ...] = ()

    @classmethod
    def of(cls, entries: Iterable[str]) -> TrustedProxies:
        """Parse configured entries. Raises ValueError for one that is neither an address nor a network."""
        return cls(tuple(ipaddress.ip_network(entry.strip(), strict=False) for entry in entries if entry.strip()))

    def trusts(self, address: str | None) -> bool:
        found = _parsed(address)
        return found is not None and any(found.version == n.version and found in n for n in self.networks)

    def client(self, peer: str | None, forwarded_for: Sequence[str] = ()) -> str:
        """Return the client's address (IPv6: its /64), given the peer and every `X-Forwarded-For` header."""
        hops = [hop.strip() for header in forwarded_for for hop in header.split(",")][-_MAX_HOPS:]
        address = peer
        while hops and self.trusts(address):
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
    return str(found if found.version == 4 else ipaddress.ip_network((found, _IPV6_PREFIX), strict=False))
