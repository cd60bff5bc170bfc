"""Access control of the page: host, origin, token, and security headers. Knows nothing of jobs.

Every handler of this adapter runs behind `Guard.admit`. The threats: another web page in the same browser (cross-site
requests, DNS rebinding, framing), another machine (token), and guessing the token.
"""

import hashlib
import hmac
import secrets
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from aiohttp import web

from adapters.web.settings import Settings
from core.net.host_check import PAGE_HEADERS, HostCheck, is_loopback, name_of
from core.net.token_gate import TokenGate, TooManyAttempts
from core.ports import AppState, Clock

COOKIE = "upscale_session"
SESSION_S = 30 * 86_400
ENDED_AREA = "web.session_ended"
MAX_ENDED = 10_000

PAGE_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' blob:; connect-src 'self'; "
    "form-action 'self'; base-uri 'none'; frame-ancestors 'none'; require-trusted-types-for 'script'"
)
DATA_POLICY = "default-src 'none'; frame-ancestors 'none'; sandbox"

# `no-referrer` would make browsers send `Origin: null` with our own sign-in form (Fetch, "append a request `Origin`
# header", read 2026-11-22).
HEADERS = {**PAGE_HEADERS, "Referrer-Policy": "same-origin"}
_FORWARDED = ("Forwarded", "X-Forwarded-For", "X-Forwarded-Host")
Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]
_SAFE_METHODS = frozenset({"GET", "HEAD", "OPTIONS"})


@dataclass(eq=False)
class Denied(Exception):
    """A refused request, with the HTTP status and one sentence."""

    status: int
    code: str
    message: str
    retry_after_s: int = 0


def harden(response: web.StreamResponse, policy: str = DATA_POLICY) -> None:
    """Set the security headers; must be called before the response is prepared."""
    for name, value in HEADERS.items():
        response.headers.setdefault(name, value)
    response.headers.setdefault("Content-Security-Policy", policy)


class Guard:
    def __init__(self, settings: Settings, state: AppState, clock: Clock, gate: TokenGate | None = None) -> None:
        self._settings = settings
        self._state = state
        self._clock = clock
        self._gate = gate or TokenGate(settings.token, clock)
        self._hosts = HostCheck(settings.web_host, settings.public_url)
        self._ended: set[str] = set()

    def admit(self, request: web.Request, *, needs_login: bool = True) -> None:
        """Raise Denied unless the request may reach its handler."""
        self._check_host(request)
        if request.method not in _SAFE_METHODS or request.path.startswith("/api/"):
            self._check_origin(request)
        if needs_login and not self.signed_in(request):
            raise Denied(401, "login_required", "Sign in with the token of this page first.")

    def signed_in(self, request: web.Request) -> bool:
        """Whether the request has the token or a valid session cookie. True if no token is configured."""
        token = self._settings.token
        if token is None:
            return True
        scheme, _, given = request.headers.get("Authorization", "").partition(" ")
        if scheme.lower() == "bearer":
            return self.is_token_right(request, given.strip())
        return self._cookie_is_valid(request.cookies.get(COOKIE, ""), token)

    def is_token_right(self, request: web.Request, given: str) -> bool:
        """Raises Denied (429) after too many wrong tokens."""
        try:
            return self._gate.is_right(given, request.remote, request.headers.getall("X-Forwarded-For", []))
        except TooManyAttempts as many:
            message = "Too many wrong tokens. Wait a minute and try again."
            raise Denied(429, "too_many_attempts", message, many.retry_after_s) from None

    async def end_session(self, request: web.Request) -> None:
        """End the request's session on this server and, within half a minute, on its replicas."""
        value, token = request.cookies.get(COOKIE, ""), self._settings.token
        if token is None or not self._cookie_is_valid(value, token):
            return
        expires, _, rest = value.partition(".")
        session = rest.partition(".")[0]
        self._ended.add(session)
        await self._state.claim(ENDED_AREA, session, ttl_s=int(expires) - self._clock.now())

    async def load_ended(self) -> None:
        """Read the sessions that were ended, also by other processes."""
        self._ended = set(list(await self._state.keys(ENDED_AREA))[-MAX_ENDED:])

    def session_cookie(self) -> str:
        """A new cookie value: an expiry, a nonce, and their HMAC with the token as key."""
        body = f"{int(self._clock.now()) + SESSION_S}.{secrets.token_hex(8)}"
        return f"{body}.{_sign(self._settings.token or '', body)}"

    def _cookie_is_valid(self, value: str, token: str) -> bool:
        body, _, signature = value.rpartition(".")
        if not body or not hmac.compare_digest(signature.encode(errors="replace"), _sign(token, body).encode()):
            return False
        expires, _, session = body.partition(".")
        return int(expires) > self._clock.now() and session not in self._ended

    def _check_host(self, request: web.Request) -> None:
        """Prevent DNS rebinding; without a token also refuse requests through a proxy."""
        if not self._hosts.allows(host_of(request)):
            raise Denied(403, "foreign_host", "This address is not served here. Use http://127.0.0.1 instead.")
        local = is_loopback(name_of(host_of(request)))
        forwarded = any(name in request.headers for name in _FORWARDED)
        if self._settings.token is None and (forwarded or not local):
            raise Denied(403, "token_needed", "To use the page through PUBLIC_URL, set WEB_TOKEN first.")

    def _check_origin(self, request: web.Request) -> None:
        """Refuse requests from other web sites; a script without an Origin header is allowed."""
        if request.headers.get("Sec-Fetch-Site", "same-origin") not in {"same-origin", "none"}:
            raise Denied(403, "foreign_origin", "This request came from another web site and was refused.")
        origin = request.headers.get("Origin")
        if origin is None:
            return
        allowed = {host_of(request).lower(), self._hosts.public_host}
        if origin.partition("://")[2].lower() not in allowed:
            raise Denied(403, "foreign_origin", "This request came from another web site and was refused.")


def _sign(token: str, body: str) -> str:
    message = b"upscale page session 1|" + body.encode(errors="replace")
    return hmac.new(token.encode(), message, hashlib.sha256).hexdigest()


def host_of(request: web.Request) -> str:
    """The `Host` header; empty without one. (aiohttp's `request.host` would then query a name server.)"""
    return request.headers.get("Host", "")
