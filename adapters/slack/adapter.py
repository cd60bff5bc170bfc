"""The Slack adapter: connect, serve until cancelled, and make replies from stored addresses."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any

import aiohttp
import structlog
from aiohttp import web
from slack_sdk.errors import SlackApiError
from slack_sdk.web.async_client import AsyncWebClient
from slack_sdk.web.async_slack_response import AsyncSlackResponse

from adapters.slack.connection import app as bolt
from adapters.slack.connection.background_tasks import BackgroundTasks
from adapters.slack.connection.drain_middleware import DrainMiddleware
from adapters.slack.connection.log_redaction import web_client
from adapters.slack.connection.socket_mode import Sockets, SocketTimeouts
from adapters.slack.context import HandlerContext
from adapters.slack.inbound.messages import forget_workspace
from adapters.slack.inbound.time_limit import with_time_limit
from adapters.slack.inbound.user_cache import UserCache
from adapters.slack.outbound.api_client import SlackApi, Team, scopes_of
from adapters.slack.outbound.delivery import Deliverer
from adapters.slack.outbound.errors import APP_GONE, NO_ANSWER, TRANSIENT, as_delivery_errors, code_of
from adapters.slack.outbound.files import Uploader, download_of
from adapters.slack.outbound.job_message import SlackReply
from adapters.slack.outbound.posting import Poster, ReplyStateCache, remove_message
from adapters.slack.outbound.rate_limit import RateLimiter
from adapters.slack.outbound.streaming import StreamSupport, TaskCards
from adapters.slack.settings import TOKEN_FIX, Settings, secret
from adapters.slack.setup import oauth
from adapters.slack.setup.installations import Install, Installations
from adapters.slack.views.card import draw
from core.domain.identity import Place
from core.domain.job import ReplyAddress, Source
from core.jobs.selections import Selections
from core.net.retry import Backoff, retry
from core.ports import AdapterContext, Download, LoginRefused, PlaceFacts, Reply, ReplyState, SystemClock
from core.presentation import Notice, notice_card

log = structlog.get_logger(__name__)

EDIT_INTERVAL_S = 3.0
DRAIN_GRACE_S = 5.0
RENEW_EVERY_S = 300.0
ALIVE_CHECK_S = 60.0
LOGIN_BACKOFF = Backoff(first_s=0.5, cap_s=30.0)


class SlackAdapter:
    name = "slack"
    min_edit_interval_s = EDIT_INTERVAL_S

    def __init__(self, settings: Settings, context: AdapterContext, *, times: SocketTimeouts | None = None) -> None:
        self._settings = settings
        self._context = context
        self._times = times or SocketTimeouts()
        self._installs = Installations(context.state, context.clock)
        self._oauth = oauth.OAuth(
            settings, self._installs, context.clock, (context.public_url or "").rstrip("/"), context.state
        )
        self._endpoint = bolt.HttpEndpoint(secret(settings.slack_signing_secret) or "")
        self._rate_limiter = RateLimiter(context.clock)
        self._ctx: HandlerContext | None = None
        self._session: aiohttp.ClientSession | None = None
        self._sockets: Sockets | None = None
        self._streams = StreamSupport(context.state)
        self._serving = False
        self._checked_at: dict[str, float] = {}
        self._file_hosts = (*context.trusted_file_hosts, settings.api_host)

    def _handler_context(self) -> HandlerContext:
        """Everything that needs a running event loop, created at its first use: replies may be made before `serve`."""
        if self._ctx is None:
            clock, context = self._context.clock, self._context
            timeout = aiohttp.ClientTimeout(total=30, connect=10)
            self._session = session = aiohttp.ClientSession(timeout=timeout)
            api = SlackApi(session, self._settings.slack_api_url, self._installs, self._rate_limiter, clock)
            api.on_revoked = self._check_removed
            users = UserCache(api, clock)
            service, state, tasks = with_time_limit(context.service), with_time_limit(context.state), BackgroundTasks()
            self._ctx = HandlerContext(
                settings=self._settings,
                service=service,
                selections=Selections(service, state, self.name),
                media=context.media,
                state=state,
                clock=clock,
                api=api,
                installs=self._installs,
                users=users,
                uploader=Uploader(api, session, clock),
                tasks=tasks,
                allowlist=with_time_limit(context.allowlist) if context.allowlist is not None else None,
                own_hosts=frozenset(self._file_hosts),
            )
        return self._ctx

    def _client(self, token: str = "") -> AsyncWebClient:
        return web_client(self._session, self._settings.slack_api_url, token)

    async def serve(self, ready: Callable[[], None]) -> None:
        """Log in, connect, and handle events until cancelled; then drain."""
        ctx, drain = self._handler_context(), DrainMiddleware(self._handler_context())
        try:
            await self._open(events=True)
            app = bolt.build(ctx, self._client(), drain)
            self._endpoint.app = app
            async with asyncio.TaskGroup() as group:
                group.create_task(self._renew_tokens(), name="slack-renew")
                if self._settings.socket_mode:
                    app_token, count = secret(self._settings.slack_app_token), self._settings.slack_sockets
                    self._sockets = Sockets(app, app_token, self._client(app_token), count, self._times)
                    group.create_task(self._sockets.run(), name="slack-sockets")
                    await self._sockets.first_connected.wait()
                self._serving = True
                ready()
                log.info("slack_ready", socket_mode=self._settings.socket_mode, workspaces=len(self._installs.all()))
        except asyncio.CancelledError:
            # Not after an error: `serve` is started again then, and replies of running jobs go on meanwhile.
            drain.draining = True
            await ctx.tasks.close(grace_s=DRAIN_GRACE_S)
            await self.close()
            raise
        finally:
            self._serving = False
            self._sockets = None

    async def serve_replies(self, ready: Callable[[], None]) -> None:
        self._handler_context()
        try:
            await self._open(events=False)
            self._serving = True
            ready()
            await self._renew_tokens()
        finally:
            self._serving = False

    async def close(self) -> None:
        if self._session is not None:
            await self._session.close()

    async def _open(self, *, events: bool) -> None:
        """Load the installations and log in. Raises LoginRefused; retries while Slack is unreachable."""
        self._oauth.client = self._client()
        self._installs.renew = self._oauth.renew
        await self._installs.load()
        await self._log_in(events)
        self._installs.mark_loaded()

    async def _log_in(self, events: bool) -> None:
        if events and self._settings.socket_mode:
            app_token = secret(self._settings.slack_app_token)
            await self._call_with_retry(
                "SLACK_APP_TOKEN", lambda: self._client().apps_connections_open(app_token=app_token)
            )
        token = secret(self._settings.slack_bot_token)
        if not token:
            return
        answer = await self._call_with_retry("SLACK_BOT_TOKEN", lambda: self._client(token).auth_test())
        self._handler_context().api.granted_scopes[str(answer.get("team_id") or "")] = scopes_of(answer)
        org_wide = bool(answer.get("is_enterprise_install"))
        self._installs.add_fixed(
            Install(
                team_id="" if org_wide else str(answer.get("team_id") or ""),
                enterprise_id=str(answer.get("enterprise_id") or ""),
                bot_token=token,
                bot_user_id=str(answer.get("user_id") or ""),
                name=str(answer.get("team") or ""),
            )
        )

    async def _call_with_retry(
        self, name: str, call: Callable[[], Awaitable[AsyncSlackResponse]]
    ) -> AsyncSlackResponse:
        """Make a call with the token of this name, retried while Slack is unreachable. Raises LoginRefused."""

        def pause_s(error: Exception, attempt: int) -> float | None:
            if isinstance(error, SlackApiError):
                code = code_of(error)
                if code and code not in TRANSIENT:
                    raise LoginRefused(f"Slack refuses {name} ({code}). {TOKEN_FIX[name]}") from None
            elif not isinstance(error, NO_ANSWER):
                return None
            log.warning("slack_unreachable", kind=type(error).__name__)
            return LOGIN_BACKOFF.pause_s(attempt)

        return await retry(call, clock=SystemClock(), pause=pause_s)

    async def _renew_tokens(self) -> None:
        """Renew rotating tokens before they expire, so that no request waits for that."""
        while True:
            for install in self._installs.all():
                try:
                    await self._installs.ensure_renewed(install)
                except Exception as error:
                    log.warning("slack_renewal_failed", workspace=install.key, kind=type(error).__name__)
            await asyncio.sleep(RENEW_EVERY_S)

    async def _check_removed(self, install: Install) -> None:
        """After a refusal that suggests that the app was removed, ask Slack, at most once a minute."""
        now = self._context.clock.now()
        if now - self._checked_at.get(install.key, -ALIVE_CHECK_S) < ALIVE_CHECK_S:
            return
        self._checked_at[install.key] = now
        try:
            await self._client(install.bot_token).auth_test()
        except SlackApiError as error:
            code = code_of(error)
            if code in APP_GONE:
                self._handler_context().tasks.spawn("removed", forget_workspace(self._handler_context(), install))
        except NO_ANSWER:
            log.info("slack_removal_unclear", workspace=install.key)

    def reply(self, address: ReplyAddress, state: ReplyState) -> Reply:
        ctx, service = self._handler_context(), self._context.service
        notes = ReplyStateCache(state, ctx.clock)
        poster = Poster(ctx.api, address, notes, ctx.clock)
        deliverer = Deliverer(ctx.uploader, ctx.media, poster, notes, ctx.service.can_share)
        cards = TaskCards(poster, notes, self._streams, lambda job: service.cancel(job.id, job.requester))
        return SlackReply(poster, notes, deliverer, cards)

    def posted_messages(self, address: ReplyAddress, state: Mapping[str, Any]) -> list[dict[str, Any]]:
        of = {"team": str(address.data.get("team", "")), "enterprise": str(address.data.get("enterprise") or "")}
        notes = [note for note in state.values() if isinstance(note, dict) and note.get("ts") and note.get("channel")]
        return [of | {"channel": note["channel"], "ts": note["ts"]} for note in notes]

    async def remove_message(self, message: Mapping[str, Any]) -> None:
        team = Team(message["team"], message["enterprise"])
        await remove_message(self._handler_context().api, team, message["channel"], message["ts"])

    async def download(self, source: Source) -> Download:
        return await download_of(source, self._handler_context().api, self._file_hosts)

    async def notify(self, workspace_id: str, channel_id: str, notice: Notice) -> None:
        with as_delivery_errors():
            await self._handler_context().api.post(Team(workspace_id), channel_id, draw(notice_card(notice, "en")))

    async def place_facts(self, place: Place) -> PlaceFacts:
        """Own is the workspace (or org) of the configured token; operators are its owners."""
        team_id, _, user_id = place.id.partition(":")
        install = self._installs.cached(team_id)
        if install is None:
            return PlaceFacts(is_own=False)
        own = self._installs.is_fixed(install.key)
        if place.kind == "workspace":
            return PlaceFacts(own, install.name)
        return PlaceFacts(own and (await self._handler_context().users.get(Team(team_id), user_id)).is_owner)

    def routes(self) -> Sequence[web.AbstractRouteDef]:
        found: list[web.AbstractRouteDef] = []
        if not self._settings.socket_mode:
            found.append(web.post(bolt.EVENTS_PATH, self._endpoint.handle))
        if self._settings.slack_client_id:
            found.append(web.get(oauth.INSTALL_PATH, self._oauth.install))
            found.append(web.get(oauth.REDIRECT_PATH, self._oauth.redirect))
        return found

    async def problem(self) -> str | None:
        if not self._serving:
            return "starting"
        if self._sockets is not None and not self._sockets.healthy:
            return "disconnected"
        return None


def create(settings: Settings, context: AdapterContext) -> SlackAdapter:
    return SlackAdapter(settings, context)
