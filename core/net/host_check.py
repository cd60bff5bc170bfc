"""Protection against other web sites: the security headers of every page, and the host names that are served.

Checking host names prevents DNS rebinding, where a stranger's name server points a name at this server. Such a name is
public and has a dot; addresses, names without a dot and names in private zones cannot be one.
"""

import ipaddress
import re
from dataclasses import dataclass
from typing import Annotated
from urllib.parse import urlsplit

from pydantic import AfterValidator

PAGE_HEADERS = {
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Permissions-Policy": "camera=(), microphone=(), geolocation=()",
}
_PRIVATE_ZONES = (".local", ".internal", ".localhost", ".home.arpa")


def name_of(host: str) -> str:
    """Return a `Host` header without its port, in lower case; IPv6 keeps its brackets."""
    host = host.lower()
    return host.partition("]")[0] + "]" if host.startswith("[") else host.partition(":")[0]


def is_loopback(host: str) -> bool:
    """Whether `host` (a name or an address, no port) always means this machine."""
    name = host.strip("[]").lower()
    if name == "localhost" or name.endswith(".localhost"):
        return True
    found = _address(name)
    return found is not None and found.is_loopback


def _bare(written: str) -> str:
    """Return a host to listen on, without the brackets of IPv6. Raises ValueError for a URL or a host with a port."""
    host = written.removeprefix("[").removesuffix("]")
    if _address(host) is None and not re.fullmatch(r"[\w.-]+", host):
        raise ValueError("must be a host's name or address alone, such as 127.0.0.1; its port is WEB_PORT")
    return host


def _web_address(written: str) -> str:
    """Return an address without slashes at its end. Raises ValueError."""
    if not written.startswith(("https://", "http://")):
        raise ValueError("must be an address that starts with https:// (or http://)")
    return written.rstrip("/")


BareHost = Annotated[str, AfterValidator(_bare)]
WebAddress = Annotated[str, AfterValidator(_web_address)]


def _address(name: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address | None:
    try:
        return ipaddress.ip_address(name.strip("[]"))
    except ValueError:
        return None


@dataclass(frozen=True, slots=True)
class HostCheck:
    """Checks hosts for a server that listens on `web_host` and, behind a proxy, is reached at `public_url`."""

    web_host: str
    public_url: str | None = None

    def allows(self, host: str) -> bool:
        if host.lower() == self.public_host or is_loopback(name_of(host)):
            return True
        if is_loopback(self.web_host):
            return False
        name = name_of(host)
        if name == self.web_host.lower() or _address(name) is not None:
            return True
        return "." not in name or name.endswith(_PRIVATE_ZONES)

    @property
    def public_host(self) -> str | None:
        """The host of `public_url`, with its port where it names one."""
        return urlsplit(self.public_url).netloc.lower() or None if self.public_url else None
