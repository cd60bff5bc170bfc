"""The words on commands, options and choices, in every language. Names that people type are the same everywhere."""

from __future__ import annotations

from functools import cache

import discord
from discord import app_commands

from core.domain.models import ModelSpec
from core.domain.parameters.spec import PRESETS, SPECS
from core.presentation import LANGUAGES, language_of, tr
from core.presentation.parameter_texts import parameter_hint, preset_meaning

TEXT_MAX = 100


@cache
def words(locale: str) -> dict[str, str]:
    """Every text by its key, in the language of `locale`. Descriptions have at most 100 characters."""
    return {**_upscale(locale), **_own(locale), **_quota(locale)}


def _upscale(lo: str) -> dict[str, str]:
    return {
        "upscale": tr("Enlarge a picture", lo),
        "image": tr("The picture: PNG, JPEG, WebP, GIF …", lo),
        "image_more": tr("A further picture, enlarged with the same values", lo),
        "url": tr("A link to a picture, instead of a file", lo),
        **{name: parameter_hint(name, lo) for name in SPECS},
        "preset": tr("A set of values; what you give beside it wins", lo),
        **{f"preset_{name}": f"{name}: {preset_meaning(name, lo)}" for name in PRESETS},
        "private": tr("Only you will see the answer", lo),
        "menu_upscale": tr("Upscale", lo),
        "menu_options": tr("Upscale with options", lo),
    }


def _own(lo: str) -> dict[str, str]:
    return {
        "usage": tr("What was spent, on what, and what is left", lo),
        "usage_period": tr("Which period; this month if you choose none", lo),
        "usage_member": tr("Whose usage (moderators only)", lo),
        "day": tr("Today", lo),
        "week": tr("This week", lo),
        "month": tr("This month", lo),
        "year": tr("This year", lo),
        "history": tr("Your last pictures, as long as they are kept", lo),
        "settings": tr("Your own default values", lo),
        "settings_show": tr("Show your default values", lo),
        "settings_set": tr("Set your default values; what you leave out goes back to the model's own", lo),
        "settings_clear": tr("Forget your default values", lo),
        "privacy": tr("What is stored about you", lo),
        "privacy_export": tr("Get everything that is stored about you", lo),
        "privacy_delete": tr("Delete everything that is stored about you", lo),
        "help": tr("How this bot works and what it costs", lo),
    }


def _quota(lo: str) -> dict[str, str]:
    return {
        "quota": tr("Limits of this server (moderators)", lo),
        "quota_show": tr("Show the limits that apply here and what is used", lo),
        "quota_set": tr("Set a limit", lo),
        "quota_clear": tr("Remove a limit", lo),
        "quota_pause": tr("Stop or resume new upscales in this server", lo),
        "quota_alerts": tr("Choose the channel for budget alerts", lo),
        "quota_sponsor": tr("Pay for a channel's pictures from a budget of its own", lo),
        "quota_sponsor_channel": tr("The channel that is paid for", lo),
        "quota_sponsor_amount": tr("How many dollars at most; 0 ends it", lo),
        "quota_sponsor_days": tr("For how many days; 7 if you choose none", lo),
        "quota_add": tr("Give a member more for a while", lo),
        "quota_add_member": tr("Who gets more", lo),
        "quota_add_amount": tr("How many dollars more", lo),
        "quota_add_window": tr("Until the end of which period; today if you choose none", lo),
        "quota_history": tr("Who changed which limit, and when", lo),
        "quota_presets": tr("Default values of this server or of a channel", lo),
        "quota_presets_values": tr("Values as you would type them; leave it out for the model's own", lo),
        "quota_presets_channel": tr("Only in this channel; in the whole server if you choose none", lo),
        "quota_measure": tr("What is counted", lo),
        "quota_amount": tr("How much is allowed; dollars, megapixels or pictures", lo),
        "quota_window": tr("Over which time", lo),
        "quota_for": tr("For whom; the whole server if you choose nothing", lo),
        "quota_member": tr("Only for this member", lo),
        "quota_role": tr("Only for this role", lo),
        "quota_channel": tr("Only for this channel", lo),
        "quota_model": tr("Only with this model", lo),
        "quota_limit": tr("Which limit", lo),
        "queue": tr("What runs and waits in this server; cancel one (moderators)", lo),
        "quota_paused": tr("On stops new upscales, off resumes them", lo),
        "quota_alert_channel": tr("The channel; leave it out to switch alerts off", lo),
        "usd": tr("US dollars", lo),
        "megapixels": tr("Megapixels", lo),
        "jobs": tr("Pictures", lo),
        "running": tr("Pictures at once", lo),
        "window_hour": tr("Per hour", lo),
        "window_day": tr("Per day", lo),
        "window_week": tr("Per week", lo),
        "window_month": tr("Per month", lo),
        "window_total": tr("In total", lo),
        "for_server": tr("The whole server", lo),
        "for_members": tr("Each member", lo),
        "for_channels": tr("Each channel", lo),
    }


def word(key: str, allowed: str = "") -> app_commands.locale_str:
    """A text for a command, translated when the commands are registered; `allowed` is a range to stand behind it."""
    return app_commands.locale_str(_with(words("en")[key], allowed), key=key, allowed=allowed)


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
            text = _with(words(locale.value)[key], string.extras.get("allowed", ""))
        else:
            return None
        # One text that is too long would make Discord refuse all commands in all languages.
        return text if len(text) <= TEXT_MAX else text[: TEXT_MAX - 1] + "…"


@cache
def _spoken(locale: str) -> bool:
    language = language_of(locale)
    return language in LANGUAGES and (language != "en" or locale.startswith("en-"))
