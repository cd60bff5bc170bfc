"""The words on commands, options and choices, in every language. Names that people type are the same everywhere."""

from collections.abc import Callable

import discord
from discord import app_commands

from adapters.discord.views.markup import cut
from core.domain.models import ModelSpec
from core.presentation import LANGUAGES, language_of
from core.presentation.labels import command_text

TEXT_MAX = 100


def word(key: str, allowed: str = "") -> app_commands.locale_str:
    """A text for a command in every language; `allowed` is a range to stand behind it where there is room."""

    def say(locale: str) -> str:
        text = command_text(key, locale)
        whole = f"{text}: {allowed}" if allowed else text
        return whole if len(whole) <= TEXT_MAX else text

    return _translated(say)


def model_word(model: ModelSpec) -> app_commands.locale_str:
    """A model's name and use."""

    def say(locale: str) -> str:
        language = language_of(locale)
        return f"{model.id}: {model.name(language)}, {model.about(language)}"

    return _translated(say)


def _translated(say: Callable[[str], str]) -> app_commands.locale_str:
    return app_commands.locale_str(say("en"), say=say)


class CommandTranslator(app_commands.Translator):
    """Gives Discord every language that we speak, English under its own locales as well.

    Without an entry for en-US Discord falls back to en-GB first, so the default is listed under both.
    """

    async def translate(
        self,
        string: app_commands.locale_str,
        locale: discord.Locale,
        context: app_commands.TranslationContextTypes,
    ) -> str | None:
        language = language_of(locale.value)
        spoken = language in LANGUAGES and (language != "en" or locale.value.startswith("en-"))
        say = string.extras.get("say")
        # One text that is too long would make Discord refuse all commands in all languages.
        return cut(say(locale.value), TEXT_MAX) if spoken and say is not None else None
