"""The REST routes of API v10 that a bot uses."""

import re
from typing import Any

from aiohttp import web

from tests.emulators.discord import commands, errors, schema
from tests.emulators.discord.request_entry import PREFIX, RequestEntry, json_response
from tests.emulators.discord.world import ATTACH_FILES, READ_MESSAGE_HISTORY, SEND_MESSAGES, Channel, Message


class Rest(RequestEntry):
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
            web.get(channel + "/messages", self._message_list),
            web.get(channel + "/messages/{message}", self._message_get),
            web.patch(channel + "/messages/{message}", self._message_edit),
            web.delete(channel + "/messages/{message}", self._message_delete),
            web.post(f"{PREFIX}/users/@me/channels", self._open_dm),
            web.get(f"{PREFIX}/users/{{user}}", self._user),
            web.get(f"{PREFIX}/guilds/{{guild}}", self._guild),
        ]

    # --- who we are -----------------------------------------------------------------------------------------

    async def _me(self, _: web.Request) -> web.Response:
        return json_response(
            self.world.bot.data() | {"verified": True, "mfa_enabled": False, "flags": 0, "locale": "en-US"}
        )

    async def _application(self, _: web.Request) -> web.Response:
        return json_response(self.emulator.application())

    async def _user(self, request: web.Request) -> web.Response:
        user = self.world.users.get(int(request.match_info["user"]))
        if user is None:
            raise errors.ApiError(404, 10013, "Unknown User")
        return json_response(user.data())

    async def _guild(self, request: web.Request) -> web.Response:
        guild = self.world.guilds.get(int(request.match_info["guild"]))
        if guild is None or not guild.bot_inside:
            raise errors.ApiError(404, 10004, "Unknown Guild")
        return json_response({"id": str(guild.id), "name": guild.name, "owner_id": str(guild.owner_id), "roles": []})

    async def _gateway(self, _: web.Request) -> web.Response:
        gateway = self.emulator.gateway
        return json_response(
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
        return json_response({"refreshed_urls": rows})

    async def _list_commands(self, _: web.Request) -> web.Response:
        return json_response(self.world.commands)

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
        return json_response(self.world.commands)

    # --- interactions ---------------------------------------------------------------------------------------

    async def _callback(self, request: web.Request) -> web.Response:
        body = await self._body(request)
        where = request.match_info
        result = self.emulator.webhooks.callback(int(where["interaction"]), where["token"], body)
        self.emulator.changed()
        if request.query.get("with_response") in ("1", "true"):
            return json_response(result)
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
        return json_response(self._channel(request).data())

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

    async def _message_list(self, request: web.Request) -> web.Response:
        after, limit = int(request.query.get("after", 0)), int(request.query.get("limit", 50))
        seen = self.world.in_channel(self._channel(request, READ_MESSAGE_HISTORY))
        found = sorted(m.id for m in seen if m.id > after and not m.deleted and not m.ephemeral)[:limit]
        shown = [self.emulator.posts.data(self.world.messages[message_id]) for message_id in reversed(found)]
        return json_response(shown)

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
        return json_response(self.world.dm_with(user).data())

    def _message(self, message: Message) -> web.Response:
        return json_response(self.emulator.posts.data(message))
