"""The one HTTP server: health, metrics, fal's webhook, signed files, and whatever routes the adapters bring.

It knows no platform and no job: everything it serves is handed in. Bodies and open requests are bounded.
"""

from __future__ import annotations

import asyncio
import errno
import hmac
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

import structlog
from aiohttp import web

from bot.http.health import Health
from bot.http.signed_links import FileLinks
from bot.observability.metrics import CONTENT_TYPE, PrometheusMetrics

log = structlog.get_logger(__name__)

MAX_BODY_BYTES = 2 * 1024**2
"""For bodies read whole (webhooks and events are far smaller). Uploads are streamed, with a cap of their own."""
MAX_OPEN_REQUESTS = 2_000
BODY_LIMIT_S = 15.0
STOP_GRACE_S = 2.0
_FILE_TYPES = {".png": "image/png", ".jpg": "image/jpeg", ".webp": "image/webp"}

Webhook = Callable[[str, Mapping[str, str], bytes, str | None], Awaitable[int]]
"""(job id, headers, body, token) -> HTTP status."""
FindFile = Callable[[str, str], Awaitable[Path | None]]
"""(job id, file name) -> the file, or None where it is not kept."""
Incident = Callable[[str, BaseException], Awaitable[str]]


class ServerError(Exception):
    """The server could not start; the text is one sentence for the operator."""


class _Routes(Protocol):
    def routes(self) -> Sequence[web.AbstractRouteDef]:
        """Routes to mount."""


@dataclass
class HttpServer:
    """Bind with `start`, serve until `stop`. `port` 0 takes any free one; the real one is in `port` afterwards.

    `private_token` guards `/metrics` where strangers can reach the server; None leaves it open.
    """

    host: str
    port: int
    health: Health
    metrics: PrometheusMetrics
    version: str
    incident: Incident
    mounts: Sequence[_Routes] = ()
    links: FileLinks | None = None
    find_file: FindFile | None = None
    webhook: Webhook | None = None
    private_token: str | None = None
    _open: int = 0
    _runner: web.AppRunner | None = field(default=None, repr=False)

    def application(self) -> web.Application:
        """Everything that is served, as an aiohttp application."""
        app = web.Application(middlewares=[self._bounded], client_max_size=MAX_BODY_BYTES)
        app.on_response_prepare.append(_plain_headers)
        app.router.add_get("/healthz", self._healthz)
        app.router.add_get("/readyz", self._readyz)
        app.router.add_get("/metrics", self._metrics)
        if self.webhook is not None:
            app.router.add_post("/fal/webhook/{job_id}", self._webhook)
        if self.links is not None and self.find_file is not None:
            app.router.add_get("/files/{job_id}/{name}", self._file)
        for mounted in self.mounts:
            app.add_routes(mounted.routes())
        return app

    async def start(self) -> None:
        """Listen. Raises ServerError with one plain sentence where that is impossible."""
        runner = web.AppRunner(self.application(), handle_signals=False, access_log=None, shutdown_timeout=STOP_GRACE_S)
        await runner.setup()
        site = web.TCPSite(runner, self.host, self.port, backlog=512)
        try:
            await site.start()
        except OSError as error:
            await runner.cleanup()
            raise ServerError(_bind_problem(error, self.host, self.port)) from None
        self._runner = runner
        self.port = int(runner.addresses[0][1])
        log.info("http_listening", host=self.host, port=self.port)

    async def stop(self) -> None:
        """Take no new connection, let open requests finish for two seconds, then close. Repeatable."""
        runner, self._runner = self._runner, None
        if runner is not None:
            await runner.cleanup()

    @web.middleware
    async def _bounded(
        self, request: web.Request, handler: Callable[[web.Request], Awaitable[web.StreamResponse]]
    ) -> web.StreamResponse:
        """Bound the open requests, and turn the unforeseen into a reference."""
        if self._open >= MAX_OPEN_REQUESTS:
            return web.json_response(
                _error("busy", "Too many requests at once."), status=503, headers={"Retry-After": "5"}
            )
        self._open += 1
        try:
            return await handler(request)
        except (web.HTTPException, ConnectionError):
            raise
        except Exception as error:
            reference = await self.incident("http", error)
            body = _error("internal", f"Something went wrong on our side. Reference: {reference}")
            return web.json_response(body, status=500)
        finally:
            self._open -= 1

    async def _healthz(self, _: web.Request) -> web.Response:
        return web.json_response({"status": "ok", "version": self.version})

    async def _readyz(self, _: web.Request) -> web.Response:
        found = await self.health.readiness()
        checks = {name: found.reasons.get(name, "ok") for name in (*found.checked, *found.reasons)}
        body = {"ready": found.ready, "draining": self.health.draining, "checks": checks}
        return web.json_response(body, status=200 if found.ready else 503)

    async def _metrics(self, request: web.Request) -> web.Response:
        if self.private_token is not None:
            given = request.headers.get("Authorization", "").removeprefix("Bearer ").strip()
            if not hmac.compare_digest(given.encode(), self.private_token.encode()):
                raise web.HTTPUnauthorized(text="Send the token: Authorization: Bearer …\n")
        return web.Response(body=self.metrics.render(), headers={"Content-Type": CONTENT_TYPE})

    async def _webhook(self, request: web.Request) -> web.Response:
        assert self.webhook is not None
        try:
            async with asyncio.timeout(BODY_LIMIT_S):
                body = await request.read()
        except TimeoutError:
            raise web.HTTPRequestTimeout from None
        status = await self.webhook(request.match_info["job_id"], request.headers, body, request.query.get("t"))
        return web.Response(status=status)

    async def _file(self, request: web.Request) -> web.StreamResponse:
        assert self.links is not None
        assert self.find_file is not None
        job_id, name = request.match_info["job_id"], request.match_info["name"]
        if not self.links.holds(job_id, name, request.query.get("sig", "")):
            raise web.HTTPForbidden(text="This link is not valid, or no longer.\n")
        path = await self.find_file(job_id, name)
        mime = _FILE_TYPES.get(path.suffix) if path is not None else None
        if path is None or mime is None:
            raise web.HTTPGone(text="This file is no longer kept.\n")
        response = web.FileResponse(path)
        response.content_type = mime
        response.headers["Content-Disposition"] = f'inline; filename="{job_id}{path.suffix}"'
        response.headers["Content-Security-Policy"] = "default-src 'none'; sandbox"
        response.headers["Cache-Control"] = "private, max-age=3600"
        response.headers["X-Robots-Tag"] = "noindex"
        return response


async def _plain_headers(_: web.Request, response: web.StreamResponse) -> None:
    response.headers["Server"] = "upscale-bot"
    response.headers.setdefault("X-Content-Type-Options", "nosniff")


def _error(code: str, message: str) -> dict[str, object]:
    return {"error": {"code": code, "message": message, "fields": {}}}


def _bind_problem(error: OSError, host: str, port: int) -> str:
    if error.errno == errno.EADDRINUSE:
        return f"Port {port} on {host} is already in use; stop the other program or set WEB_PORT to another port."
    if error.errno in (errno.EACCES, errno.EPERM):
        return f"This user may not listen on port {port}; set WEB_PORT to one above 1023."
    return f"WEB_HOST {host} is not an address of this machine; set it to 127.0.0.1 or to one of its own."
