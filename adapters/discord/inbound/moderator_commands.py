"""`/quota add|history|presets`: what moderators give, see and choose. The core checks rights and values."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from decimal import Decimal

import discord
from discord import app_commands

from adapters.discord.inbound.command_texts import word
from adapters.discord.inbound.dispatcher import Desk
from adapters.discord.inbound.interaction_response import Answer
from adapters.discord.inbound.limit_commands import WINDOWS, Place
from adapters.discord.inbound.translate import Interaction
from adapters.discord.outbound.payload import Payload
from adapters.discord.views.card import draw
from core.domain.job import Requester
from core.domain.limits import Window
from core.domain.money import NANOUSD_PER_USD
from core.presentation.cards.notice import said

_EXTRA_WINDOWS = [choice for choice in WINDOWS if choice.value != Window.TOTAL.value]

Work = Callable[[Requester], Awaitable[str]]


def add_moderator_commands(group: app_commands.Group, desk: Desk) -> None:
    """Put them into the group of `/quota`."""
    service = desk.service

    async def tell(interaction: Interaction, work: Work) -> None:
        """Do it, and say privately what came of it."""

        async def run(answer: Answer) -> None:
            await answer.think(ephemeral=True)
            told = await work(answer.actor)
            await answer.show(Payload(lambda _: draw(said(*told.splitlines()))))

        await desk.run(interaction, run)

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
        dollars = int(Decimal(str(amount)) * NANOUSD_PER_USD)
        await tell(interaction, lambda actor: service.add_extra(actor, str(member.id), dollars, Window(window)))

    @group.command(name="history", description=word("quota_history"))
    async def history(interaction: Interaction) -> None:
        async def told(actor: Requester) -> str:
            return "\n".join(await service.limit_history(actor))

        await tell(interaction, told)

    @group.command(name="presets", description=word("quota_presets"))
    @app_commands.describe(parameters=word("quota_presets_values"), channel=word("quota_presets_channel"))
    async def presets(interaction: Interaction, parameters: str = "", channel: Place | None = None) -> None:
        where = str(channel.id) if channel is not None else ""
        await tell(interaction, lambda actor: service.set_place_presets(actor, parameters, where))
