"""`/queue` for moderators: what runs and waits in this server, and cancelling one of it."""

from __future__ import annotations

from typing import Any

from discord import app_commands

from adapters.discord.inbound.command_texts import word
from adapters.discord.inbound.dispatcher import Desk
from adapters.discord.inbound.interaction_response import Answer
from adapters.discord.inbound.translate import Interaction
from adapters.discord.outbound.payload import Payload
from adapters.discord.views.card import draw
from core.domain.job import JobState
from core.presentation.cards.notice import said
from core.presentation.cards.queue import queue
from core.presentation.job_texts import cancel_pending_text


class QueueCommand:
    """The core decides who may look and cancel."""

    def __init__(self, desk: Desk) -> None:
        self._desk = desk

    def command(self) -> app_commands.Command[Any, ..., None]:
        """To be added to the tree; shown to those who manage the server unless it decides otherwise."""

        @app_commands.command(name="queue", description=word("queue"))
        @app_commands.guild_only()
        @app_commands.allowed_installs(guilds=True, users=False)
        @app_commands.default_permissions(manage_guild=True)
        async def queue_(interaction: Interaction) -> None:
            await self._desk.run(interaction, self._show)

        return queue_

    async def _show(self, answer: Answer) -> None:
        await answer.think(ephemeral=True)
        await answer.show(await self._card(answer))

    async def cancel(self, answer: Answer, job_id: str) -> None:
        """Cancel the chosen one, and show what is left."""
        service = self._desk.service
        job = await self._desk.commits.first(service.cancel(job_id, answer.actor), answer.hold)
        await answer.update(await self._card(answer))
        if job.state is JobState.RUNNING:
            pending = said(cancel_pending_text(answer.locale))
            await answer.whisper(Payload(lambda _: draw(pending)))

    async def _card(self, answer: Answer) -> Payload:
        here = await self._desk.service.queue(answer.actor)
        card = queue(here.jobs, here.total, answer.locale)
        return Payload(lambda _: draw(card))
