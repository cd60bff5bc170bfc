"""Interactions on their way to the bot, by the gateway or over HTTP, and how a member waits for the answer."""

from __future__ import annotations

import secrets
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import aiohttp

from tests.emulators.discord.client_forms import ClientForms, context_of, member_data
from tests.emulators.discord.posts import Body
from tests.emulators.discord.seen import ClientRefused, SeenMessage
from tests.emulators.discord.world import (
    ATTACH_FILES,
    EMBED_LINKS,
    EPHEMERAL,
    SEND_MESSAGES,
    USE_EXTERNAL_APPS,
    Channel,
    Interaction,
    Message,
    User,
    dumps,
)

if TYPE_CHECKING:
    from tests.emulators.discord.server import DiscordEmulator


@dataclass
class Invocation:
    """One interaction that a member started."""

    interaction: Interaction
    emulator: DiscordEmulator
    reached_sessions: int = 0

    @property
    def user(self) -> User:
        return self.interaction.user

    @property
    def modal(self) -> dict[str, Any] | None:
        return self.interaction.modal

    async def acknowledged(self, timeout_s: float = 5.0) -> float:
        """Seconds until the first answer. Raises TimeoutError: "The application did not respond"."""
        await self.emulator.until(lambda: self.interaction.acked_s, timeout_s, "an acknowledgement")
        latency = self.interaction.ack_latency_s
        assert latency is not None
        return latency

    @property
    def message(self) -> SeenMessage | None:
        """The answer as the member sees it, or None."""
        original = self.interaction.original
        if original is None or not original.visible_to(self.user):
            return None
        return self.emulator.seen(original)

    async def answer(
        self, test: Callable[[SeenMessage], object] = lambda _: True, timeout_s: float = 10.0
    ) -> SeenMessage:
        """The answer (no placeholder any more) once `test` holds for it."""

        def look() -> SeenMessage | None:
            message = self.message
            return message if message and not message.loading and test(message) else None

        return await self.emulator.until(look, timeout_s, "an answer")

    @property
    def followups(self) -> list[SeenMessage]:
        return [self.emulator.seen(m) for m in self.interaction.followups if m.visible_to(self.user)]


class Interactions(ClientForms):
    """Mixed into the emulator: makes interactions and delivers them."""

    endpoint_answers: list[tuple[int, str]]
    _http: aiohttp.ClientSession | None

    async def _send(
        self,
        emulator: DiscordEmulator,
        kind: int,
        data: dict[str, Any],
        *,
        user: User | None = None,
        channel: Channel | None = None,
        install: str = "guild",
        attachment_size_limit: int | None = None,
        locale: str | None = None,
        source_message: Message | None = None,
        opened_by: Invocation | None = None,
    ) -> Invocation:
        user, channel = user or self.user, channel or self.channel
        guild = channel.guild
        if install == "guild" and guild is not None and not guild.bot_inside:
            raise ClientRefused("the app is not installed in this guild")
        if install == "guild" and guild is None and emulator.world.bot not in channel.recipients:
            raise ClientRefused("a guild install reaches no private channel")
        limit = attachment_size_limit or max(
            user.file_limit_bytes, guild.file_limit_bytes if guild else 0, emulator.default_file_limit_bytes
        )
        user_only = install == "user"
        permissions = guild.permissions_of(user) if guild else 0
        needed = USE_EXTERNAL_APPS | SEND_MESSAGES
        forced = user_only and guild is not None and permissions & needed != needed
        interaction_id = emulator.world.snowflake()
        token = secrets.token_urlsafe(48)
        owners: dict[str, str] = {}
        if install in ("guild", "both"):
            owners["0"] = str(guild.id) if guild else "0"
        if install in ("user", "both"):
            owners["1"] = str(user.id)
        payload: dict[str, Any] = {
            "id": str(interaction_id),
            "application_id": str(emulator.world.application_id),
            "type": kind,
            "token": token,
            "version": 1,
            "data": data,
            "channel": channel.data(),
            "channel_id": str(channel.id),
            "entitlements": [],
            "entitlement_sku_ids": [],
            "authorizing_integration_owners": owners,
            "context": context_of(channel),
            "app_permissions": str(_app_permissions(channel)),
            "locale": locale or user.locale,
            "attachment_size_limit": limit,
        }
        if guild is not None:
            payload |= {
                "guild": {"id": str(guild.id), "locale": guild.locale, "features": []},
                "guild_id": str(guild.id),
                "guild_locale": guild.locale,
                "member": member_data(user, guild),
            }
        else:
            payload["user"] = user.data()
        if source_message is not None:
            payload["message"] = emulator.posts.data(source_message)
            if source_message.flags & EPHEMERAL:
                payload["message"]["flags"] = source_message.flags
        interaction = Interaction(
            interaction_id,
            token,
            kind,
            user,
            channel,
            emulator.clock.now(),
            payload,
            limit,
            user_only,
            forced,
            source_message,
            opened_by.interaction if opened_by else None,
        )
        emulator.world.interactions[interaction_id] = interaction
        emulator.world.tokens[token] = interaction
        invocation = Invocation(interaction, emulator)
        if emulator.interactions_endpoint is not None:
            await self._deliver_by_http(interaction)
        else:
            invocation.reached_sessions = await emulator.gateway.interaction(payload, guild.id if guild else None)
        return invocation

    # --- the second ingress ---------------------------------------------------------------------------------

    async def set_endpoint(self, url: str) -> bool:
        """What the developer portal does on saving: a good PING and one with a bad signature. True when taken."""
        ping = {"type": 1, "id": "1", "application_id": str(self._emulator.world.application_id), "version": 1}
        good, body = await self._signed_post(url, ping)
        bad, _ = await self._signed_post(url, ping, break_signature=True)
        if good == 200 and body.get("type") == 1 and bad == 401:
            self._emulator.interactions_endpoint = url
            return True
        return False

    async def _deliver_by_http(self, interaction: Interaction) -> None:
        url = self._emulator.interactions_endpoint
        assert url is not None
        status, body = await self._signed_post(url, interaction.payload)
        self.endpoint_answers.append((status, dumps(body)))
        if status == 200:
            self._emulator.webhooks.callback(interaction.id, interaction.token, Body(body))
            self._emulator.changed()

    async def _signed_post(self, url: str, payload: Any, break_signature: bool = False) -> tuple[int, Any]:
        if self._http is None:
            self._http = aiohttp.ClientSession()
        body, stamp = dumps(payload).encode(), str(int(time.time()))
        signature = self._emulator.signing_key.sign(stamp.encode() + body).hex()
        if break_signature:
            signature = signature[:-2] + ("00" if signature[-2:] != "00" else "11")
        headers = {
            "X-Signature-Ed25519": signature,
            "X-Signature-Timestamp": stamp,
            "Content-Type": "application/json",
            "User-Agent": "Discord-Interactions/1.0 (+https://discord.com)",
        }
        async with self._http.post(url, data=body, headers=headers) as response:
            if response.content_type == "application/json":
                return response.status, await response.json()
            await response.read()
            return response.status, {}


def _app_permissions(channel: Channel) -> int:
    if channel.guild is None:
        return ATTACH_FILES | EMBED_LINKS | (1 << 17)
    return channel.bot_permissions if channel.guild.bot_inside else ATTACH_FILES | EMBED_LINKS
