"""What every REST request meets first: the record of it, faults, authentication, limits, its body and files."""

from __future__ import annotations

import asyncio
import json
import re
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from aiohttp import BodyPartReader, web

from tests.emulators.discord import errors
from tests.emulators.discord.faults import reset_connection
from tests.emulators.discord.posts import Body, Upload
from tests.emulators.discord.world import dumps

if TYPE_CHECKING:
    from tests.emulators.discord.server import DiscordEmulator

PREFIX = "/api/v10"
REQUEST_CAP_BYTES = 25 * 1024 * 1024
Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


@dataclass
class Record:
    """One request as it came, and how it was answered (status 0: the connection was reset)."""

    at_s: float
    monotonic_s: float
    method: str
    path: str
    query: dict[str, str]
    headers: dict[str, str]
    json: Any = None
    files: list[tuple[str, int]] = field(default_factory=list)
    status: int = 0
    code: int = 0
    duration_s: float = 0.0

    reset: bool = False
    instead: web.Response | None = None
    shared: bool = False

    @property
    def line(self) -> str:
        return f"{self.method} {self.path} → {self.status}{f' ({self.code})' if self.code else ''}"


class RequestEntry:
    def __init__(self, emulator: DiscordEmulator) -> None:
        self.emulator = emulator
        self.world = emulator.world
        self._records: dict[int, Record] = {}

    @web.middleware
    async def middleware(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        if not request.path.startswith(PREFIX):
            return await handler(request)
        started = time.monotonic()
        record = Record(
            self.world.clock.now(),
            started,
            request.method,
            request.path.removeprefix(PREFIX),
            dict(request.query),
            dict(request.headers),
        )
        self._records[id(request)] = record
        self.emulator.requests.append(record)
        try:
            response = await self._guarded(request, handler, record)
        finally:
            del self._records[id(request)]
        record.status = response.status if not record.reset else 0
        record.duration_s = time.monotonic() - started
        if record.reset:
            reset_connection(request)
        if response.status in (401, 403) or (response.status == 429 and not record.shared):
            self.emulator.limits.count_invalid()
        if response.content_type == "application/json":
            response.headers["Content-Type"] = self.emulator.json_type
        return response

    async def _guarded(self, request: web.Request, handler: Handler, record: Record) -> web.StreamResponse:
        if self.emulator.limits.banned:
            return web.Response(status=429, text="error code: 1015", content_type="text/html")
        faulty = await self._fault(request, record)
        if faulty is not None:
            return faulty
        try:
            self._authorise(request)
            limited, headers = self._limit(request)
            if limited is not None:
                record.code = 0
                return limited
            response = await handler(request)
            response.headers.update(headers)
            response = record.instead or response
        except errors.ApiError as error:
            record.code = error.code
            if error.code == 50035 and "message_reference" not in (error.errors or {}):
                self.emulator.violations.append(f"{record.line}: {dumps(error.errors)}")
            return json_response(error.body(), error.status)
        except web.HTTPNotFound:
            self.emulator.violations.append(f"no such route: {record.line}")
            return json_response({"message": "404: Not Found", "code": 0}, 404)
        return response

    async def _fault(self, request: web.Request, record: Record) -> web.StreamResponse | None:
        place = await self._place(request, request.path.removeprefix(PREFIX))
        fault = next((f for f in self.emulator.faults if f.matches(request, place)), None)
        if fault is None:
            return None
        fault.times -= 1
        if fault.action == "delay":
            if not request.content_type.startswith("multipart/"):
                await request.read()  # it is here, so it is carried out also where the caller goes away meanwhile
            await (fault.until.wait() if fault.until is not None else asyncio.sleep(fault.seconds))
            return None
        if fault.action in ("reset", "reset_after"):
            record.reset = True
            if fault.action == "reset_after":
                return None
            return web.Response(status=500)
        await request.read()
        if fault.action == "ratelimit":
            record.shared = fault.shared
            return _too_many(fault.seconds, "shared" if fault.shared else "user")
        if fault.action == "cloudflare":
            return web.Response(status=429, text="error code: 1015", content_type="text/html")
        if fault.action == "html":
            return web.Response(status=fault.status, text="<html>upstream</html>", content_type="text/html")
        record.code = fault.code
        response = json_response({"message": "injected", "code": fault.code}, fault.status)
        response.headers["Via"] = "1.1 google"
        if fault.action == "status_after":
            record.instead, record.code = response, 0
            return None
        return response

    async def _place(self, request: web.Request, path: str) -> int:
        """The channel that a request is about, by its address, interaction or recipient; 0 where it is about none."""
        if path == "/users/@me/channels":
            user = self.world.users.get(int((await request.json())["recipient_id"]))
            return self.world.dm_with(user).id if user else 0
        found = re.match(r"/(?:webhooks|interactions)/\d+/([^/]+)", path)
        interaction = self.world.by_token(found[1]) if found else None
        if interaction is not None:
            return interaction.channel.id
        channel = re.match(r"/channels/(\d+)", path)
        return int(channel[1]) if channel else 0

    def _authorise(self, request: web.Request) -> None:
        path = request.path.removeprefix(PREFIX)
        if path.startswith(("/interactions/", "/webhooks/")) or path == "/gateway":
            return
        if request.headers.get("Authorization") != f"Bot {self.emulator.token}":
            raise errors.unauthorized()

    def _limit(self, request: web.Request) -> tuple[web.Response | None, dict[str, str]]:
        path, limits = request.path.removeprefix(PREFIX), self.emulator.limits
        if path.startswith("/interactions/"):
            return None, {}
        hook = re.match(r"/webhooks/\d+/([^/]+)", path)
        place = re.match(r"/channels/(\d+)/messages", path)
        if hook:
            key, rule = f"webhook {hook[1][-8:]} {request.method}", limits.webhook
        else:
            remaining, reset_s = limits.take("global", limits.everything)
            if remaining < 0:
                return _too_many(reset_s, "global"), {}
            if not place:
                return None, {}
            key, rule = f"channel {place[1]} {request.method}", limits.channel
        remaining, reset_s = limits.take(key, rule)
        headers = {
            "X-RateLimit-Limit": str(rule[0]),
            "X-RateLimit-Remaining": str(max(0, remaining)),
            "X-RateLimit-Reset": f"{time.time() + reset_s:.3f}",
            "X-RateLimit-Reset-After": f"{reset_s:.3f}",
            "X-RateLimit-Bucket": f"{abs(hash((rule, request.method))):x}"[:16],
        }
        if remaining < 0:
            return _too_many(reset_s, "user", headers), {}
        return None, headers

    async def _body(self, request: web.Request) -> Body:
        """The JSON and the files of a request, streamed to disk; 413 above 25 MiB in all."""
        if (request.content_length or 0) > REQUEST_CAP_BYTES:
            async for _ in request.content.iter_chunked(1 << 16):
                pass
            raise errors.too_large()
        record = self._records[id(request)]
        if request.content_type == "multipart/form-data":
            body = await self._multipart(request)
        else:
            if request.content_type != "application/json":
                raise errors.ApiError(415, 50035, f"Unsupported Content-Type {request.content_type}")
            try:
                body = Body(await request.json())
            except json.JSONDecodeError:
                raise errors.ApiError(400, 50109, "The request body contains invalid JSON.") from None
        record.json = body.json
        record.files = [(f.filename, f.size_bytes) for f in body.files.values()]
        return body

    async def _multipart(self, request: web.Request) -> Body:
        body = Body({})
        total = 0
        async for part in await request.multipart():
            if not isinstance(part, BodyPartReader):
                raise errors.invalid_form([("", "MULTIPART", "nested parts")])
            if part.name == "payload_json":
                body.json = json.loads(await part.text())
                continue
            index = re.fullmatch(r"files\[(\d+)\]", part.name or "")
            if index is None or part.filename is None:
                raise errors.invalid_form([(part.name or "", "MULTIPART", "unknown part")])
            path = self.world.directory / str(self.world.snowflake())
            size = 0
            with path.open("wb") as out:
                while chunk := await part.read_chunk(1 << 18):
                    size += len(chunk)
                    out.write(chunk)
            total += size
            body.files[int(index[1])] = Upload(int(index[1]), part.filename, path, size)
        if total > REQUEST_CAP_BYTES:
            raise errors.too_large()
        return body


def json_response(body: Any, status: int = 200) -> web.Response:
    return web.Response(body=dumps(body).encode(), status=status, headers={"Content-Type": "application/json"})


def _too_many(retry_after_s: float, scope: str, headers: dict[str, str] | None = None) -> web.Response:
    retry_after_s = max(0.001, retry_after_s)
    response = json_response(
        {"message": "You are being rate limited.", "retry_after": retry_after_s, "global": scope == "global"}, 429
    )
    response.headers.update({"Via": "1.1 google", "Retry-After": f"{retry_after_s:.3f}", "X-RateLimit-Scope": scope})
    response.headers.update(headers or {})
    return response
