"""The local page as a chat adapter: all routes go through one guard, and all errors through one response."""

import asyncio
from collections.abc import Callable, Sequence

import structlog
from aiohttp import web

from adapters.web.connection.security import Denied, Guard, Handler, harden
from adapters.web.inbound.account_routes import AccountHandlers
from adapters.web.inbound.job_routes import JobFailed, JobHandlers, ShareHandlers, actor_of
from adapters.web.inbound.operator_routes import OperatorHandlers
from adapters.web.outbound.errors import status_of
from adapters.web.outbound.job_message import WebReply
from adapters.web.settings import Settings
from adapters.web.views.card import Json, error_json
from adapters.web.views.pages import PageHandlers
from core.domain.errors import Draining, UpscaleError
from core.domain.job import ReplyAddress
from core.jobs.null_adapter import NullAdapter
from core.net.streamed_body import is_streamed, streams_body
from core.ports import AdapterContext, ReplyState
from core.presentation import notice_without_job

log = structlog.get_logger(__name__)

SESSION_REFRESH_S = 30.0


class WebAdapter(NullAdapter):
    """See `core.ports.ChatAdapter`. The page has no channels to notify, and its uploads are on this disk."""

    def __init__(self, settings: Settings, context: AdapterContext) -> None:
        super().__init__("web", shape="page")
        self._settings = settings
        self._context = context
        self._guard = Guard(settings, context.state, context.clock, context.token_gate)
        self._jobs = JobHandlers(context, settings.max_input_bytes)
        self._account = AccountHandlers(context)
        self._pages = PageHandlers(context, settings, self._guard)
        self._shared = ShareHandlers(context)
        self._operator = OperatorHandlers(context)
        self._serving = False

    async def serve(self, ready: Callable[[], None]) -> None:
        """Refresh the ended sessions until cancelled; then end open event streams, so that the server can stop."""
        await self._guard.load_ended()
        self._serving = True
        ready()
        try:
            while True:
                await asyncio.sleep(SESSION_REFRESH_S)
                try:
                    await self._guard.load_ended()
                except Exception as error:  # the database is unavailable; keep what is known
                    log.warning("ended_sessions_not_read", kind=type(error).__name__)
        finally:
            self._serving = False
            self._jobs.streams.close()

    def reply(self, address: ReplyAddress, state: ReplyState) -> WebReply:
        return WebReply(self._context.media)

    async def problem(self) -> str | None:
        return None if self._serving else "not serving"

    def routes(self) -> Sequence[web.AbstractRouteDef]:
        guarded = [*self._jobs.routes(), *self._account.routes(), *self._operator.routes()]
        guarded.append(web.get("/", self._pages.index))
        public = [*self._pages.open_routes(), *self._shared.routes()]
        wrapped = [self._wrap(route, needs_login=True) for route in guarded]
        return wrapped + [self._wrap(route, needs_login=False) for route in public]

    def _wrap(self, route: web.RouteDef, *, needs_login: bool) -> web.RouteDef:
        handler: Handler = route.handler

        async def guarded(request: web.Request) -> web.StreamResponse:
            try:
                self._guard.admit(request, needs_login=needs_login)
                response = await handler(request)
            except Denied as denied:
                response = _denied(request, denied)
            except web.HTTPException as raised:
                harden(raised)
                raise
            except (UpscaleError, JobFailed) as error:
                response = self._failed(request, error)
            except (ConnectionError, asyncio.IncompleteReadError):
                raise  # the client disconnected
            except (UnicodeError, RecursionError) as error:
                log.info("page_request_refused", route=route.path, kind=type(error).__name__)
                response = _denied(request, Denied(400, "unreadable", "This request cannot be read."))
            except Exception as error:
                response = self._failed(request, await self._context.service.incidents.unforeseen("web", error))
            if not response.prepared:
                harden(response)
            return response

        handled = streams_body(guarded) if is_streamed(handler) else guarded
        return web.RouteDef(route.method, route.path, handled, route.kwargs)

    def _failed(self, request: web.Request, error: UpscaleError | JobFailed) -> web.Response:
        """The error as JSON, with the same sentence as on every platform."""
        job, cause = (error.job, error.error) if isinstance(error, JobFailed) else (None, error)
        actor = actor_of(request)
        locale = actor.locale
        notice = self._context.service.notice(cause, locale, job, actor)
        if job is None and not request.path.endswith(("/jobs", "/repeat", "/confirm")):
            notice = notice_without_job(notice, cause, locale)
        body: Json = {"error": error_json(cause, notice, locale, job)}
        response = web.json_response(body, status=status_of(cause))
        if isinstance(cause, Draining):
            response.headers["Retry-After"] = "60"
        return response


def _denied(request: web.Request, denied: Denied) -> web.Response:
    """Redirect pages to the sign-in form; respond to everything else with JSON."""
    if denied.status == 401 and not request.path.startswith("/api/"):
        return web.Response(status=303, headers={"Location": "/login"})
    body = {"error": {"code": denied.code, "message": denied.message, "fields": {}}}
    response = web.json_response(body, status=denied.status)
    if denied.status == 401:
        response.headers["WWW-Authenticate"] = "Bearer"
    if denied.retry_after_s:
        response.headers["Retry-After"] = str(denied.retry_after_s)
    return response


def create(settings: Settings, context: AdapterContext) -> WebAdapter:
    return WebAdapter(settings, context)
