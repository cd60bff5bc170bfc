"""The words on commands, options and choices, in every language. Names that people type are the same everywhere."""

from __future__ import annotations

from functools import cache

import discord
from discord import app_commands

from core.domain.models import ModelSpec
from core.presentation import LANGUAGES, language_of
from core.presentation.labels.commands import command_text

TEXT_MAX = 100


def word(key: str, allowed: str = "") -> app_commands.locale_str:
    """A text for a command, translated when the commands are registered; `allowed` is a range to stand behind it."""
    return app_commands.locale_str(_with(command_text(key, "en"), allowed), key=key, allowed=allowed)


def _with(text: str, allowed: str) -> str:
    whole = f"{text}: {allowed}" if allowed else text
    return whole if len(whole) <= TEXT_MAX else text


def model_word(model: ModelSpec) -> app_commands.locale_str:
    """A model's name and use, translated when the commands are registered."""
    return app_commands.locale_str(f"{model.id}: {model.name()}, {model.about()}", model=model)


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
        """The text of `string` for a locale that we speak, else None."""
        key, model = string.extras.get("key"), string.extras.get("model")
        if not _spoken(locale.value):
            return None
        if isinstance(model, ModelSpec):
            language = language_of(locale.value)
            text = f"{model.id}: {model.name(language)}, {model.about(language)}"
        elif key is not None:
            text = _with(command_text(key, locale.value), string.extras.get("allowed", ""))
        else:
            return None
        # One text that is too long would make Discord refuse all commands in all languages.
        return text if len(text) <= TEXT_MAX else text[: TEXT_MAX - 1] + "…"


@cache
def _spoken(locale: str) -> bool:
    language = language_of(locale)
    return language in LANGUAGES and (language != "en" or locale.startswith("en-"))
