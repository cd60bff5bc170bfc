"""`/upscale`: acknowledge, translate, hand over. The other commands are registered beside it."""

from __future__ import annotations

from typing import Any

import discord
from discord import app_commands

from adapters.discord.inbound.command_texts import word
from adapters.discord.inbound.context_menus import Menu, Menus
from adapters.discord.inbound.dispatcher import Desk
from adapters.discord.inbound.interaction_response import Answer
from adapters.discord.inbound.message_images import from_attachment, from_link
from adapters.discord.inbound.translate import Interaction
from core.domain.errors import NoImage
from core.domain.parameters.spec import PRESETS

PRESET_CHOICES = [app_commands.Choice(name=word(f"preset_{name}"), value=name) for name in PRESETS]

_DESCRIBED = {
    "image": word("image"),
    "url": word("url"),
    "factor": word("factor"),
    "creativity": word("creativity"),
    "guidance": word("guidance"),
    "steps": word("steps"),
    "seed": word("seed"),
    "preset": word("preset"),
    "safety": word("safety"),
    "private": word("private"),
    "image2": word("image_more"),
    "image3": word("image_more"),
    "image4": word("image_more"),
}


def upscale_command(desk: Desk, menus: Menus) -> app_commands.Command[Any, ..., None]:
    """The command with its ranges declared, so that Discord's client checks them as well."""

    @app_commands.command(name="upscale", description=word("upscale"))
    @app_commands.describe(**_DESCRIBED)
    @app_commands.choices(preset=PRESET_CHOICES)
    async def upscale(
        interaction: Interaction,
        image: discord.Attachment | None = None,
        url: app_commands.Range[str, 1, 2000] | None = None,
        factor: app_commands.Range[float, 1.0, 4.0] | None = None,
        creativity: app_commands.Range[float, 0.0, 1.0] | None = None,
        guidance: app_commands.Range[float, 1.0, 4.0] | None = None,
        steps: app_commands.Range[int, 4, 50] | None = None,
        seed: app_commands.Range[int, 0, 4294967295] | None = None,
        preset: str | None = None,
        safety: bool | None = None,
        private: bool | None = None,
        image2: discord.Attachment | None = None,
        image3: discord.Attachment | None = None,
        image4: discord.Attachment | None = None,
    ) -> None:
        values = {
            "factor": factor,
            "creativity": creativity,
            "guidance": guidance,
            "steps": steps,
            "seed": seed,
            "preset": preset,
            "safety": safety,
        }
        given = {name: value for name, value in values.items() if value is not None}
        pictures = [from_attachment(one) for one in (image, image2, image3, image4) if one is not None]
        links = [from_link(url)] if url else []

        async def work(answer: Answer) -> None:
            await _upscale(desk, menus, answer, Menu((*pictures, *links), fields=given, private=bool(private)))

        await desk.run(interaction, work)

    return upscale


async def _upscale(desk: Desk, menus: Menus, answer: Answer, menu: Menu) -> None:
    if not menu.images:
        raise NoImage
    desk.service.check("", menu.fields or {})
    await answer.think(ephemeral=menu.private)
    await menus.begin(answer, menu)
