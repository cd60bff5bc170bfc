"""OAuth for many workspaces: redirect to the consent page, exchange the code, renew tokens.

The OAuth state is a signed value in the address and in a cookie, so nothing is stored before the exchange.
"""

import base64
import hashlib
import hmac
import html
import secrets
from collections import deque
from dataclasses import dataclass, field, replace
from typing import Any, Literal
from urllib.parse import urlencode

import structlog
from aiohttp import web
from slack_sdk.web.async_client import AsyncWebClient

from adapters.slack.outbound.errors import NO_ANSWER, code_of
from adapters.slack.settings import Settings, secret
from adapters.slack.setup.installations import Install, Installations
from adapters.slack.setup.manifest import BOT_SCOPES, OPTIONAL_SCOPES
from core.net.client_address import CLIENT, UNKNOWN
from core.net.host_check import PAGE_HEADERS
from core.ports import AppState, Clock
from core.presentation import LANGUAGES
from core.presentation.texts.operator_texts import installation_text

log = structlog.get_logger(__name__)

INSTALL_PATH = "/slack/install"
REDIRECT_PATH = "/slack/oauth_redirect"
STATE_LIFE_S = 600.0
STATE_AREA = "slack.oauth_used"
"""Digests of states that were used, shared by all processes until they expire."""
MAX_EXCHANGES_PER_MINUTE = 60
MAX_EXCHANGES_PER_CLIENT = 6
"""Per minute. Anybody can send a forged code, and each one costs a call to Slack."""
COOKIE = "slack-install-state"

_STYLE = "body{font:18px/1.5 system-ui,sans-serif;margin:15vh auto;max-width:32rem;padding:0 1rem}"
_STYLE_HASH = base64.b64encode(hashlib.sha256(_STYLE.encode()).digest()).decode()
_PAGE_HEADERS = {
    **PAGE_HEADERS,
    "Content-Security-Policy": (
        f"default-src 'none'; style-src 'sha256-{_STYLE_HASH}'; base-uri 'none'; form-action 'none'; "
        "frame-ancestors 'none'"
    ),
    "Cache-Control": "no-store",
}


@dataclass(slots=True)
class OAuth:
    """`GET /slack/install` and `GET /slack/oauth_redirect`, and `renew` for rotating tokens."""

    settings: Settings
    installs: Installations
    clock: Clock
    public_url: str
    state: AppState
    client: AsyncWebClient | None = None
    _exchanges: deque[tuple[float, str]] = field(default_factory=deque)
    """(time, client) of the last minute's exchanges, oldest first."""

    @property
    def redirect_uri(self) -> str:
        """Where Slack redirects to; empty leaves that to the app's setting."""
        return f"{self.public_url}{REDIRECT_PATH}" if self.public_url else ""

    async def install(self, request: web.Request) -> web.Response:
        """Redirect to Slack's consent page, with a state for one use from this browser."""
        state = self._signed(f"{int(self.clock.now() + STATE_LIFE_S)}.{secrets.token_urlsafe(24)}")
        query = {
            "client_id": self.settings.slack_client_id or "",
            "scope": ",".join(BOT_SCOPES + OPTIONAL_SCOPES),
            "state": state,
        }
        if self.redirect_uri:
            query["redirect_uri"] = self.redirect_uri
        answer = web.Response(
            status=302, headers={"Location": f"{self.settings.slack_authorize_url}?{urlencode(query)}"}
        )
        secure = self.public_url.startswith("https:")
        answer.set_cookie(COOKIE, state, max_age=int(STATE_LIFE_S), httponly=True, secure=secure, samesite="Lax")
        return answer

    async def redirect(self, request: web.Request) -> web.Response:
        if request.query.get("error"):
            return self._page(request, "declined")
        if not self._state_is_good(request):
            return self._page(request, "expired")
        state, code = request.query["state"], request.query.get("code", "")
        used, done = (hashlib.sha256(text.encode(errors="replace")).hexdigest() for text in (state, f"{state} {code}"))
        if await self.state.get(STATE_AREA, done):  # the page is loaded again
            return self._page(request, "done")
        if self._too_many_exchanges(request.get(CLIENT) or request.remote or UNKNOWN):
            raise web.HTTPTooManyRequests(headers={"Retry-After": "60"})
        try:
            answer = await self._token_request(code=code, redirect_uri=self.redirect_uri or None)
        except NO_ANSWER as error:
            log.warning("slack_install_refused", error=code_of(error) or type(error).__name__)
            return self._page(request, "refused")
        # Claimed only after the exchange, so that forged requests write no rows.
        if not await self.state.claim(STATE_AREA, used, ttl_s=STATE_LIFE_S):
            return self._page(request, "expired")
        install = self.install_of(answer)
        await self.installs.save(install)
        await self.state.put(STATE_AREA, done, value=True, ttl_s=STATE_LIFE_S)
        log.info("slack_installed", workspace=install.key)
        return self._page(request, "done")

    def _signed(self, body: str) -> str:
        key = secret(self.settings.slack_client_secret) or ""
        mac = hmac.new(key.encode(), b"slack install state 1|" + body.encode(errors="replace"), hashlib.sha256)
        return f"{body}.{mac.hexdigest()}"

    def _state_is_good(self, request: web.Request) -> bool:
        """Whether the state was signed by us, is not expired, and belongs to this browser."""
        given, kept = request.query.get("state", ""), request.cookies.get(COOKIE, "")
        body = given.rpartition(".")[0]
        right = self._signed(body).encode(errors="replace")
        if not body or not all(hmac.compare_digest(text.encode(errors="replace"), right) for text in (given, kept)):
            return False
        return int(body.partition(".")[0]) >= self.clock.now()

    def _too_many_exchanges(self, client: str) -> bool:
        now, made = self.clock.now(), self._exchanges
        while made and now - made[0][0] >= 60:
            made.popleft()
        by_client = sum(one == client for _, one in made)
        if len(made) >= MAX_EXCHANGES_PER_MINUTE or by_client >= MAX_EXCHANGES_PER_CLIENT:
            return True
        made.append((now, client))
        return False

    async def _token_request(self, **args: Any) -> dict[str, Any]:
        if self.client is None:
            raise web.HTTPServiceUnavailable
        given = {name: value for name, value in args.items() if value}
        pair = f"{self.settings.slack_client_id}:{secret(self.settings.slack_client_secret)}"
        # The SDK's own method for this passes an argument that aiohttp warns about as deprecated.
        headers = {"Authorization": f"Basic {base64.b64encode(pair.encode()).decode()}"}
        answer = await self.client.api_call("oauth.v2.access", data=given, headers=headers)
        return dict(answer.data) if isinstance(answer.data, dict) else {}

    def install_of(self, answer: dict[str, Any]) -> Install:
        """Parse Slack's answer. An org-wide install has no workspace (python-slack-sdk #1639, read 2026-11-22)."""
        team, org = answer.get("team") or {}, answer.get("enterprise") or {}
        org_wide = bool(answer.get("is_enterprise_install"))
        lives_s = answer.get("expires_in")
        return Install(
            team_id="" if org_wide else str(team.get("id") or ""),
            enterprise_id=str(org.get("id") or ""),
            bot_token=str(answer.get("access_token") or ""),
            bot_user_id=str(answer.get("bot_user_id") or ""),
            refresh_token=str(answer.get("refresh_token") or ""),
            expires_at=self.clock.now() + float(lives_s) if lives_s else None,
            name=str((org if org_wide else team).get("name") or ""),
            installed_at=self.clock.now(),
        )

    async def renew(self, install: Install) -> Install | None:
        """Exchange the refresh token, which works once; None if Slack refuses, or does not answer."""
        try:
            answer = await self._token_request(grant_type="refresh_token", refresh_token=install.refresh_token)
        except NO_ANSWER as error:
            reason = code_of(error) or type(error).__name__
            log.warning("slack_token_not_renewed", workspace=install.key, error=reason)
            return None
        fresh = self.install_of(answer)
        return replace(
            install, bot_token=fresh.bot_token, refresh_token=fresh.refresh_token, expires_at=fresh.expires_at
        )

    def _page(self, request: web.Request, outcome: Literal["done", "declined", "expired", "refused"]) -> web.Response:
        wanted = request.headers.get("Accept-Language", "")[:2].lower()
        language = next((known for known in LANGUAGES if known[:2] == wanted), "en")
        text = html.escape(installation_text(outcome, language, self.settings.slack_command))
        body = (
            f'<!doctype html><html lang="{language.replace("_", "-")}"><meta charset="utf-8">'
            '<meta name="viewport" content="width=device-width">'
            f"<title>Upscale</title><style>{_STYLE}</style><body>{text}</body></html>"
        )
        status = 200 if outcome == "done" else 400
        return web.Response(status=status, text=body, content_type="text/html", headers=_PAGE_HEADERS)
