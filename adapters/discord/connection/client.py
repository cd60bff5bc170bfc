"""The discord.py client without privileged intents and caches, and our hooks into it. Knows nothing of jobs."""

import asyncio
import logging
import sys
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any

import aiohttp
import discord
import structlog
from discord import app_commands

from adapters.discord.connection.identify_limiter import IdentifyLimiter
from adapters.discord.connection.payloads import PARSE_ERRORS, clean_interaction, readable_message
from adapters.discord.inbound.commands import CommandTranslator
from adapters.discord.inbound.translate import Interaction
from adapters.discord.outbound.errors import FAILED_CALLS
from core.presentation.texts.request_texts import unreadable_request_text

log = structlog.get_logger(__name__)

EPHEMERAL = 1 << 6
INTERACTIONS = (2, 3, 4, 5)
"""Commands, components, autocompletion and modals; a PING (1) comes over HTTP only."""

MIN_UPLOAD_LIMIT_BYTES = 10 * 1024 * 1024
"""Assumed when an interaction announces no upload limit: the lowest default that Discord ever had."""

INTENTS = discord.Intents(guild_messages=True, dm_messages=True)
"""No privileged one: Discord sends a message's content only when it mentions the bot or is a direct message to it."""

InteractionHandler = Callable[[Interaction], Awaitable[None]]
MessageHandler = Callable[[discord.Message, int], Awaitable[None]]
_USER_MESSAGE_TYPES = (0, 19)
"""Plain messages and replies; all other types are Discord's own messages."""

ErrorHandler = Callable[[Interaction, Exception], Awaitable[None]]
_EXPECTED_WARNINGS = ("Guilds intent seems to be disabled", "is not installed, voice will NOT be supported")
"""The library's warnings about what we chose: no intents, no voice."""
for _name in ("discord.client", "discord.state"):
    logging.getLogger(_name).addFilter(lambda record: not any(words in str(record.msg) for words in _EXPECTED_WARNINGS))


async def _json_or_text(response: aiohttp.ClientResponse) -> Any:
    """Replaces the library's (2.7.1), which takes JSON for text if its content type names a charset, as proxies do."""
    text = await response.text(encoding="utf-8")
    return discord.utils._from_json(text) if response.content_type == "application/json" else text


discord.http.json_or_text = _json_or_text
discord.webhook.async_.json_or_text = _json_or_text  # type: ignore[attr-defined]


class UpscaleClient(discord.AutoShardedClient):
    """`on_press` gets buttons, selects and submitted modals; `on_shard` is called when a shard is connected."""

    def __init__(
        self,
        *,
        on_press: InteractionHandler,
        on_mention: MessageHandler,
        on_shard: Callable[[int], None],
        on_incident: Callable[[Exception], Awaitable[object]],
        on_failure: ErrorHandler,
        shard_ids: tuple[int, ...] | None,
        shard_count: int | None,
        http_trace: aiohttp.TraceConfig,
    ) -> None:
        ids: Any = {} if shard_ids is None else {"shard_ids": list(shard_ids)}
        super().__init__(
            intents=INTENTS,
            max_messages=None,
            member_cache_flags=discord.MemberCacheFlags.none(),
            chunk_guilds_at_startup=False,
            # Adds {"parse": []} to every message and edit, so that no message of ours pings anybody.
            allowed_mentions=discord.AllowedMentions.none(),
            # Without the guilds intent no guild data follows READY, so there is nothing to wait for.
            guild_ready_timeout=0.05,
            shard_count=shard_count,
            http_trace=http_trace,
            **ids,
        )
        self.identify_limiter: IdentifyLimiter | None = None
        self._on_press = on_press
        self._on_mention = on_mention
        self._on_shard = on_shard
        self._on_incident = on_incident
        everywhere = app_commands.AppCommandContext(guild=True, dm_channel=True, private_channel=True)
        both = app_commands.AppInstallationType(guild=True, user=True)
        self.tree = CommandTree(self, on_failure, allowed_contexts=everywhere, allowed_installs=both)
        # Ignore all other events: the library parses them unguarded, and one odd event would end the session.
        parsers = self._connection.parsers
        for event in set(parsers) - {"READY", "RESUMED"}:
            del parsers[event]
        parsers |= {"INTERACTION_CREATE": self.handle_interaction, "MESSAGE_CREATE": self._handle_message}
        self._tasks: set[asyncio.Task[None]] = set()

    def handle_interaction(self, payload: dict[str, Any]) -> None:
        """Handle one interaction as Discord sent it.

        One that cannot be parsed would otherwise end all shards of the process (2.7.1); its member gets an answer by
        its id and token.
        """
        try:
            if payload["type"] not in INTERACTIONS:
                raise ValueError("an interaction of a type that Discord has added since")
            payload["attachment_size_limit"] = int(payload.get("attachment_size_limit") or MIN_UPLOAD_LIMIT_BYTES)
            clean_interaction(payload, self._connection)
            # Private to the library, but the only entry: it has no HTTP ingress of its own (its thread 8049).
            self._connection.parse_interaction_create(payload)  # type: ignore[arg-type]
        except PARSE_ERRORS as error:
            log.warning("interaction_unreadable", why=type(error).__name__)
            self._spawn(self._answer_unreadable(payload), "discord-unreadable")

    async def _answer_unreadable(self, payload: dict[str, Any]) -> None:
        try:
            if not isinstance(payload["token"], str):
                raise TypeError
            route = discord.http.Route(
                "POST",
                "/interactions/{interaction_id}/{interaction_token}/callback",
                interaction_id=int(payload["id"]),
                interaction_token=payload["token"],
            )
            words = unreadable_request_text(str(payload.get("locale") or "en"))
            await self.http.request(route, json={"type": 4, "data": {"content": words, "flags": EPHEMERAL}})
        except FAILED_CALLS as error:
            log.warning("interaction_unanswered", why=type(error).__name__)
        except (KeyError, TypeError, ValueError) as error:
            log.warning("interaction_without_token", why=type(error).__name__)

    def _spawn(self, work: Coroutine[Any, Any, None], name: str) -> None:
        task = asyncio.create_task(work, name=name)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    def _handle_message(self, payload: dict[str, Any]) -> None:
        """Handle a message to the bot. Nearly all are for others and are dropped before they are parsed."""
        try:
            me = self.user.id if self.user else 0
            if payload["author"].get("bot") or payload.get("webhook_id") or payload["type"] not in _USER_MESSAGE_TYPES:
                return
            guild_id = int(payload["guild_id"]) if "guild_id" in payload else None
            if guild_id is not None and all(int(user["id"]) != me for user in payload["mentions"]):
                return
            channel = self.get_partial_messageable(int(payload["channel_id"]), guild_id=guild_id)
            data: Any = readable_message(payload, self._connection)
            message = discord.Message(state=self._connection, channel=channel, data=data)
        except PARSE_ERRORS as error:
            log.warning("message_unreadable", why=type(error).__name__)
            return
        self._spawn(self._run_mention_handler(message, me), "discord-message")

    async def _run_mention_handler(self, message: discord.Message, me: int) -> None:
        try:
            await self._on_mention(message, me)
        except Exception as error:
            await self._on_incident(error)

    async def setup_hook(self) -> None:
        await self.tree.set_translator(CommandTranslator())

    async def before_identify_hook(self, shard_id: int | None, *, initial: bool = False) -> None:
        """Wait until the identify limiter allows this shard; the library's own hook would only sleep."""
        if self.identify_limiter is not None:
            await self.identify_limiter.wait(shard_id or 0)

    async def on_shard_connect(self, shard_id: int) -> None:
        self._on_shard(shard_id)

    async def on_interaction(self, interaction: Interaction) -> None:
        """Handle components and modals here, because the library's handlers are lost in a restart."""
        if interaction.type in (discord.InteractionType.component, discord.InteractionType.modal_submit):
            await self._on_press(interaction)

    async def on_error(self, event_method: str, /, *args: Any, **kwargs: Any) -> None:
        """Report the exception of an event handler; the arguments may hold a token and are left out."""
        error = sys.exception()
        if isinstance(error, Exception):
            await self._on_incident(error)


class CommandTree(app_commands.CommandTree[discord.Client]):
    """The slash commands; `on_failure` answers what fails before a handler runs."""

    def __init__(self, client: discord.Client, on_failure: ErrorHandler, **more: Any) -> None:
        super().__init__(client, **more)
        self._on_failure = on_failure

    async def _call(self, interaction: Interaction) -> None:
        """Answer command data that the library cannot parse; it would only end an unobserved task (2.7.1)."""
        try:
            await super()._call(interaction)
        except app_commands.AppCommandError:
            raise
        except PARSE_ERRORS as error:
            log.warning("interaction_unreadable", why=type(error).__name__)
            await self._on_failure(interaction, app_commands.AppCommandError())
        except Exception as error:
            await self._on_failure(interaction, error)

    async def on_error(self, interaction: Interaction, error: app_commands.AppCommandError, /) -> None:
        """Handle a command that Discord still offers but we no longer have, or a failure outside the handlers."""
        cause: Exception = error.original if isinstance(error, app_commands.CommandInvokeError) else error
        await self._on_failure(interaction, cause)
