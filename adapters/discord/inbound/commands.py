"""`/upscale`: acknowledge, translate, hand over. The other commands are registered beside it."""

from __future__ import annotations

import inspect
from collections.abc import Awaitable, Callable, Collection, Sequence
from typing import Any, TypeAlias

import discord
from discord import app_commands

from adapters.discord.inbound.command_texts import model_word, word
from adapters.discord.inbound.context_menus import Menu, Menus
from adapters.discord.inbound.dispatcher import HandlerContext
from adapters.discord.inbound.interaction_response import Answer
from adapters.discord.inbound.message_images import from_attachment, from_link
from adapters.discord.inbound.translate import Interaction
from core.domain.errors import NoImage
from core.domain.models import Models
from core.domain.parameters import sizes
from core.domain.parameters.spec import PRESETS, SPECS

Option: TypeAlias = tuple[str, Any, app_commands.locale_str]
"""Name, type, description."""

_TYPES = {"float": float, "int": int}
_IMAGES = ("image", "image2", "image3", "image4")
_MORE = tuple((name, discord.Attachment, word("image_more")) for name in _IMAGES[1:])


def parameter_options(models: Models, *, without: Collection[str] = ()) -> list[Option]:
    """An option for every parameter that a model on offer has: name, type with its range, description."""
    options: list[Option] = []
    for spec in SPECS.values():
        known = models.widest.get(spec.name)
        if spec.kind == "choice" and len(models) > 1:
            options.append((spec.name, str, word(spec.name)))
        elif spec.kind == "size":
            options.append((spec.name, app_commands.Range[str, 1, 40], word(spec.name, sizes.EXAMPLES)))
        elif known is not None and spec.kind == "bool":
            options.append((spec.name, bool, word(spec.name)))
        elif known is not None and spec.kind in _TYPES:
            kind = _TYPES[spec.kind]
            ranged = app_commands.Range[kind, kind(known.low), kind(known.high)]  # type: ignore[valid-type]
            options.append((spec.name, ranged, word(spec.name, known.allowed if spec.name != "seed" else "")))
    if "creativity" in models.widest:
        options.append(("preset", str, word("preset")))
    return [option for option in options if option[0] not in without]


def command(
    name: str,
    models: Models,
    options: Sequence[Option],
    work: Callable[[Interaction, dict[str, Any]], Awaitable[None]],
    *,
    described: str = "",
) -> app_commands.Command[Any, ..., None]:
    """A command with these options, all optional, whose ranges and choices Discord's client checks too."""

    async def callback(interaction: Interaction, **given: Any) -> None:
        await work(interaction, {key: value for key, value in given.items() if value is not None})

    kinds = {"interaction": Interaction, **{key: kind | None for key, kind, _ in options}}
    empty, keyword = inspect.Parameter.empty, inspect.Parameter.POSITIONAL_OR_KEYWORD
    callback.__annotations__ = kinds
    callback.__signature__ = inspect.Signature(  # type: ignore[attr-defined]
        [
            inspect.Parameter(key, keyword, annotation=kind, default=empty if key == "interaction" else None)
            for key, kind in kinds.items()
        ]
    )
    choices = {
        "preset": [app_commands.Choice(name=word(f"preset_{each}"), value=each) for each in PRESETS],
        "model": [app_commands.Choice(name=model_word(model), value=model.id) for model in models],
    }
    named = {key for key, _, _ in options}
    app_commands.choices(**{key: found for key, found in choices.items() if key in named})(callback)
    app_commands.describe(**{key: said for key, _, said in options})(callback)
    return app_commands.command(name=name, description=word(described or name))(callback)


def upscale_command(ctx: HandlerContext, menus: Menus) -> app_commands.Command[Any, ..., None]:
    async def upscale(interaction: Interaction, given: dict[str, Any]) -> None:
        pictures = [from_attachment(given.pop(name)) for name in _IMAGES if name in given]
        links = [from_link(given.pop("url"))] if given.get("url") else []
        private = bool(given.pop("private", False))

        async def work(answer: Answer) -> None:
            await _upscale(ctx, menus, answer, Menu((*pictures, *links), fields=given, private=private))

        await ctx.run(interaction, work)

    models = ctx.service.models
    options = [
        ("image", discord.Attachment, word("image")),
        ("url", app_commands.Range[str, 1, 2000], word("url")),
        *parameter_options(models),
        ("private", bool, word("private")),
        *_MORE,
    ]
    return command("upscale", models, options, upscale)


async def _upscale(ctx: HandlerContext, menus: Menus, answer: Answer, menu: Menu) -> None:
    if not menu.images:
        raise NoImage
    ctx.service.check("", menu.fields or {})
    await menus.begin(answer, menu)
