"""Commands for the tree, made from their handlers; and `/upscale`: acknowledge, translate, hand over."""

import inspect
from collections.abc import Awaitable, Callable, Collection, Coroutine, Sequence
from typing import Any, TypeAlias

import discord
import structlog
from discord import app_commands

from adapters.discord.inbound import translate
from adapters.discord.inbound.command_texts import model_word, word
from adapters.discord.inbound.context_menus import Menus
from adapters.discord.inbound.dispatcher import HandlerContext
from adapters.discord.inbound.interaction_response import Answer
from adapters.discord.inbound.message_images import Menu, from_attachment, from_link
from adapters.discord.inbound.translate import Interaction
from adapters.discord.views.markup import cut
from core.domain.errors import DownloadFailed, NoImage, UpscaleError
from core.domain.models import Models
from core.domain.parameters import sizes
from core.domain.parameters.spec import PRESETS, SPECS, Presets
from core.presentation.labels import preset_choice

Option: TypeAlias = tuple[str, Any, app_commands.locale_str, Any]
"""Name, type, description, default (`inspect.Parameter.empty`: has to be given)."""
Choices: TypeAlias = list[app_commands.Choice[str]]
Command: TypeAlias = app_commands.Command[Any, ..., None]

log = structlog.get_logger(__name__)

CHOICE_MAX = 100
_TYPES = {"float": float, "int": int}
_IMAGES = ("image", "image2", "image3", "image4")


def command(
    ctx: HandlerContext,
    key: str,
    work: Callable[..., Awaitable[None]],
    options: Sequence[Option] | None = None,
    **choices: Choices,
) -> Command:
    """A command named by the last part of `key`; its texts are those of `key`, and of `key_option` for each option.

    Unless `options` are given they are what `work` takes after the answer. Ranges and choices are checked by Discord's
    client too.
    """
    if options is None:
        taken = list(inspect.signature(work, eval_str=True).parameters.values())[1:]
        options = [(one.name, one.annotation, word(f"{key}_{one.name}"), one.default) for one in taken]

    async def callback(interaction: Interaction, **given: Any) -> None:
        said = {name: value for name, value in given.items() if value is not None}

        async def run(answer: Answer) -> None:
            answer.starts = key == "upscale"
            await work(answer, **said)

        await ctx.run(interaction, run)

    keyword = inspect.Parameter.POSITIONAL_OR_KEYWORD
    parameters = [inspect.Parameter("interaction", keyword, annotation=Interaction)]
    parameters += [inspect.Parameter(name, keyword, annotation=kind, default=d) for name, kind, _, d in options]
    callback.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]
    app_commands.choices(**choices)(callback)
    app_commands.describe(**{name: said for name, _, said, _ in options})(callback)
    return app_commands.command(name=key.rpartition("_")[2], description=word(key))(callback)


def group(name: str, *commands: Command, **more: Any) -> app_commands.Group:
    made = app_commands.Group(name=name, description=word(name), **more)
    for one in commands:
        made.add_command(one)
    return made


def parameter_command(
    ctx: HandlerContext,
    key: str,
    work: Callable[..., Awaitable[None]],
    *,
    before: Sequence[Option] = (),
    after: Sequence[Option] = (),
    without: Collection[str] = (),
) -> Command:
    """A command with an option for every parameter that a model on offer has."""
    models = ctx.service.models
    options = [option for option in _parameters(models) if option[0] not in without]
    named = {option[0] for option in options}
    choices = {"model": model_choices(models)} if "model" in named else {}
    made = command(ctx, key, work, [*before, *options, *after], **choices)
    if "preset" in named:
        made.autocomplete("preset")(known_presets(ctx))
    return made


def known_presets(
    ctx: HandlerContext, *, own_only: bool = False
) -> Callable[[Interaction, str], Coroutine[Any, Any, Choices]]:
    """For an option: everybody's presets and the member's own; everybody's when they cannot be read in time."""

    async def offered(interaction: Interaction, typed: str) -> Choices:
        actor = translate.requester(interaction)
        presets: Presets = PRESETS
        try:
            presets = await ctx.presets(actor)
        except UpscaleError as error:
            log.info("presets_not_offered", why=error.code)
        named = {name: preset_choice(name, values, actor.locale) for name, values in presets.items()}
        found = {name: label for name, label in named.items() if typed.lower() in label.lower()}
        wanted = [name for name in found if not (own_only and name in PRESETS)]
        return [app_commands.Choice(name=cut(found[name], CHOICE_MAX), value=name) for name in wanted]

    return offered


def model_choices(models: Models) -> Choices:
    return [app_commands.Choice(name=model_word(model), value=model.id) for model in models]


def _parameters(models: Models) -> list[Option]:
    options: list[Option] = []
    for spec in SPECS.values():
        known = models.widest.get(spec.name)
        if spec.kind == "choice" and len(models) > 1:
            options.append(_optional(spec.name, str))
        elif spec.kind == "size":
            options.append(_optional(spec.name, app_commands.Range[str, 1, 40], allowed=sizes.EXAMPLES))
        elif known is not None and spec.kind == "bool":
            options.append(_optional(spec.name, bool))
        elif known is not None and spec.kind in _TYPES:
            kind = _TYPES[spec.kind]
            ranged = app_commands.Range[kind, kind(known.low), kind(known.high)]  # type: ignore[valid-type]
            options.append(_optional(spec.name, ranged, allowed=known.allowed if spec.name != "seed" else ""))
    if "creativity" in models.widest:
        options.append(_optional("preset", str))
    return options


def _optional(name: str, kind: Any, text: str = "", *, allowed: str = "") -> Option:
    return name, kind | None, word(text or name, allowed), None


def upscale_command(ctx: HandlerContext, menus: Menus) -> Command:
    async def upscale(answer: Answer, **given: Any) -> None:
        files = [given.pop(name) for name in _IMAGES if name in given]
        images = [from_attachment(file) for file in files if file.url]
        images += [from_link(link)] if (link := given.pop("url", "")) else []
        unreadable = tuple(file.filename for file in files if not file.url)
        total, private = len(images) + len(unreadable), bool(given.pop("private", False))
        menu = Menu(tuple(images), private=private, fields=given, total=total, unreadable=unreadable)
        if not menu.images:
            raise DownloadFailed(reason="not_visible") if unreadable else NoImage
        if total > 1:  # one alone is judged when it is written; of several the total is shown before
            ctx.service.check("", given)
        await menus.begin(answer, menu)

    before = [_optional("image", discord.Attachment), _optional("url", app_commands.Range[str, 1, 2000])]
    after = [_optional("private", bool), *(_optional(name, discord.Attachment, "image_more") for name in _IMAGES[1:])]
    return parameter_command(ctx, "upscale", upscale, before=before, after=after)
