"""Handles mentions of the bot and direct messages, with a picture or as a reply to one. Needs no privileged intent.

Discord sends a message's content only when it mentions the bot or is a direct message to it.
"""

import asyncio
from dataclasses import replace
from typing import Any

import discord
import structlog

from adapters.discord.connection.payloads import readable_message
from adapters.discord.inbound import translate
from adapters.discord.inbound.account_commands import help_of
from adapters.discord.inbound.dispatcher import HandlerContext
from adapters.discord.inbound.interaction_response import MessageResponse
from adapters.discord.inbound.message_images import MAX_IMAGES, ImageSelection, images_of, linked_images
from adapters.discord.inbound.upscale_commands import UpscaleCommands, require_images
from adapters.discord.outbound import errors
from core.domain.parameters.grammar import parse
from core.domain.parameters.ordinary_words import asks_for_help, is_small_talk, without_ordinary_words
from core.presentation import plain_card
from core.presentation.texts.request_texts import reply_hint_text

LOCALE_TIMEOUT_S = 1.0
USAGE_HINT_INTERVAL_S = 600.0

log = structlog.get_logger(__name__)


class Messages:
    def __init__(self, ctx: HandlerContext, upscale: UpscaleCommands) -> None:
        self._ctx = ctx
        self._upscale = upscale

    async def handle(self, message: discord.Message, bot_id: int) -> None:
        """Handle a message that mentions the bot or is a direct message to it; raises only CancelledError."""
        direct = translate.guild_id_of(message) is None
        is_addressed = direct or f"<@{bot_id}>" in message.content or f"<@!{bot_id}>" in message.content
        own = images_of(message)
        if not is_addressed and not own.images:
            return  # a reply to one of our messages, which mentions the bot implicitly
        locale = await self._locale_of(message)
        answer = MessageResponse(message, bot_id, locale, self._ctx.rest)
        await self._ctx.handle(answer, lambda: self._start(answer, message, own))

    async def _start(self, answer: MessageResponse, message: discord.Message, own: ImageSelection) -> None:
        if not own.images and asks_for_help(message.content):
            await answer.show(help_of(self._ctx.service, answer.locale))
            return
        presets = await self._ctx.presets(answer.actor)
        names = {*presets, *self._ctx.service.models.ids}
        text = without_ordinary_words(message.content, names)
        parsed = parse(text, models=self._ctx.service.models, presets=presets, lenient=True)
        shown = {embed.url for embed in message.embeds}
        links = linked_images(message, [link for link in parsed.links if link not in shown])
        if own.images or links:
            found = replace(own, images=(*own.images, *links)[:MAX_IMAGES], total=own.total + len(links))
        else:
            target = await self._replied_to(message)
            if target is not message and is_small_talk(message.content, names):
                await self._explain_usage(answer)
                return
            found = require_images(target)
        others, unreadable = own.others or found.others, own.unreadable or found.unreadable
        selection = replace(found, text=text, others=others, unreadable=unreadable)
        if answer.actor.workspace_id:
            parent = await self._ctx.rest.parent_channel(message.channel.id)
            answer.actor = replace(answer.actor, parent_channel_id=parent)
        await self._upscale.begin(answer, selection, ask=bool(own.images and links))

    async def _explain_usage(self, answer: MessageResponse) -> None:
        """Explain how to request an upscale after a reply that is only talk ("thanks!"), at most every ten minutes."""
        key = f"{answer.actor.user_id}:{answer.actor.channel_id}"
        if await self._ctx.state.claim("discord-talk", key, ttl_s=USAGE_HINT_INTERVAL_S):
            await answer.show(plain_card(reply_hint_text(answer.locale)))

    async def _replied_to(self, message: discord.Message) -> discord.Message:
        """The message that this one replies to, from the event or fetched; this message itself if there is none."""
        reference = message.reference
        if reference is None or reference.message_id is None or message.type is not discord.MessageType.reply:
            return message
        resolved = reference.resolved
        if isinstance(resolved, discord.Message) and images_of(resolved).images:
            return resolved
        try:
            fetched = await self._ctx.rest.fetch_message(message.channel.id, reference.message_id)
        except errors.FAILED_CALLS as error:
            log.info("reply_not_readable", message=message.id, code=errors.code_of(error))
            return message
        data: Any = readable_message(fetched, message._state)
        return discord.Message(state=message._state, channel=message.channel, data=data)

    async def _locale_of(self, message: discord.Message) -> str:
        """The locale of the member's last job, else English, because messages have no locale."""
        try:
            async with asyncio.timeout(LOCALE_TIMEOUT_S):
                last = await self._ctx.service.history(translate.member(message, "en"), limit=1)
        except Exception as error:
            log.info("language_unknown", why=type(error).__name__)
            return "en"
        return last[0].requester.locale if last else "en"
