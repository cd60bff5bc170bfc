"""Builds the slash commands from their handlers, with descriptions in every language. Names are not translated."""

import inspect
from collections.abc import Awaitable, Callable, Collection, Coroutine, Sequence
from typing import Any, TypeAlias

import discord
import structlog
from discord import app_commands

from adapters.discord.inbound import translate
from adapters.discord.inbound.dispatcher import HandlerContext
from adapters.discord.inbound.interaction_response import Answer
from adapters.discord.inbound.translate import Interaction
from core.domain.errors import UpscaleError
from core.domain.models import Models, ModelSpec
from core.domain.parameters import sizes
from core.domain.parameters.spec import PRESETS, SPECS, Presets
from core.presentation import LANGUAGES, cut, language_of
from core.presentation.texts.command_texts import command_text, preset_choice

log = structlog.get_logger(__name__)

TEXT_MAX = 100


def localized(key: str, allowed: str = "") -> app_commands.locale_str:
    """A command text in every language, with the range `allowed` appended where there is room."""

    def render(locale: str) -> str:
        text = command_text(key, locale)
        whole = f"{text}: {allowed}" if allowed else text
        return whole if len(whole) <= TEXT_MAX else text

    return _translated(render)


def localized_model(model: ModelSpec) -> app_commands.locale_str:
    def render(locale: str) -> str:
        language = language_of(locale)
        return f"{model.id}: {model.name(language)}, {model.about(language)}"

    return _translated(render)


def _translated(render: Callable[[str], str]) -> app_commands.locale_str:
    return app_commands.locale_str(render("en"), render=render)


class CommandTranslator(app_commands.Translator):
    """Gives Discord the texts in each of our languages, and the English ones under both of its locales.

    Without an entry for en-US Discord would fall back to en-GB.
    """

    async def translate(
        self,
        string: app_commands.locale_str,
        locale: discord.Locale,
        context: app_commands.TranslationContextTypes,
    ) -> str | None:
        language = language_of(locale.value)
        is_translated = language in LANGUAGES and (language != "en" or locale.value.startswith("en-"))
        render = string.extras.get("render")
        # One text that is too long makes Discord refuse all commands.
        return cut(render(locale.value), TEXT_MAX) if is_translated and render is not None else None


Option: TypeAlias = tuple[str, Any, app_commands.locale_str, Any]
"""Name, type, description, default (`inspect.Parameter.empty`: required)."""
Choices: TypeAlias = list[app_commands.Choice[str]]
Command: TypeAlias = app_commands.Command[Any, ..., None]


CHOICE_MAX = 100
_TYPES = {"float": float, "int": int}


def command(
    ctx: HandlerContext,
    key: str,
    work: Callable[..., Awaitable[None]],
    options: Sequence[Option] | None = None,
    **choices: Choices,
) -> Command:
    """A command named by the last part of `key`; its texts are those of `key`, and of `key_option` for each option.

    `options` default to the parameters of `work` after the answer. Discord's client checks ranges and choices too.
    """
    if options is None:
        arguments = list(inspect.signature(work, eval_str=True).parameters.values())[1:]
        options = [(one.name, one.annotation, localized(f"{key}_{one.name}"), one.default) for one in arguments]

    # An unknown model is told by the core, with those that there are.
    offered = {name: {one.value for one in listed} for name, listed in choices.items() if name != "model"}

    async def callback(interaction: Interaction, **given: Any) -> None:
        given_values = {name: value for name, value in given.items() if value is not None}
        if any(name in given_values and given_values[name] not in values for name, values in offered.items()):
            await ctx.handle_failure(interaction, app_commands.AppCommandError())
            return

        async def run(answer: Answer) -> None:
            answer.starts_job = key == "upscale"
            await work(answer, **given_values)

        await ctx.run(interaction, run)

    keyword = inspect.Parameter.POSITIONAL_OR_KEYWORD
    parameters = [inspect.Parameter("interaction", keyword, annotation=Interaction)]
    parameters += [inspect.Parameter(name, keyword, annotation=kind, default=d) for name, kind, _, d in options]
    callback.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]
    app_commands.choices(**choices)(callback)
    app_commands.describe(**{name: text for name, _, text, _ in options})(callback)
    return app_commands.command(name=key.rpartition("_")[2], description=localized(key))(callback)


def group(name: str, *commands: Command, **more: Any) -> app_commands.Group:
    command_group = app_commands.Group(name=name, description=localized(name), **more)
    for one in commands:
        command_group.add_command(one)
    return command_group


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
    result = command(ctx, key, work, [*before, *options, *after], **choices)
    if "preset" in named:
        result.autocomplete("preset")(preset_autocomplete(ctx))
    return result


def preset_autocomplete(
    ctx: HandlerContext, *, own_only: bool = False
) -> Callable[[Interaction, str], Coroutine[Any, Any, Choices]]:
    """Autocompletes the built-in presets and the member's own; only the built-in if the others cannot be read."""

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
        wanted.sort(key=lambda name: not name.startswith(typed.lower()))
        return [app_commands.Choice(name=cut(found[name], CHOICE_MAX), value=name) for name in wanted]

    return offered


def model_choices(models: Models) -> Choices:
    return [app_commands.Choice(name=localized_model(model), value=model.id) for model in models]


def _parameters(models: Models) -> list[Option]:
    options: list[Option] = []
    for spec in SPECS.values():
        known = models.inputs.get(spec.name)
        if spec.kind == "choice" and len(models) > 1:
            options.append(optional(spec.name, str))
        elif spec.kind == "size":
            options.append(optional(spec.name, app_commands.Range[str, 1, 40], allowed=sizes.EXAMPLES))
        elif known is not None and spec.kind == "bool":
            options.append(optional(spec.name, bool))
        elif known is not None and spec.kind in _TYPES:
            kind = _TYPES[spec.kind]
            ranged = app_commands.Range[kind, kind(known.low), kind(known.high)]  # type: ignore[valid-type]
            options.append(optional(spec.name, ranged, allowed=known.allowed if spec.name != "seed" else ""))
    if "creativity" in models.inputs:
        options.append(optional("preset", str))
    return options


def optional(name: str, kind: Any, text: str = "", *, allowed: str = "") -> Option:
    return name, kind | None, localized(text or name, allowed), None
