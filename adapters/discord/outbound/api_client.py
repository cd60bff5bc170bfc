"""The adapter's REST calls through a logged-in discord.py client, with retries and rate limits.

Each raises `discord.HTTPException` when Discord refuses, DeliveryUnavailable when a later try may work, and
UploadTooLarge when a file exceeds the size limit.
"""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any, Literal, TypeVar, cast

import aiohttp
import discord
from discord import ui

from adapters.discord.connection.payloads import PARSE_ERRORS
from adapters.discord.outbound import errors
from adapters.discord.outbound.payload import Payload, Placement, UploadTooLarge
from adapters.discord.outbound.rate_limit import RateLimits
from core.domain.errors import DeliveryRefused, DeliveryUnavailable
from core.net.retry import Backoff, retry
from core.ports import Clock

T = TypeVar("T")
WebhookMessageId = int | Literal["@original"]
LOGIN_TIMEOUT_S = 30.0
ATTEMPTS = 4
MAX_PAUSE_S = 10.0
"""A longer pause that Discord asks for is left to the caller, who waits it out without holding anything."""
BACKOFF = Backoff(first_s=0.4, cap_s=5.0, asked_cap_s=60.0)
_THREADS = (10, 11, 12)


class ApiClient:
    """Works from `login` on, before and without the gateway; waits for the login at start."""

    def __init__(self, clock: Clock) -> None:
        self.rate_limits = RateLimits(clock)
        self._clock = clock
        self._client: discord.Client | None = None
        self._logged_in = asyncio.Event()

    def set_client(self, client: discord.Client | None) -> None:
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
                await asyncio.wait_for(self._logged_in.wait(), LOGIN_TIMEOUT_S)
            except TimeoutError:
                raise DeliveryUnavailable from None
        if self._client is None:
            raise DeliveryUnavailable
        return self._client

    async def _call(self, call: Callable[[], Awaitable[T]], bucket: str = "", attempts: int = 1) -> T:
        return await self._retry(lambda: _parse_errors_as_network(call), bucket, attempts)

    async def _retry(self, call: Callable[[], Awaitable[T]], bucket: str, attempts: int) -> T:
        """`call()` until it works, with pauses of about 0.4, 0.8, 1.6 s or what Discord asks for at this bucket.

        More than one attempt only for what may safely be done twice (PATCH, or a POST with a nonce).
        """
        pause_s = self.rate_limits.wait_s(bucket)
        if pause_s > 0:
            if attempts == 1 or pause_s > MAX_PAUSE_S:
                raise DeliveryUnavailable(retry_after_s=pause_s)
            await self._clock.sleep(pause_s)

        def pause(error: Exception, attempt: int) -> float | None:
            return BACKOFF.pause_s(attempt, errors.retry_after_s(error)) if errors.is_transient(error) else None

        try:
            return await retry(call, clock=self._clock, pause=pause, attempts=attempts)
        except errors.HTTP_OR_TRANSIENT as error:
            if errors.is_transient(error):
                raise errors.to_delivery_error(error) from error
            raise

    async def _send_payload(
        self,
        send: Callable[[ui.LayoutView, list[discord.File]], Awaitable[T]],
        payload: Payload,
        where: Placement,
        bucket: str,
        attempts: int,
    ) -> T:
        """View and files are made afresh for each attempt: a `discord.File` used twice silently uploads nothing."""

        async def attempt() -> T:
            view, files = payload.view(where), payload.uploads()
            return await _parse_errors_as_network(lambda: send(view, files))

        try:
            return await self._retry(attempt, bucket, attempts)
        except discord.HTTPException as error:
            if payload.files and errors.is_too_large(error):
                raise UploadTooLarge from error
            raise

    # --- by an interaction's token ----------------------------------------------------------------------------------

    async def _webhook(self, app_id: int, token: str) -> discord.Webhook:
        webhook = discord.Webhook.partial(app_id, token, client=await self.client())
        # A partial one passes for a channel's webhook, for which the library refuses private messages.
        webhook.type = discord.WebhookType.application
        return webhook

    async def edit_answer(
        self, app_id: int, token: str, which: WebhookMessageId, payload: Payload, attempts: int = ATTEMPTS
    ) -> int:
        """Edit an answer or follow-up by its interaction token; the message's id. Old files go, new ones come."""
        webhook = await self._webhook(app_id, token)
        message = await self._send_payload(
            # The library's signature says int, but the path takes "@original" as well (measured).
            lambda view, files: webhook.edit_message(cast(int, which), view=view, attachments=files),
            payload,
            "",
            _webhook_bucket(app_id, token),
            attempts,
        )
        return message.id

    async def follow_up(
        self, app_id: int, token: str, payload: Payload, where: Placement = "", *, ephemeral: bool, attempts: int = 2
    ) -> int:
        """A further message of an interaction; its id. Not repeatable, so at most one more try.

        Rather a stray message than a lost picture.
        """
        webhook = await self._webhook(app_id, token)
        message = await self._send_payload(
            lambda view, files: webhook.send(view=view, files=files, ephemeral=ephemeral, wait=True),
            payload,
            where,
            _webhook_bucket(app_id, token),
            min(attempts, 2),
        )
        return message.id

    async def check_answer(self, app_id: int, token: str) -> None:
        """Whether there is an answer to an interaction: a refusal where there is none."""
        webhook = await self._webhook(app_id, token)
        await self._call(
            lambda: webhook.fetch_message(cast(int, "@original")), _webhook_bucket(app_id, token), ATTEMPTS
        )

    async def delete_answer(self, app_id: int, token: str, which: WebhookMessageId = "@original") -> None:
        webhook = await self._webhook(app_id, token)
        await self._call(lambda: webhook.delete_message(cast(int, which)), _webhook_bucket(app_id, token), ATTEMPTS)

    # --- by the bot's own token -------------------------------------------------------------------------------------

    async def _channel(self, channel_id: int) -> discord.PartialMessageable:
        return (await self.client()).get_partial_messageable(channel_id)

    async def edit_message(
        self, channel_id: int, message_id: int, payload: Payload, where: Placement = "", attempts: int = ATTEMPTS
    ) -> None:
        message = (await self._channel(channel_id)).get_partial_message(message_id)
        await self._send_payload(
            lambda view, files: message.edit(view=view, attachments=files),
            payload,
            where,
            _channel_bucket(channel_id),
            attempts,
        )

    async def send(
        self,
        channel_id: int,
        payload: Payload,
        where: Placement = "",
        *,
        nonce: str,
        reply_to: int | None = None,
        attempts: int = ATTEMPTS,
    ) -> int:
        """A new message; a repeat with the same nonce within minutes gives the first one again."""
        more: dict[str, Any] = {"nonce": nonce[:25]}
        if reply_to is not None:
            more["reference"] = discord.MessageReference(message_id=reply_to, channel_id=channel_id)
        channel = await self._channel(channel_id)
        message = await self._send_payload(
            lambda view, files: channel.send(view=view, files=files, **more),
            payload,
            where,
            _channel_bucket(channel_id),
            attempts,
        )
        return message.id

    async def reply(
        self, channel_id: int, message_id: int, payload: Payload, *, nonce: str, attempts: int = ATTEMPTS
    ) -> int | None:
        """A reply to a member's message, or a plain one where we may not read the history; None where that is gone."""
        try:
            return await self.send(channel_id, payload, nonce=nonce, reply_to=message_id, attempts=attempts)
        except discord.HTTPException as error:
            if errors.is_request_gone(error):
                return None
            if not errors.has_code(error, errors.NO_HISTORY_TO_REPLY):
                raise
        return await self.send(channel_id, payload, nonce=nonce, attempts=attempts)

    async def fetch_message(self, channel_id: int, message_id: int) -> Any:
        """A message as Discord has it now; needs the right to read the channel's history."""
        http = (await self.client()).http
        return await self._call(lambda: http.get_message(channel_id, message_id))

    async def find_job_message(self, job_id: str, channel_id: int, *, after: int) -> int | None:
        """The first message of ours after that one with a button of this job; needs the same right."""
        where = {"after": after, "limit": 100}
        found = await self._request("GET", f"/channels/{channel_id}/messages", params=where)
        ours, me = (await self.client()).user, f":{job_id}:"
        by_us = [one for one in found if ours is not None and one["author"]["id"] == str(ours.id)]
        return next((int(one["id"]) for one in reversed(by_us) if me in str(one.get("components"))), None)

    async def delete_message(self, channel_id: int, message_id: int) -> None:
        message = (await self._channel(channel_id)).get_partial_message(message_id)
        await self._call(message.delete, _channel_bucket(channel_id), 2)

    async def open_dm(self, user_id: int) -> int:
        client = await self.client()
        channel = await self._call(lambda: client.create_dm(discord.Object(user_id)), attempts=ATTEMPTS)
        return channel.id

    async def refresh_attachment_url(self, url: str) -> str:
        """A fresh address of one of Discord's own files whose address has expired; empty where there is none."""
        answer = await self._request("POST", "/attachments/refresh-urls", json={"attachment_urls": [url]})
        rows = answer.get("refreshed_urls") if isinstance(answer, dict) else None
        return str((rows[0] or {}).get("refreshed") or "") if rows else ""

    async def fetch_application(self) -> dict[str, Any]:
        return cast(dict[str, Any], await self._request("GET", "/oauth2/applications/@me"))

    async def fetch_guild(self, guild_id: int) -> dict[str, Any]:
        return cast(dict[str, Any], await self._request("GET", f"/guilds/{guild_id}"))

    async def is_age_restricted(self, channel_id: int) -> bool:
        """Whether a channel, or that of a thread, is marked so, as Discord says now; needs the bot inside."""
        found = await self._request("GET", f"/channels/{channel_id}")
        if found.get("type") in _THREADS and found.get("parent_id"):
            found = await self._request("GET", f"/channels/{int(found['parent_id'])}")
        return bool(found.get("nsfw"))

    async def _request(self, method: str, path: str, **more: Any) -> Any:
        http = (await self.client()).http
        return await self._call(lambda: http.request(discord.http.Route(method, path), **more))


def _webhook_bucket(app_id: int, token: str) -> str:
    """What Discord counts calls by this token under."""
    return f"webhooks/{app_id}/{token}"


def _channel_bucket(channel_id: int) -> str:
    """What Discord counts calls to this channel's messages under."""
    return f"channels/{channel_id}/messages"


async def _parse_errors_as_network(call: Callable[[], Awaitable[T]]) -> T:
    try:
        return await call()
    except PARSE_ERRORS as error:
        raise to_call_error(error) from error


def to_call_error(error: Exception) -> Exception:
    """What an answer means that the library cannot read: trouble of the way to Discord, no fault of ours.

    A 429 that names no time, such as too many edits of an old message, ends by no waiting.
    """
    if error.args == ("retry_after",):
        return DeliveryRefused(reason="refused")
    return aiohttp.ClientPayloadError("an answer that cannot be read")
