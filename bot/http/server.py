"""The HTTP server: health, metrics, fal's webhook, signed files, and the adapters' routes.

It knows neither platforms nor jobs: everything it serves is passed in. Connections, bodies and open requests are
limited, and nothing that a stranger sends leaves a traceback or a row.
"""

import asyncio
import errno
import functools
from collections import deque
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import structlog
from aiohttp import web

from bot.http.connections import BoundedHandler, Connections
from bot.http.health import Health
from bot.http.listener import Listener
from bot.http.liveness import PATH as LIVENESS_PATH
from bot.http.liveness import Liveness
from bot.http.request_bodies import MAX_BODY_BYTES, RequestBodies
from bot.observability.metrics import CONTENT_TYPE, PrometheusMetrics
from core.domain.errors import ResultExpired, UpscaleError
from core.net.client_address import CLIENT
from core.net.file_response import FileResponse, has_room
from core.net.host_check import HostCheck
from core.net.signed_links import FileLinks
from core.net.streamed_body import is_streamed
from core.net.token_gate import TokenGate, TooManyAttempts
from core.net.turns import Turns
from core.ports import NotUsable

log = structlog.get_logger(__name__)

MAX_OPEN_REQUESTS = 2_000
STOP_GRACE_S = 2.0
LARGE_BODY_BYTES = 8_000
"""Handling a larger body takes up to 6 ms, so only one such request continues in each iteration of the event loop."""
_BAD_INPUT = (UnicodeError, RecursionError)
"""Errors that malformed input raises deep inside a parser; handlers catch all others."""
_UNREADABLE = "This request cannot be read."
_FOREIGN_HOST = "This address is not served here. If it should be, its operator sets PUBLIC_URL to it."
MAX_INCIDENTS = 20
INCIDENT_WINDOW_S = 600.0
_PLAIN_HEADERS = {"Server": "upscale-bot", "X-Content-Type-Options": "nosniff"}
_FILE_HEADERS = {
    "Content-Security-Policy": "default-src 'none'; sandbox",
    "Cache-Control": "private, max-age=3600",
    "X-Robots-Tag": "noindex",
}
_FILE_TYPES = {".png": "image/png", ".jpg": "image/jpeg", ".webp": "image/webp"}

Webhook = Callable[[str, Mapping[str, str], bytes, str | None], Awaitable[int]]
"""(job id, headers, body, token) -> HTTP status."""
FindFile = Callable[[str, str], Awaitable[Path | None]]
"""(job id, file name) -> the file, or None if it is not kept. Raises UpscaleError."""
Incident = Callable[[str, BaseException], Awaitable[str]]


@dataclass
class HttpServer:
    """Serves from `start` to `stop`. `port` 0 takes any free port; `start` then sets `port` to it.

    `gate` protects `/metrics` if a token is set. `hosts` checks host names; `routes` are the adapters' routes.
    """

    host: str
    port: int
    health: Health
    metrics: PrometheusMetrics
    version: str
    incident: Incident
    links: FileLinks
    find_file: FindFile
    webhook: Webhook
    gate: TokenGate
    routes: Sequence[web.AbstractRouteDef] = ()
    role: str = "all"
    hosts: HostCheck = field(default_factory=lambda: HostCheck(""))
    bodies: RequestBodies = field(default_factory=RequestBodies)
    connections: Connections = field(init=False)
    turns: Turns = field(default_factory=Turns)
    large: Turns = field(default_factory=lambda: Turns(per_iteration=1))
    _open: int = 0
    _incidents_at: deque[float] = field(default_factory=lambda: deque(maxlen=MAX_INCIDENTS))
    _runner: web.AppRunner | None = field(default=None, repr=False)
    _listener: Listener | None = field(default=None, repr=False)

    def __post_init__(self) -> None:
        self.connections = Connections(self.gate.proxies)

    def application(self) -> web.Application:
        app = web.Application(middlewares=[self._bounded], client_max_size=MAX_BODY_BYTES)
        app.on_response_prepare.append(_plain_headers)
        app.router.add_get(LIVENESS_PATH, self._healthz)
        app.router.add_get("/readyz", self._readyz)
        app.router.add_get("/metrics", self._metrics)
        app.router.add_post("/fal/webhook/{job_id}", self._webhook)
        app.router.add_get("/files/{job_id}/{name}", self._file)
        app.add_routes(self.routes)
        return app

    async def start(self) -> None:
        """Listen. Raises NotUsable with one plain sentence if that is impossible."""
        runner = web.AppRunner(self.application(), handle_signals=False, access_log=None, shutdown_timeout=STOP_GRACE_S)
        await runner.setup()
        server, loop = runner.server, asyncio.get_running_loop()
        assert server is not None
        try:
            bound = await loop.create_server(asyncio.Protocol, self.host, self.port, start_serving=False)
            if not bound.sockets:  # asyncio takes "too many open files" for a family that this machine lacks
                raise OSError(errno.EMFILE, "")
            make = functools.partial(BoundedHandler, server, self.connections, loop)
            liveness = Liveness(self._alive, _PLAIN_HEADERS, lambda name: self.hosts.allows(name))
            self._listener = Listener(bound.sockets, make, self.connections, self.turns, liveness)
        except OSError as error:
            await runner.cleanup()
            raise NotUsable(_bind_problem(error, self.host, self.port)) from None
        self.port = int(bound.sockets[0].getsockname()[1])
        self._runner = runner
        bound.close()
        log.info("http_listening", host=self.host, port=self.port)

    async def stop(self) -> None:
        """Accept no new connection, let open requests finish for two seconds, then close. Idempotent."""
        listener, self._listener = self._listener, None
        if listener is not None:
            listener.close()
        runner, self._runner = self._runner, None
        if runner is not None:
            await runner.cleanup()
        self.connections.close()

    def client_of(self, request: web.Request) -> str:
        return self.gate.proxies.client(request.remote, request.headers.getall("X-Forwarded-For", []))

    @web.middleware
    async def _bounded(
        self, request: web.Request, handler: Callable[[web.Request], Awaitable[web.StreamResponse]]
    ) -> web.StreamResponse:
        """Read the body with a deadline, limit the open requests, and answer unexpected errors with a reference."""
        client = request[CLIENT] = self.client_of(request)
        if request.path != LIVENESS_PATH:
            await self.turns.wait(client)
        if not self.hosts.allows(request.headers.get("Host", "")):
            return web.json_response(_error("foreign_host", _FOREIGN_HOST), status=403)
        match = request.match_info
        if match.http_exception is not None and request.path.startswith("/api/"):
            return _no_route(match.http_exception, request.method)
        if request.path == LIVENESS_PATH or match.http_exception is not None:
            return await handler(request)
        if "\0" in request.path + request.query_string:  # PostgreSQL would raise a database error for it
            return web.json_response(_error("bad_request", _UNREADABLE), status=400)
        if request.body_exists and not is_streamed(match.handler):
            await self.bodies.read(request, client)
            if (request.content_length or MAX_BODY_BYTES) > LARGE_BODY_BYTES:
                await self.large.wait(client)
        if self._open >= MAX_OPEN_REQUESTS:
            return _busy("Too many requests at once.")
        self._open += 1
        try:
            response = await handler(request)
            if isinstance(response, FileResponse) and not has_room(client):
                return _busy("Too many files are being sent at once.")
            return response
        except (web.HTTPException, ConnectionError):
            raise
        except _BAD_INPUT as error:
            log.info("http_request_refused", route=match.handler.__qualname__, kind=type(error).__name__)
            return web.json_response(_error("bad_request", _UNREADABLE), status=400)
        except Exception as error:
            body = _error("internal", f"Something went wrong on our side. Reference: {await self._reference(error)}")
            return web.json_response(body, status=500)
        finally:
            self._open -= 1

    async def _reference(self, error: Exception) -> str:
        """Record an unexpected error and return its reference; only a few, since anybody could cause them."""
        now = self.health.clock.now()
        if len(self._incidents_at) == MAX_INCIDENTS and now - self._incidents_at[0] < INCIDENT_WINDOW_S:
            log.error("http_incident_not_kept", kind=type(error).__name__)
            return "-"
        self._incidents_at.append(now)
        return await self.incident("http", error)

    @property
    def _alive(self) -> dict[str, str]:
        return {"status": "ok", "version": self.version, "role": self.role}

    async def _healthz(self, _: web.Request) -> web.Response:
        """For requests that the listener does not answer itself."""
        return web.json_response(self._alive)

    async def _readyz(self, _: web.Request) -> web.Response:
        checks = await self.health.readiness()
        ready = all(answer == "ok" for answer in checks.values())
        body = {"ready": ready, "draining": self.health.draining, "checks": checks}
        return web.json_response(body, status=200 if ready else 503)

    async def _metrics(self, request: web.Request) -> web.Response:
        if self.gate.token is not None:
            given = request.headers.get("Authorization", "").removeprefix("Bearer ").strip()
            try:
                valid = self.gate.is_right(given, request.remote, request.headers.getall("X-Forwarded-For", []))
            except TooManyAttempts as many:
                raise web.HTTPTooManyRequests(headers={"Retry-After": str(many.retry_after_s)}) from None
            if not valid:
                raise web.HTTPUnauthorized(text="Send the token: Authorization: Bearer …\n")
        return web.Response(body=self.metrics.render(), headers={"Content-Type": CONTENT_TYPE})

    async def _webhook(self, request: web.Request) -> web.Response:
        body, token = await request.read(), request.query.get("t")
        status = await self.webhook(request.match_info["job_id"], request.headers, body, token)
        return web.Response(status=status)

    async def _file(self, request: web.Request) -> web.StreamResponse:
        job_id, name = request.match_info["job_id"], request.match_info["name"]
        if not self.links.is_valid(job_id, name, request.query.get("sig", "")):
            raise web.HTTPForbidden(text="This link is not valid, or no longer.\n")
        try:
            path = await self.find_file(job_id, name)
        except ResultExpired:
            path = None
        except UpscaleError:  # it is no longer on this machine, and cannot be fetched again at the moment
            raise web.HTTPServiceUnavailable(text="Try again in a minute.\n", headers={"Retry-After": "60"}) from None
        mime = _FILE_TYPES.get(path.suffix) if path is not None else None
        if path is None or mime is None:
            raise web.HTTPGone(text="This file is no longer kept.\n")
        response = FileResponse(path)
        response.content_type = mime
        response.headers.update({**_FILE_HEADERS, "Content-Disposition": f'inline; filename="{job_id}{path.suffix}"'})
        return response


async def _plain_headers(_: web.Request, response: web.StreamResponse) -> None:
    if isinstance(response, web.HTTPException):  # breaks a reference cycle of 70 objects through its frames
        response.__traceback__ = response.__context__ = None
    response.headers.update(_PLAIN_HEADERS)


def _no_route(error: web.HTTPException, method: str) -> web.Response:
    """The API's answer for an address that is not served, or not with this method (with the `Allow` header)."""
    if not isinstance(error, web.HTTPMethodNotAllowed):
        return web.json_response(_error("not_found", "There is nothing at this address."), status=error.status)
    refused = _error("method_not_allowed", f"{method} is not possible at this address.")
    return web.json_response(refused, status=error.status, headers={"Allow": error.headers["Allow"]})


def _error(code: str, message: str) -> dict[str, object]:
    return {"error": {"code": code, "message": message, "fields": {}}}


def _busy(message: str) -> web.Response:
    return web.json_response(_error("busy", message), status=503, headers={"Retry-After": "5"})


def _bind_problem(error: OSError, host: str, port: int) -> str:
    if error.errno == errno.EADDRINUSE:
        return f"Port {port} on {host} is already in use; stop the other program or set WEB_PORT to another port."
    if error.errno == errno.EMFILE:
        return "No more files can be opened; start the bot with a higher limit (ulimit -n)."
    if error.errno in (errno.EACCES, errno.EPERM):
        return f"This user may not listen on port {port}; set WEB_PORT to one above 1023."
    return f"WEB_HOST {host} is not an address of this machine; set it to 127.0.0.1 or to one of its own."
