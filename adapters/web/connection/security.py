"""Who may talk to the page: host, origin, token, and the headers that bind the browser.

Every handler of this adapter goes through `Guard.wrap`. Nothing here knows jobs. The threats: another web page in the
same browser (cross-site requests, DNS rebinding, framing), another machine (token), and guessing the token.
"""

from __future__ import annotations

import hashlib
import hmac
import secrets
from collections import OrderedDict
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from urllib.parse import urlsplit

from aiohttp import web

from adapters.web.settings import Settings, is_loopback
from core.ports import Clock

COOKIE = "upscale_session"
SESSION_S = 30 * 86_400
ATTEMPTS_PER_WINDOW = 5
ATTEMPT_WINDOW_S = 60.0
MAX_TRACKED_CLIENTS = 1_000

PAGE_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' blob:; connect-src 'self'; "
    "form-action 'self'; base-uri 'none'; frame-ancestors 'none'; require-trusted-types-for 'script'"
)
DATA_POLICY = "default-src 'none'; frame-ancestors 'none'; sandbox"

# `no-referrer` would make browsers send `Origin: null` with our own sign-in form (Fetch, "append a request `Origin`
# header", read 2026-11-22), so the address is told, but only to ourselves.
HEADERS: Mapping[str, str] = {
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Permissions-Policy": "camera=(), microphone=(), geolocation=()",
}
_FORWARDED = ("Forwarded", "X-Forwarded-For", "X-Forwarded-Host")
Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]
_SAFE_METHODS = frozenset({"GET", "HEAD", "OPTIONS"})


@dataclass(eq=False)
class Denied(Exception):
    """A request that is not let in, with the HTTP status and one plain sentence."""

    status: int
    code: str
    message: str
    retry_after_s: int = 0


def harden(response: web.StreamResponse, policy: str = DATA_POLICY) -> None:
    """Set the protecting headers; must happen before the response is prepared."""
    for name, value in HEADERS.items():
        response.headers.setdefault(name, value)
    response.headers.setdefault("Content-Security-Policy", policy)


class Attempts:
    """Wrong tokens per client address, so that guessing is slow. Bounded: the oldest clients are forgotten first."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._failed: OrderedDict[str, list[float]] = OrderedDict()

    def check(self, client: str) -> None:
        """Raise Denied (429) while this client has used up its attempts."""
        now = self._clock.now()
        recent = [at for at in self._failed.get(client, []) if now - at < ATTEMPT_WINDOW_S]
        if len(recent) >= ATTEMPTS_PER_WINDOW:
            wait_s = max(1, round(ATTEMPT_WINDOW_S - (now - recent[0])))
            raise Denied(429, "too_many_attempts", "Too many wrong tokens. Wait a minute and try again.", wait_s)

    def failed(self, client: str) -> None:
        """Remember one wrong token."""
        times = self._failed.setdefault(client, [])
        times.append(self._clock.now())
        del times[:-ATTEMPTS_PER_WINDOW]
        self._failed.move_to_end(client)
        while len(self._failed) > MAX_TRACKED_CLIENTS:
            self._failed.popitem(last=False)


class Guard:
    """Decides about each request before its handler sees it."""

    def __init__(self, settings: Settings, clock: Clock) -> None:
        self._settings = settings
        self._clock = clock
        self.attempts = Attempts(clock)

    def admit(self, request: web.Request, *, needs_login: bool = True) -> None:
        """Raise Denied unless this request may be answered."""
        self._check_host(request)
        if request.method not in _SAFE_METHODS:
            self._check_origin(request)
        if needs_login and not self.signed_in(request):
            raise Denied(401, "login_required", "Sign in with the token of this page first.")

    def signed_in(self, request: web.Request) -> bool:
        """Whether the request carries the token, or the cookie made from it. True where no token is set."""
        token = self._settings.token
        if token is None:
            return True
        scheme, _, given = request.headers.get("Authorization", "").partition(" ")
        if scheme.lower() == "bearer":
            return self.token_is(request, given.strip())
        return self._cookie_is_valid(request.cookies.get(COOKIE, ""), token)

    def token_is(self, request: web.Request, given: str) -> bool:
        """Compare in constant time, counting wrong ones. Raises Denied (429) after too many."""
        client = request.remote or "?"
        self.attempts.check(client)
        token = self._settings.token or ""
        right = hmac.compare_digest(given.encode(), token.encode()) and bool(token)
        if not right:
            self.attempts.failed(client)
        return right

    def session_cookie(self) -> str:
        """A new cookie value: an expiry, a nonce, and their HMAC under the token. The token itself is not in it."""
        body = f"{int(self._clock.now()) + SESSION_S}.{secrets.token_hex(8)}"
        return f"{body}.{_sign(self._settings.token or '', body)}"

    def _cookie_is_valid(self, value: str, token: str) -> bool:
        body, _, signature = value.rpartition(".")
        if not body or not hmac.compare_digest(signature.encode(), _sign(token, body).encode()):
            return False
        expires = body.partition(".")[0]
        return expires.isdigit() and int(expires) > self._clock.now()

    def _check_host(self, request: web.Request) -> None:
        """Against DNS rebinding: a page bound to loopback answers only to names that mean this machine.

        Without a token the page must not be reachable through a proxy either, whatever host that proxy names.
        """
        if not is_loopback(self._settings.web_host):
            return
        host = request.host.lower()
        public = host == self._settings.public_host
        local = is_loopback(_name_of(host))
        if not (public or local):
            raise Denied(403, "foreign_host", "This address is not served here. Use http://127.0.0.1 instead.")
        forwarded = any(name in request.headers for name in _FORWARDED)
        if self._settings.token is None and (forwarded or not local):
            raise Denied(403, "token_needed", "To use the page through PUBLIC_URL, set WEB_TOKEN first.")

    def _check_origin(self, request: web.Request) -> None:
        """A changing request must come from our own page, or from a script that sends no Origin at all."""
        if request.headers.get("Sec-Fetch-Site", "same-origin") not in {"same-origin", "none"}:
            raise Denied(403, "foreign_origin", "This request came from another web site and was refused.")
        origin = request.headers.get("Origin")
        if origin is None:
            return
        allowed = {request.host.lower(), self._settings.public_host}
        if urlsplit(origin).netloc.lower() not in allowed or origin == "null":
            raise Denied(403, "foreign_origin", "This request came from another web site and was refused.")


def _sign(token: str, body: str) -> str:
    return hmac.new(token.encode(), b"upscale page session 1|" + body.encode(), hashlib.sha256).hexdigest()


def _name_of(host: str) -> str:
    """The host without its port; IPv6 keeps its brackets."""
    if host.startswith("["):
        return host.partition("]")[0] + "]"
    return host.partition(":")[0]
