"""The adapter's REST calls through a logged-in discord.py client, with retries and rate limits.

Each raises `discord.HTTPException` when Discord refuses, DeliveryUnavailable when a later try may work, and
UploadTooLarge when a file exceeds the size limit.
"""

import asyncio
from collections.abc import Awaitable, Callable
from functools import partial
from typing import Any, Literal, TypeVar, cast

import aiohttp
import discord
from discord.http import Route

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
"""A longer pause is left to the caller, who can wait without holding anything."""
BACKOFF = Backoff(first_s=0.4, cap_s=5.0, asked_cap_s=60.0)
_THREADS = (10, 11, 12)
CHANNEL_LOOKUP_S, MAX_PARENTS = 10.0, 10_000
ANSWER_CHECK_S = 10.0
"""A job waits for this check before it pays; the library alone would wait for minutes where Discord hangs."""


class ApiClient:
    """Works as soon as the client is logged in, with or without the gateway; calls before that wait for the login."""

    def __init__(self, clock: Clock) -> None:
        self.rate_limits = RateLimits(clock)
        self._clock = clock
        self._client: discord.Client | None = None
        self._logged_in = asyncio.Event()
        self._parents: dict[int, str] = {}

    def set_client(self, client: discord.Client | None) -> None:
        """Use this client from now on; None while the supervisor restarts it."""
        self._client = client
        if client is None:
            self._logged_in.clear()
        else:
            self._logged_in.set()

    async def client(self) -> discord.Client:
        """The logged-in client. Raises DeliveryUnavailable when there is none for 30 s."""
        try:
            await asyncio.wait_for(self._logged_in.wait(), LOGIN_TIMEOUT_S)
        except TimeoutError:
            raise DeliveryUnavailable from None
        if self._client is None:
            raise DeliveryUnavailable
        return self._client

    async def _call(self, call: Callable[[], Awaitable[T]], bucket: str = "", attempts: int = 1) -> T:
        """Run `call()` with retries: pauses of about 0.4, 0.8, 1.6 s, or what Discord asks for.

        More than one attempt only for what may safely be repeated (PATCH, DELETE, or a POST with a nonce).
        """
        pause_s = self.rate_limits.wait_s(bucket)
        if pause_s > 0:
            if attempts == 1 or pause_s > MAX_PAUSE_S:
                raise DeliveryUnavailable(retry_after_s=pause_s)
            await self._clock.sleep(pause_s)

        async def attempt() -> T:
            try:
                return await call()
            except PARSE_ERRORS as error:
                raise to_call_error(error) from error

        def pause(error: Exception, number: int) -> float | None:
            return BACKOFF.pause_s(number, errors.retry_after_s(error)) if errors.is_transient(error) else None

        try:
            return await retry(attempt, clock=self._clock, pause=pause, attempts=attempts)
        except errors.HTTP_OR_TRANSIENT as error:
            if errors.is_transient(error):
                raise errors.to_delivery_error(error) from error
            raise

    async def _send_payload(
        self,
        send: Callable[..., Awaitable[discord.Message]],
        files_argument: Literal["files", "attachments"],
        payload: Payload,
        where: Placement,
        bucket: str,
        attempts: int,
    ) -> int:
        """Send or edit with a new view and new files for each attempt; return the message's id."""

        def attempt() -> Awaitable[discord.Message]:
            return send(view=payload.view(where), **{files_argument: payload.uploads()})

        try:
            return (await self._call(attempt, bucket, attempts)).id
        except discord.HTTPException as error:
            if payload.files and errors.is_too_large(error):
                raise UploadTooLarge from error
            raise

    # --- by an interaction's token ----------------------------------------------------------------------------------

    async def _webhook(self, app_id: int, token: str) -> discord.Webhook:
        webhook = discord.Webhook.partial(app_id, token, client=await self.client())
        # The library takes a partial webhook for a channel's, for which it refuses ephemeral messages.
        webhook.type = discord.WebhookType.application
        return webhook

    async def edit_answer(
        self, app_id: int, token: str, which: WebhookMessageId, payload: Payload, attempts: int = ATTEMPTS
    ) -> int:
        """Edit a response or follow-up, replacing its files; return the message's id."""
        webhook = await self._webhook(app_id, token)
        # The library's signature says int, but the path takes "@original" as well (measured).
        edit = partial(webhook.edit_message, cast(int, which))
        return await self._send_payload(edit, "attachments", payload, "", _webhook_bucket(app_id, token), attempts)

    async def follow_up(
        self, app_id: int, token: str, payload: Payload, where: Placement = "", *, ephemeral: bool, attempts: int = 2
    ) -> int:
        """Send a follow-up message; return its id.

        Not idempotent, so it is retried only once: a duplicate message is better than a lost picture.
        """
        webhook = await self._webhook(app_id, token)
        send: Callable[..., Any] = partial(webhook.send, ephemeral=ephemeral, wait=True)
        bucket = _webhook_bucket(app_id, token)
        return await self._send_payload(send, "files", payload, where, bucket, min(attempts, 2))

    async def check_answer(self, app_id: int, token: str) -> None:
        """Raise discord.HTTPException when the interaction has no response, DeliveryUnavailable when nobody says."""
        try:
            async with asyncio.timeout(ANSWER_CHECK_S):
                webhook = await self._webhook(app_id, token)
                fetch = partial(webhook.fetch_message, cast(int, "@original"))
                await self._call(fetch, _webhook_bucket(app_id, token), ATTEMPTS)
        except TimeoutError:
            raise DeliveryUnavailable from None

    async def delete_answer(self, app_id: int, token: str, which: WebhookMessageId = "@original") -> None:
        webhook = await self._webhook(app_id, token)
        await self._call(partial(webhook.delete_message, cast(int, which)), _webhook_bucket(app_id, token), ATTEMPTS)

    # --- by the bot's own token -------------------------------------------------------------------------------------

    async def _channel(self, channel_id: int) -> discord.PartialMessageable:
        return (await self.client()).get_partial_messageable(channel_id)

    async def edit_message(
        self, channel_id: int, message_id: int, payload: Payload, where: Placement = "", attempts: int = ATTEMPTS
    ) -> None:
        message = (await self._channel(channel_id)).get_partial_message(message_id)
        # The library adds the client's default only to an edit with `content`.
        edit = partial(message.edit, allowed_mentions=discord.AllowedMentions.none())
        await self._send_payload(edit, "attachments", payload, where, _channel_bucket(channel_id), attempts)

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
        """Send a new message; return its id. A repeat with the same nonce within minutes returns the first one's."""
        options: dict[str, Any] = {"nonce": nonce[:25]}
        if reply_to is not None:
            options["reference"] = discord.MessageReference(message_id=reply_to, channel_id=channel_id)
        send: Callable[..., Any] = partial((await self._channel(channel_id)).send, **options)
        return await self._send_payload(send, "files", payload, where, _channel_bucket(channel_id), attempts)

    async def reply(
        self, channel_id: int, message_id: int, payload: Payload, *, nonce: str, attempts: int = ATTEMPTS
    ) -> int | None:
        """Reply to a member's message, or send a plain one where the bot may not read the history.

        Returns None when that message was deleted.
        """
        try:
            return await self.send(channel_id, payload, nonce=nonce, reply_to=message_id, attempts=attempts)
        except discord.HTTPException as error:
            if errors.is_request_gone(error):
                return None
            if not errors.has_code(error, errors.NO_HISTORY_TO_REPLY):
                raise
        return await self.send(channel_id, payload, nonce=nonce, attempts=attempts)

    async def fetch_message(self, channel_id: int, message_id: int) -> Any:
        """The message as raw JSON; needs the permission to read the channel's history."""
        return await self._request(
            Route("GET", "/channels/{channel_id}/messages/{message_id}", channel_id=channel_id, message_id=message_id)
        )

    async def find_job_message(self, job_id: str, channel_id: int, *, after: int) -> int | None:
        """The id of the bot's first message after `after` with a button of this job; needs the same permission."""
        route = Route("GET", "/channels/{channel_id}/messages", channel_id=channel_id)
        found = await self._request(route, params={"after": after, "limit": 100})
        bot_user = (await self.client()).user
        own = [message for message in found if bot_user is not None and message["author"]["id"] == str(bot_user.id)]
        return next((int(one["id"]) for one in reversed(own) if f":{job_id}:" in str(one.get("components"))), None)

    async def delete_message(self, channel_id: int, message_id: int) -> None:
        message = (await self._channel(channel_id)).get_partial_message(message_id)
        await self._call(message.delete, _channel_bucket(channel_id), 2)

    async def open_dm(self, user_id: int) -> int:
        """The id of the direct message channel with this user."""
        client = await self.client()
        return (await self._call(lambda: client.create_dm(discord.Object(user_id)), attempts=ATTEMPTS)).id

    async def refresh_attachment_url(self, url: str) -> str:
        """A new signed URL for one of Discord's files whose URL has expired; empty where there is none."""
        answer = await self._request(Route("POST", "/attachments/refresh-urls"), json={"attachment_urls": [url]})
        rows = answer.get("refreshed_urls") if isinstance(answer, dict) else None
        return str((rows[0] or {}).get("refreshed") or "") if rows else ""

    async def fetch_application(self) -> dict[str, Any]:
        return cast(dict[str, Any], await self._request(Route("GET", "/oauth2/applications/@me")))

    async def fetch_guild(self, guild_id: int) -> dict[str, Any]:
        return cast(dict[str, Any], await self._request(Route("GET", "/guilds/{guild_id}", guild_id=guild_id)))

    async def is_age_restricted(self, channel_id: int) -> bool:
        """Whether a channel is age-restricted (a thread does not tell); needs the bot in the server."""
        return bool((await self._fetch_channel(channel_id)).get("nsfw"))

    async def parent_channel(self, channel_id: int) -> str:
        """The id of a thread's channel, empty for another channel. Asked once, because it never changes."""
        if channel_id not in self._parents:
            async with asyncio.timeout(CHANNEL_LOOKUP_S):
                found = await self._fetch_channel(channel_id)
            if len(self._parents) >= MAX_PARENTS:
                del self._parents[next(iter(self._parents))]
            self._parents[channel_id] = str(found["parent_id"]) if found["type"] in _THREADS else ""
        return self._parents[channel_id]

    async def _fetch_channel(self, channel_id: int) -> dict[str, Any]:
        return cast(dict[str, Any], await self._request(Route("GET", "/channels/{channel_id}", channel_id=channel_id)))

    async def _request(self, route: Route, **options: Any) -> Any:
        """Ids are parameters of the route: the library keeps each path for good, and paths share a limit by channel."""
        http = (await self.client()).http
        return await self._call(lambda: http.request(route, **options))


def _webhook_bucket(app_id: int, token: str) -> str:
    """Discord's rate limit bucket for calls by this token."""
    return f"webhooks/{app_id}/{token}"


def _channel_bucket(channel_id: int) -> str:
    """Discord's rate limit bucket for the messages of this channel."""
    return f"channels/{channel_id}/messages"


def to_call_error(error: Exception) -> Exception:
    """Map a response that the library cannot parse to a network error.

    A 429 without a time, such as for too many edits of an old message, does not end by waiting.
    """
    if error.args == ("retry_after",):
        return DeliveryRefused(reason="refused")
    return aiohttp.ClientPayloadError("an answer that cannot be read")
