"""Scripted faults: what goes wrong, on which route, at which call. Data only; the server applies them."""

import asyncio
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, TypeAlias

from aiohttp import web


@dataclass(frozen=True)
class DropBefore:
    """The connection closes before the request is looked at."""


@dataclass(frozen=True)
class DropAfter:
    """The request is carried out, then the connection closes without an answer."""


@dataclass(frozen=True)
class Respond:
    """A fixed answer instead of the real one; `accept` carries the request out first."""

    status: int
    json: Any = None
    text: str | None = None
    headers: Mapping[str, str] = field(default_factory=dict)
    accept: bool = False


@dataclass(frozen=True)
class Slow:
    """The request is carried out, the answer comes `seconds` later (`before`: it is looked at later)."""

    seconds: float
    before: bool = False


@dataclass(frozen=True)
class Held:
    """The request is carried out; its answer comes when `released` is set."""

    released: asyncio.Event = field(default_factory=asyncio.Event)


@dataclass(frozen=True)
class CutStream:
    """The status stream breaks off after so many events (no closing chunk)."""

    after_events: int = 1


@dataclass(frozen=True)
class GarbageStream:
    """The status stream sends nonsense lines between its events."""


@dataclass(frozen=True)
class Truncate:
    """A download breaks off after so many bytes, or `stalls`; with the `etag` that the resumed one will find again."""

    after_bytes: int
    etag: str | None = None
    stalls: bool = False


@dataclass(frozen=True)
class Drip:
    """A download comes in so many parts, with a pause before each."""

    parts: int
    pause_s: float
    etag: str | None = None


FaultKind: TypeAlias = DropBefore | DropAfter | Respond | Slow | Held | CutStream | GarbageStream | Truncate | Drip

FAULT = web.RequestKey("fault", object)
"""Where a handler finds the fault meant for it (a `FaultKind` or None)."""


@dataclass
class Rule:
    route: str
    kind: FaultKind
    times: int
    skip: int
    seed: int | None


class FaultPlan:
    """Rules by route; each is used `times` times after letting `skip` calls pass, for the jobs of one seed or all."""

    def __init__(self) -> None:
        self._rules: list[Rule] = []

    def add(self, route: str, kind: FaultKind, *, times: int = 1, skip: int = 0, seed: int | None = None) -> None:
        self._rules.append(Rule(route, kind, times, skip, seed))

    def clear(self) -> None:
        self._rules.clear()

    def take(self, route: str, seed_of: Callable[[], int | None]) -> FaultKind | None:
        for rule in self._rules:
            if rule.route != route or rule.times <= 0 or (rule.seed is not None and rule.seed != seed_of()):
                continue
            if rule.skip > 0:
                rule.skip -= 1
                continue
            rule.times -= 1
            return rule.kind
        return None


NGINX_PAGE = (
    "<html>\r\n<head><title>503 Service Temporarily Unavailable</title></head>\r\n<body>\r\n"
    "<center><h1>503 Service Temporarily Unavailable</h1></center>\r\n<hr><center>nginx</center>\r\n"
    "</body>\r\n</html>\r\n"
)


def nginx(status: int = 503, *, accept: bool = False) -> Respond:
    page = NGINX_PAGE.replace("503", str(status))
    return Respond(status, text=page, headers={"Content-Type": "text/html"}, accept=accept)


def json_5xx(status: int = 500, *, accept: bool = False) -> Respond:
    return Respond(
        status, json={"detail": "Internal Server Error"}, headers={"x-fal-request-id": "gateway-0001"}, accept=accept
    )


def too_many(retry_after_s: str | None = None) -> Respond:
    headers = {} if retry_after_s is None else {"Retry-After": retry_after_s}
    return Respond(429, json={"detail": "Too many requests"}, headers=headers)


def exhausted() -> Respond:
    reason = "User is locked. Reason: Exhausted balance. Top up your balance at fal.ai/dashboard/billing."
    return Respond(403, json={"detail": reason})


def unauthorised() -> Respond:
    return Respond(401, json={"detail": "No user found for Key ID and Secret"})
