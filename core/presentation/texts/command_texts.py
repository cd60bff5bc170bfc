"""Descriptions of commands, options and choices. At most 100 characters each (Discord's limit)."""

from collections.abc import Mapping

from core.domain.parameters.spec import PRESETS, SPECS, translatable
from core.presentation.formats import labelled
from core.presentation.texts.parameter_texts import parameter_hint, preset_meaning, values_text
from core.presentation.translations import translated

_COMMANDS: dict[str, str] = {
    "upscale": translatable("Upscale an image"),
    "form": translatable("Open a form with a file field and every parameter"),
    "image": translatable("The image: PNG, JPEG, WebP, GIF …"),
    "image_more": translatable("A further image, upscaled with the same values"),
    "url": translatable("A link to an image, instead of a file"),
    "preset": translatable("A set of values; values you set yourself override it"),
    "private": translatable("Only you will see the answer"),
    "menu_upscale": translatable("Upscale"),
    "menu_options": translatable("Upscale with options"),
    "usage": translatable("What was spent, on what, and what is left"),
    "usage_period": translatable("Which period; this month if you choose none"),
    "usage_member": translatable("Whose usage (moderators only)"),
    "day": translatable("Today"),
    "week": translatable("This week"),
    "month": translatable("This month"),
    "year": translatable("This year"),
    "history": translatable("Your last images, as long as they are kept"),
    "history_count": translatable("How many images; 10 if you choose none"),
    "settings": translatable("Your own default values and presets"),
    "settings_show": translatable("Show your default values"),
    "settings_set": translatable("Set your default values; what you leave out goes back to the model's own"),
    "settings_clear": translatable("Clear your default values"),
    "settings_save": translatable("Save values under a name of your own, as a preset"),
    "settings_save_name": translatable("What you will call it: one word, such as logo"),
    "settings_delete": translatable("Delete a preset of your own"),
    "settings_delete_name": translatable("Which preset"),
    "privacy": translatable("What is stored about you; export or delete it"),
    "privacy_export": translatable("Get everything that is stored about you"),
    "privacy_delete": translatable("Delete everything that is stored about you"),
    "help": translatable("How this bot works and what it costs"),
    "quota": translatable("Limits of this server (moderators)"),
    "quota_show": translatable("Show the limits that apply here and what is used"),
    "quota_set": translatable("Set a limit"),
    "quota_clear": translatable("Remove a limit"),
    "quota_pause": translatable("Stop or resume new upscales in this server"),
    "quota_pause_here": translatable("Stop or resume new upscales here"),
    "quota_alerts": translatable("Choose the channel for budget alerts"),
    "quota_sponsor": translatable("Pay for a channel's images from a budget of its own"),
    "quota_sponsor_channel": translatable("The channel that is paid for"),
    "quota_sponsor_amount": translatable("How many dollars at most; 0 ends it"),
    "quota_sponsor_days": translatable("For how many days; 7 if you choose none"),
    "quota_add": translatable("Give a member more for a while"),
    "quota_add_member": translatable("Who gets more"),
    "quota_add_amount": translatable("How many dollars more"),
    "quota_add_window": translatable("Until the end of which period; today if you choose none"),
    "quota_history": translatable("Who changed which limit, and when"),
    "quota_presets": translatable("Default values for everybody here, or in one channel"),
    "quota_presets_parameters": translatable("Values as typed; off for the model's own, nothing to see them"),
    "quota_presets_channel": translatable("Only in this channel; in the whole server if you choose none"),
    "quota_set_measure": translatable("What is counted"),
    "quota_set_amount": translatable("How much is allowed; dollars, megapixels or images"),
    "quota_set_window": translatable("In which period"),
    "quota_set_scope": translatable("For whom; the whole server if you choose nothing"),
    "quota_set_member": translatable("Only for this member"),
    "quota_set_role": translatable("Only for this role"),
    "quota_set_channel": translatable("Only for this channel"),
    "quota_set_model": translatable("Only with this model"),
    "quota_clear_limit": translatable("Which limit"),
    "queue": translatable("What runs and waits in this server; cancel one (moderators)"),
    "queue_here": translatable("What runs and waits; cancel one"),
    "quota_pause_paused": translatable("On stops new upscales, off resumes them"),
    "quota_alerts_channel": translatable("The channel; leave it out to switch alerts off"),
    "usd": translatable("US dollars"),
    "megapixels": translatable("Megapixels"),
    "jobs": translatable("Images"),
    "running": translatable("Images at once"),
    "window_hour": translatable("Per hour"),
    "window_day": translatable("Per day"),
    "window_week": translatable("Per week"),
    "window_month": translatable("Per month"),
    "window_total": translatable("In total"),
    "for_server": translatable("The whole server"),
    "for_members": translatable("Each member"),
    "for_channels": translatable("Each channel"),
}


def preset_choice(name: str, values: Mapping[str, object], locale: str) -> str:
    """A preset's label in a list: the meaning of a built-in one, the values of a member's own."""
    return command_text(f"preset_{name}", locale) if name in PRESETS else labelled(name, values_text(values), locale)


def command_text(key: str, locale: str) -> str:
    """The description of a command, option or choice; a parameter's hint. At most 100 characters."""
    if key in SPECS:
        return parameter_hint(key, locale)
    name = key.removeprefix("preset_")
    if name in PRESETS:
        return labelled(name, preset_meaning(name, locale), locale)
    return translated(_COMMANDS[key], locale)
