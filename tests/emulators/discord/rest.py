"""The REST routes of API v10 that a bot uses, with authentication, limits, faults and a record of everything."""

from __future__ import annotations

import asyncio
import json
import re
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from aiohttp import BodyPartReader, web

from tests.emulators.discord import commands, errors, schema
from tests.emulators.discord.faults import reset_connection
from tests.emulators.discord.posts import Body, Upload
from tests.emulators.discord.world import (
    ATTACH_FILES,
    READ_MESSAGE_HISTORY,
    SEND_MESSAGES,
    Channel,
    Message,
    dumps,
)

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
    shared: bool = False

    @property
    def line(self) -> str:
        return f"{self.method} {self.path} → {self.status}{f' ({self.code})' if self.code else ''}"


class Rest:
    def __init__(self, emulator: DiscordEmulator) -> None:
        self.emulator = emulator
        self.world = emulator.world
        self._records: dict[int, Record] = {}

    def routes(self) -> list[web.RouteDef]:
        hook = f"{PREFIX}/webhooks/{{app}}/{{token}}"
        channel = f"{PREFIX}/channels/{{channel}}"
        apps = f"{PREFIX}/applications/{{app}}"
        return [
            web.get(f"{PREFIX}/users/@me", self._me),
            web.get(f"{PREFIX}/oauth2/applications/@me", self._application),
            web.get(f"{PREFIX}/applications/@me", self._application),
            web.get(f"{PREFIX}/gateway", self._gateway),
            web.get(f"{PREFIX}/gateway/bot", self._gateway),
            web.get(f"{apps}/commands", self._list_commands),
            web.put(f"{apps}/commands", self._put_commands),
            web.post(f"{PREFIX}/interactions/{{interaction}}/{{token}}/callback", self._callback),
            web.post(hook, self._follow_up),
            web.get(hook + "/messages/{message}", self._hook_get),
            web.patch(hook + "/messages/{message}", self._hook_edit),
            web.delete(hook + "/messages/{message}", self._hook_delete),
            web.post(f"{PREFIX}/attachments/refresh-urls", self._refresh_urls),
            web.get(channel, self._channel_get),
            web.post(channel + "/messages", self._message_create),
            web.get(channel + "/messages/{message}", self._message_get),
            web.patch(channel + "/messages/{message}", self._message_edit),
            web.delete(channel + "/messages/{message}", self._message_delete),
            web.post(f"{PREFIX}/users/@me/channels", self._open_dm),
            web.get(f"{PREFIX}/users/{{user}}", self._user),
            web.get(f"{PREFIX}/guilds/{{guild}}", self._guild),
        ]

    # --- the way in -----------------------------------------------------------------------------------------

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
        except errors.ApiError as error:
            record.code = error.code
            if error.code == 50035 and "message_reference" not in (error.errors or {}):
                self.emulator.violations.append(f"{record.line}: {dumps(error.errors)}")
            return _json(error.body(), error.status)
        except web.HTTPNotFound:
            self.emulator.violations.append(f"no such route: {record.line}")
            return _json({"message": "404: Not Found", "code": 0}, 404)
        return response

    async def _fault(self, request: web.Request, record: Record) -> web.StreamResponse | None:
        place = await self._place(request, request.path.removeprefix(PREFIX))
        fault = next((f for f in self.emulator.faults if f.matches(request, place)), None)
        if fault is None:
            return None
        fault.times -= 1
        if fault.action == "delay":
            await asyncio.sleep(fault.seconds)
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
        response = _json({"message": "injected", "code": fault.code}, fault.status)
        response.headers["Via"] = "1.1 google"
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

    # --- who we are -----------------------------------------------------------------------------------------

    async def _me(self, _: web.Request) -> web.Response:
        return _json(self.world.bot.data() | {"verified": True, "mfa_enabled": False, "flags": 0, "locale": "en-US"})

    async def _application(self, _: web.Request) -> web.Response:
        return _json(self.emulator.application())

    async def _user(self, request: web.Request) -> web.Response:
        user = self.world.users.get(int(request.match_info["user"]))
        if user is None:
            raise errors.ApiError(404, 10013, "Unknown User")
        return _json(user.data())

    async def _guild(self, request: web.Request) -> web.Response:
        guild = self.world.guilds.get(int(request.match_info["guild"]))
        if guild is None or not guild.bot_inside:
            raise errors.ApiError(404, 10004, "Unknown Guild")
        return _json({"id": str(guild.id), "name": guild.name, "owner_id": str(guild.owner_id), "roles": []})

    async def _gateway(self, _: web.Request) -> web.Response:
        gateway = self.emulator.gateway
        return _json(
            {
                "url": gateway.url,
                "shards": gateway.recommended_shards,
                "session_start_limit": {
                    "total": 1000,
                    "remaining": max(0, gateway.identifies_a_day - len(gateway.identifies)),
                    "reset_after": 86_400_000,
                    "max_concurrency": gateway.max_concurrency,
                },
            }
        )

    async def _refresh_urls(self, request: web.Request) -> web.Response:
        """Fresh addresses, in the order of the old ones; 50 at most."""
        given = (await request.json())["attachment_urls"]
        if not 1 <= len(given) <= 50:
            raise errors.invalid_form([("attachment_urls", "BASE_TYPE_BAD_LENGTH", "Must be between 1 and 50.")])
        rows = []
        for url in given:
            found = re.search(r"attachments/\d+/(\d+)/", url)
            attachment = self.world.attachments.get(int(found[1])) if found else None
            rows.append({"original": url, "refreshed": self.emulator.cdn.url(attachment) if attachment else None})
        return _json({"refreshed_urls": rows})

    async def _list_commands(self, _: web.Request) -> web.Response:
        return _json(self.world.commands)

    async def _put_commands(self, request: web.Request) -> web.Response:
        body = await request.json()
        self._records[id(request)].json = body
        commands.check_put(body)
        old = {(c["name"], c["type"]): c["id"] for c in self.world.commands}
        self.world.commands = [
            {
                "application_id": str(self.world.application_id),
                "description": "",
                "version": str(self.world.snowflake()),
                "default_member_permissions": None,
            }
            | command
            | {
                "type": command.get("type") or 1,
                "id": old.get((command["name"], command.get("type") or 1)) or str(self.world.snowflake()),
                "description": command.get("description") or "",
            }
            for command in body
        ]
        return _json(self.world.commands)

    # --- interactions ---------------------------------------------------------------------------------------

    async def _callback(self, request: web.Request) -> web.Response:
        body = await self._body(request)
        where = request.match_info
        result = self.emulator.webhooks.callback(int(where["interaction"]), where["token"], body)
        self.emulator.changed()
        if request.query.get("with_response") in ("1", "true"):
            return _json(result)
        return web.Response(status=204)

    def _live(self, request: web.Request) -> Any:
        return self.emulator.webhooks.live(int(request.match_info["app"]), request.match_info["token"])

    async def _follow_up(self, request: web.Request) -> web.Response:
        body = await self._body(request)
        with_components = request.query.get("with_components") in ("1", "true")
        message = self.emulator.webhooks.follow_up(self._live(request), body, with_components)
        self.emulator.changed()
        if request.query.get("wait") in ("1", "true"):
            return self._message(message)
        return web.Response(status=204)

    async def _hook_get(self, request: web.Request) -> web.Response:
        return self._message(self.emulator.webhooks.find(self._live(request), request.match_info["message"]))

    async def _hook_edit(self, request: web.Request) -> web.Response:
        body = await self._body(request)
        message = self.emulator.webhooks.edit(self._live(request), request.match_info["message"], body)
        self.emulator.changed()
        return self._message(message)

    async def _hook_delete(self, request: web.Request) -> web.Response:
        self.emulator.webhooks.delete(self._live(request), request.match_info["message"])
        self.emulator.changed()
        return web.Response(status=204)

    # --- the bot's own messages -----------------------------------------------------------------------------

    def _channel(self, request: web.Request, needs: int = 0) -> Channel:
        channel = self.world.channels.get(int(request.match_info["channel"]))
        if channel is None or channel.deleted:
            raise errors.unknown_channel()
        if not channel.bot_can_see:
            raise errors.missing_access()
        if needs & ~channel.bot_permissions:
            raise errors.missing_permissions()
        return channel

    def _own(self, request: web.Request) -> Message:
        """A message that the bot may see by its channel: never an ephemeral one."""
        self._channel(request)
        message = self.world.messages.get(int(request.match_info["message"]))
        if message is None or message.deleted or message.ephemeral:
            raise errors.unknown_message()
        return message

    async def _channel_get(self, request: web.Request) -> web.Response:
        return _json(self._channel(request).data())

    async def _message_create(self, request: web.Request) -> web.Response:
        body = await self._body(request)
        channel = self._channel(request, SEND_MESSAGES | (ATTACH_FILES if body.files else 0))
        faults = schema.check("message_create", body.json)
        if faults:
            raise errors.invalid_form(faults)
        other = next((u for u in channel.recipients if not u.bot), None)
        if other is not None and not other.dms_open:
            raise errors.cannot_dm()
        nonce = body.json.get("nonce")
        if nonce is not None and body.json.get("enforce_nonce"):
            again = [m for m in self.world.in_channel(channel) if m.nonce == str(nonce)]
            if again:
                return self._message(again[0])
        limit = channel.guild.file_limit_bytes if channel.guild else self.emulator.default_file_limit_bytes
        reference = body.json.get("message_reference") or {}
        if reference:
            self._check_reference(channel, int(reference["message_id"]))
        message = self.emulator.posts.create(
            body,
            channel,
            self.world.bot,
            limit,
            nonce=None if nonce is None else str(nonce),
            reply_to=int(reference["message_id"]) if reference else None,
        )
        self.emulator.changed()
        return self._message(message)

    def _check_reference(self, channel: Channel, message_id: int) -> None:
        if channel.guild is not None and not channel.bot_permissions & READ_MESSAGE_HISTORY:
            raise errors.ApiError(400, 160002, "Cannot reply without permission to read message history")
        answered = self.world.messages.get(message_id)
        if answered is None or answered.deleted:
            raise errors.invalid_form([("message_reference", "MESSAGE_REFERENCE_UNKNOWN_MESSAGE", "Unknown message")])

    async def _message_get(self, request: web.Request) -> web.Response:
        self._channel(request, READ_MESSAGE_HISTORY)
        return self._message(self._own(request))

    async def _message_edit(self, request: web.Request) -> web.Response:
        body = await self._body(request)
        message = self._own(request)
        if message.author is not self.world.bot:
            raise errors.ApiError(403, 50005, "Cannot edit a message authored by another user")
        faults = schema.check("message_edit", body.json)
        if faults:
            raise errors.invalid_form(faults)
        guild = message.channel.guild
        limit = guild.file_limit_bytes if guild else self.emulator.default_file_limit_bytes
        self.emulator.posts.edit(message, body, limit)
        self.emulator.changed()
        return self._message(message)

    async def _message_delete(self, request: web.Request) -> web.Response:
        message = self._own(request)
        if message.author is not self.world.bot:
            raise errors.missing_permissions()
        message.deleted = True
        self.emulator.changed()
        return web.Response(status=204)

    async def _open_dm(self, request: web.Request) -> web.Response:
        body = await self._body(request)
        faults = schema.check("dm_create", body.json)
        if faults:
            raise errors.invalid_form(faults)
        user = self.world.users.get(int(body.json.get("recipient_id") or 0))
        if user is None:
            raise errors.ApiError(400, 50033, "Invalid Recipient(s)")
        return _json(self.world.dm_with(user).data())

    def _message(self, message: Message) -> web.Response:
        return _json(self.emulator.posts.data(message))


def _json(body: Any, status: int = 200) -> web.Response:
    # Exactly "application/json": the library takes a charset parameter for plain text.
    return web.Response(body=dumps(body).encode(), status=status, headers={"Content-Type": "application/json"})


def _too_many(retry_after_s: float, scope: str, headers: dict[str, str] | None = None) -> web.Response:
    retry_after_s = max(0.001, retry_after_s)
    response = _json(
        {"message": "You are being rate limited.", "retry_after": retry_after_s, "global": scope == "global"}, 429
    )
    response.headers.update({"Via": "1.1 google", "Retry-After": f"{retry_after_s:.3f}", "X-RateLimit-Scope": scope})
    response.headers.update(headers or {})
    return response
