"""`/queue` and `/quota add|history|presets`, for moderators. The core checks rights and values."""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from typing import Any

import discord
from discord import app_commands

from adapters.discord.inbound.command_texts import word
from adapters.discord.inbound.dispatcher import HandlerContext
from adapters.discord.inbound.interaction_response import Answer
from adapters.discord.inbound.limit_commands import WINDOWS, Place
from adapters.discord.inbound.translate import Interaction
from adapters.discord.outbound.payload import Payload
from adapters.discord.views.card import draw
from core.budgets.limit_grammar import amount_of
from core.domain.job import JobState, Requester
from core.domain.limits import Measure, Window
from core.presentation.cards.notice import said
from core.presentation.cards.queue import queue
from core.presentation.job_texts import cancel_pending_text

_EXTRA_WINDOWS = [choice for choice in WINDOWS if choice.value != Window.TOTAL.value]

Work = Callable[[Requester], Coroutine[Any, Any, str]]


def add_moderator_commands(group: app_commands.Group, ctx: HandlerContext) -> None:
    """Put them into the group of `/quota`."""
    service = ctx.service

    async def tell(interaction: Interaction, work: Work) -> None:
        """Do it, and say privately what came of it."""

        async def run(answer: Answer) -> None:
            told = await ctx.soon(answer, work(answer.actor))
            await answer.show(Payload(lambda _: draw(said(*told.splitlines()))))

        await ctx.run(interaction, run)

    @group.command(name="add", description=word("quota_add"))
    @app_commands.describe(
        member=word("quota_add_member"), amount=word("quota_add_amount"), window=word("quota_add_window")
    )
    @app_commands.choices(window=_EXTRA_WINDOWS)
    async def add(
        interaction: Interaction,
        member: discord.User,
        amount: app_commands.Range[float, 0.0, 1_000_000.0],
        window: str = "day",
    ) -> None:
        async def give(actor: Requester) -> str:
            return await service.limits.add_extra(actor, str(member.id), amount_of(amount, Measure.USD), Window(window))

        await tell(interaction, give)

    @group.command(name="history", description=word("quota_history"))
    async def history(interaction: Interaction) -> None:
        async def told(actor: Requester) -> str:
            return "\n".join(await service.limits.limit_history(actor))

        await tell(interaction, told)

    @group.command(name="presets", description=word("quota_presets"))
    @app_commands.describe(parameters=word("quota_presets_values"), channel=word("quota_presets_channel"))
    async def presets(interaction: Interaction, parameters: str = "", channel: Place | None = None) -> None:
        where = str(channel.id) if channel is not None else ""
        await tell(interaction, lambda actor: service.accounts.set_place_presets(actor, parameters, where))


class QueueCommand:
    """The core decides who may look and cancel."""

    def __init__(self, ctx: HandlerContext) -> None:
        self._ctx = ctx

    def command(self) -> app_commands.Command[Any, ..., None]:
        """To be added to the tree; shown to those who manage the server unless it decides otherwise."""

        @app_commands.command(name="queue", description=word("queue"))
        @app_commands.guild_only()
        @app_commands.allowed_installs(guilds=True, users=False)
        @app_commands.default_permissions(manage_guild=True)
        async def queue_(interaction: Interaction) -> None:
            await self._ctx.run(interaction, self._show)

        return queue_

    async def _show(self, answer: Answer) -> None:
        await answer.show(await self._ctx.soon(answer, self._card(answer)))

    async def cancel(self, answer: Answer, job_id: str) -> None:
        service = self._ctx.service
        job = await self._ctx.commits.first(service.cancel(job_id, answer.actor), answer.hold)
        await answer.update(await self._card(answer))
        if job.state is JobState.RUNNING:
            pending = said(cancel_pending_text(answer.locale))
            await answer.whisper(Payload(lambda _: draw(pending)))

    async def _card(self, answer: Answer) -> Payload:
        here = await self._ctx.service.queue(answer.actor)
        card = queue(here.jobs, here.total, answer.locale)
        return Payload(lambda _: draw(card))
