"""The REST calls of this adapter on a logged-in discord.py client. One call each, no policy."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any, Literal, cast

import discord
from discord import ui

from core.domain.errors import DeliveryUnavailable

LOGIN_WAIT_S = 30.0
_THREADS = (10, 11, 12)


class ApiClient:
    """Works from `login` on, before and without the gateway; waits for the login at start."""

    def __init__(self) -> None:
        self._client: discord.Client | None = None
        self._logged_in = asyncio.Event()

    def use(self, client: discord.Client | None) -> None:
        """Take this client from now on; None while there is none (a restart of the library's loop)."""
        self._client = client
        if client is None:
            self._logged_in.clear()
        else:
            self._logged_in.set()

    async def client(self) -> discord.Client:
        """The logged-in client. Raises DeliveryUnavailable when there is none for 30 s."""
        if not self._logged_in.is_set():
            try:
                await asyncio.wait_for(self._logged_in.wait(), LOGIN_WAIT_S)
            except TimeoutError:
                raise DeliveryUnavailable from None
        if self._client is None:
            raise DeliveryUnavailable
        return self._client

    async def edit_answer(
        self,
        app_id: int,
        token: str,
        which: int | Literal["@original"],
        view: ui.LayoutView,
        files: Sequence[discord.File],
    ) -> int:
        """Edit an answer or follow-up by its interaction token; the message's id. Old files go, `files` come."""
        webhook = discord.Webhook.partial(app_id, token, client=await self.client())
        # The library's signature says int, but the path takes "@original" as well (measured).
        message = await webhook.edit_message(cast(int, which), view=view, attachments=files)
        return message.id

    async def answer(self, app_id: int, token: str) -> discord.WebhookMessage:
        """The answer to an interaction as Discord has it."""
        webhook = discord.Webhook.partial(app_id, token, client=await self.client())
        return await webhook.fetch_message(cast(int, "@original"))

    async def follow_up(
        self, app_id: int, token: str, view: ui.LayoutView, files: Sequence[discord.File], ephemeral: bool
    ) -> int:
        """A further message of an interaction; its id."""
        webhook = discord.Webhook.partial(app_id, token, client=await self.client())
        # A partial one passes for a channel's webhook, for which the library refuses private messages.
        webhook.type = discord.WebhookType.application
        message = await webhook.send(view=view, files=files, ephemeral=ephemeral, wait=True)
        return message.id

    async def edit_message(
        self, channel_id: int, message_id: int, view: ui.LayoutView, files: Sequence[discord.File]
    ) -> None:
        """Edit one of the bot's own messages with the bot token."""
        await (
            self._place(await self.client(), channel_id)
            .get_partial_message(message_id)
            .edit(view=view, attachments=files)
        )

    async def send(
        self,
        channel_id: int,
        view: ui.LayoutView,
        files: Sequence[discord.File],
        nonce: str | None = None,
        reply_to: int | None = None,
    ) -> int:
        """A new message; a repeat with the same nonce within minutes gives the first one again."""
        more: dict[str, Any] = {} if nonce is None else {"nonce": nonce[:25]}
        if reply_to is not None:
            more["reference"] = discord.MessageReference(message_id=reply_to, channel_id=channel_id)
        message = await self._place(await self.client(), channel_id).send(view=view, files=files, **more)
        return message.id

    async def message(self, channel_id: int, message_id: int) -> Any:
        """A message as Discord has it now; needs the right to read the channel's history."""
        return await (await self.client()).http.get_message(channel_id, message_id)

    async def remove(self, channel_id: int, message_id: int) -> None:
        await self._place(await self.client(), channel_id).get_partial_message(message_id).delete()

    async def remove_answer(self, app_id: int, token: str) -> None:
        """Delete the answer to an interaction by its token."""
        webhook = discord.Webhook.partial(app_id, token, client=await self.client())
        await webhook.delete_message(cast(int, "@original"))

    async def direct_channel(self, user_id: int) -> int:
        """The channel of direct messages with this person."""
        channel = await (await self.client()).create_dm(discord.Object(user_id))
        return channel.id

    @staticmethod
    def _place(client: discord.Client, channel_id: int) -> discord.PartialMessageable:
        return client.get_partial_messageable(channel_id)

    async def renewed(self, url: str) -> str:
        """A fresh address of one of Discord's own files whose address has expired; empty where there is none."""
        route = discord.http.Route("POST", "/attachments/refresh-urls")
        answer: Any = await (await self.client()).http.request(route, json={"attachment_urls": [url]})
        rows = answer.get("refreshed_urls") if isinstance(answer, dict) else None
        return str((rows[0] or {}).get("refreshed") or "") if rows else ""

    async def application(self) -> dict[str, Any]:
        """The application of the bot's token, with its owner or team."""
        return cast(dict[str, Any], await (await self.client()).http.application_info())

    async def guild(self, guild_id: int) -> dict[str, Any]:
        """A server that the bot is in, with its owner."""
        return cast(dict[str, Any], await (await self.client()).http.get_guild(guild_id, with_counts=False))

    async def is_age_restricted(self, channel_id: int) -> bool:
        """Whether a channel, or that of a thread, is marked so, as Discord says now; needs the bot inside."""
        found = cast(dict[str, Any], await (await self.client()).http.get_channel(channel_id))
        if found.get("type") in _THREADS and found.get("parent_id"):
            found = cast(dict[str, Any], await (await self.client()).http.get_channel(int(found["parent_id"])))
        return bool(found.get("nsfw"))
