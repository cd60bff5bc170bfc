"""Wires the Discord adapter together: event handlers, replies from stored addresses, connection, health."""

import asyncio
import secrets
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import structlog
from aiohttp import web

from adapters.discord.connection.client import UpscaleClient
from adapters.discord.connection.http_interactions import InteractionEndpoint
from adapters.discord.connection.supervisor import ClientSupervisor
from adapters.discord.inbound.account_commands import AccountCommands
from adapters.discord.inbound.actions import Actions
from adapters.discord.inbound.dispatcher import HandlerContext
from adapters.discord.inbound.message_images import CDN_HOSTS, expiry_of
from adapters.discord.inbound.messages import Messages
from adapters.discord.inbound.moderator_commands import ModeratorCommands
from adapters.discord.inbound.upscale_commands import UpscaleCommands, upscale_command
from adapters.discord.outbound import errors
from adapters.discord.outbound.api_client import ApiClient
from adapters.discord.outbound.delivery_state import PLATFORM, Address, DeliveryState, SentMessage, posted
from adapters.discord.outbound.job_message import DiscordReply
from adapters.discord.outbound.payload import payload_of
from adapters.discord.settings import Settings
from adapters.discord.setup.owners import Owners
from core.domain.errors import DeliveryUnavailable, DownloadFailed
from core.domain.identity import Place
from core.domain.job import ReplyAddress, Source
from core.ports import AdapterContext, Download, PlaceFacts, Reply, ReplyState
from core.presentation import Notice, notice_card

log = structlog.get_logger(__name__)

MIN_EDIT_INTERVAL_S = 2.0
"""Observed: Discord allows five edits of one response in about two seconds; fewer leave room for the final one."""


class DiscordAdapter:
    name = PLATFORM
    min_edit_interval_s = MIN_EDIT_INTERVAL_S

    def __init__(self, settings: Settings, context: AdapterContext) -> None:
        self._settings = settings
        self._context = context
        self._rest = ApiClient(context.clock)
        self._ctx = HandlerContext(context, self._rest)
        self._owners = Owners(self._rest, context.clock)
        self._upscale = UpscaleCommands(self._ctx)
        self._messages = Messages(self._ctx, self._upscale)
        self._own = AccountCommands(self._ctx)
        self._moderators = ModeratorCommands(self._ctx)
        self._actions = Actions(self._ctx, self._upscale, self._own, self._moderators)
        self._supervisor = ClientSupervisor(settings, context, self._rest, self._make_client)
        self._ingress = (
            InteractionEndpoint(settings.discord_public_key, lambda: self._supervisor.client)
            if settings.discord_public_key is not None
            else None
        )
        self._ready: Callable[[], None] = lambda: None
        self._connected: set[int] = set()
        self._takes_events = True

    def _make_client(self) -> UpscaleClient:
        self._connected.clear()
        client = UpscaleClient(
            on_press=self._actions.handle,
            on_mention=self._messages.handle,
            on_shard=self._shard_connected,
            on_incident=lambda error: self._context.service.incidents.incident("discord", error),
            on_failure=self._ctx.handle_failure,
            shard_ids=self._settings.discord_shard_ids,
            shard_count=self._settings.discord_shard_count,
            http_trace=self._rest.rate_limits.trace(),
        )
        commands = (upscale_command(self._ctx, self._upscale), *self._own.commands(), *self._moderators.commands())
        for command in (*commands, *self._upscale.commands()):
            client.tree.add_command(command)
        return client

    def _shard_connected(self, shard_id: int) -> None:
        self._connected.add(shard_id)
        client = self._supervisor.client
        expected = len(self._settings.discord_shard_ids or ()) or (client.shard_count if client else None) or 1
        log.info("discord_shard_connected", shard=shard_id, of=expected)
        if len(self._connected) >= expected:
            self._supervisor.refused = ""
            self._ready()

    async def serve(self, ready: Callable[[], None]) -> None:
        """Connect and handle events until cancelled; then let running handlers finish within the grace period."""
        self._ready = ready
        loop = asyncio.create_task(self._supervisor.run(ready), name="discord-loop")
        try:
            await asyncio.shield(loop)
        finally:
            # Handlers need the open client, so they end first; new events are answered "restarting" meanwhile.
            await self._ctx.drain(self._settings.drain_s)
            loop.cancel()
            await asyncio.gather(loop, return_exceptions=True)

    async def serve_replies(self, ready: Callable[[], None]) -> None:
        """Stay logged in until cancelled, and leave the events to other processes."""
        self._takes_events = False
        await self._supervisor.run(ready, events=False)

    def reply(self, address: ReplyAddress, state: ReplyState) -> Reply:
        """The job's message; works in any process that is logged in, with or without the gateway."""
        stored, ctx = Address.from_reply(address), self._ctx
        delivery_state = DeliveryState(state, stored)
        can_share = ctx.service.can_share
        return DiscordReply(stored, delivery_state, ctx.rest, ctx.media, ctx.job_messages, ctx.clock, can_share)

    def posted_messages(self, address: ReplyAddress, state: Mapping[str, Any]) -> list[dict[str, Any]]:
        return posted(Address.from_reply(address), state)

    async def remove_message(self, message: Mapping[str, Any]) -> None:
        """Delete a message that a reply had to leave; one that is gone already is no error.

        Raises DeliveryError, and DeliveryUnavailable also while its thread is archived.
        """
        sent = SentMessage(**message)
        try:
            if sent.token and sent.is_reachable(self._context.clock.now()):
                await self._rest.delete_answer(sent.app_id, sent.token, sent.message_id)
            else:
                await self._rest.delete_message(sent.channel_id, sent.message_id)
        except errors.FAILED_CALLS as error:
            errors.raise_if_archived(error)
            if not errors.is_message_gone(error):
                raise errors.to_delivery_error(error) from error

    async def download(self, source: Source) -> Download:
        """The signed URL of a file, refreshed when it has expired. Raises DownloadFailed."""
        url = source.url
        expires_at = expiry_of(url)
        if expires_at is not None and expires_at < self._context.clock.now():
            url = await self._refreshed_url(url)
        return Download(url, hosts=(*CDN_HOSTS, self._settings.api_host, *self._context.trusted_file_hosts))

    async def _refreshed_url(self, url: str) -> str:
        try:
            fresh = await self._rest.refresh_attachment_url(url)
        except errors.FAILED_CALLS as error:
            log.info("link_not_renewed", why=type(error).__name__, code=errors.code_of(error))
            if isinstance(errors.to_delivery_error(error), DeliveryUnavailable):
                raise DownloadFailed(reason="connection") from None
            fresh = ""
        if not fresh:
            raise DownloadFailed(reason="gone")
        return fresh

    async def notify(self, workspace_id: str, channel_id: str, notice: Notice) -> None:
        """Send a budget alert to a channel. Raises DeliveryError."""
        try:
            await self._rest.send(int(channel_id), payload_of(notice_card(notice, "en")), nonce=secrets.token_hex(8))
        except errors.FAILED_CALLS as error:
            raise errors.to_delivery_error(error) from error

    async def place_facts(self, place: Place) -> PlaceFacts:
        """Whether the application's owner owns this server, or is this user. Raises PlatformBusy."""
        return await self._owners.facts(place)

    def routes(self) -> Sequence[web.AbstractRouteDef]:
        return self._ingress.routes() if self._ingress is not None else []

    async def problem(self) -> str | None:
        """None when events can arrive and answers can leave."""
        client = self._supervisor.client
        if self._supervisor.refused:
            return f"Discord refuses {self._supervisor.refused}"
        if client is None:
            return "disconnected"
        if self._ingress is not None or not self._takes_events:
            return None
        shards = client.shards
        if not shards or any(shard.is_closed() for shard in shards.values()):
            return "reconnecting"
        return None


def create(settings: Settings, context: AdapterContext) -> DiscordAdapter:
    return DiscordAdapter(settings, context)
