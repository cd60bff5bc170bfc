"""The words of commands, forms and the page, in a few words each; what is told about a job comes with its card."""

from collections.abc import Mapping

from core.domain.parameters.spec import PRESETS, SPECS, translatable
from core.presentation.parameter_texts import parameter_hint, preset_meaning, values_text
from core.presentation.translations import labelled, translated

_COMMANDS: dict[str, str] = {
    "upscale": translatable("Upscale an image"),
    "form": translatable("Open a form with a file field and every parameter"),
    "image": translatable("The image: PNG, JPEG, WebP, GIF …"),
    "image_more": translatable("A further image, upscaled with the same values"),
    "url": translatable("A link to an image, instead of a file"),
    "preset": translatable("A set of values; what you give beside it wins"),
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
    "settings": translatable("Your own default values and presets"),
    "settings_show": translatable("Show your default values"),
    "settings_set": translatable("Set your default values; what you leave out goes back to the model's own"),
    "settings_clear": translatable("Forget your default values"),
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
    "quota_set_window": translatable("Over which time"),
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
KEYS: tuple[str, ...] = (*_COMMANDS, *SPECS, *(f"preset_{name}" for name in PRESETS))


def preset_choice(name: str, values: Mapping[str, object], locale: str) -> str:
    """A preset in a list: what everybody's means, what a member's own sets."""
    return command_text(f"preset_{name}", locale) if name in PRESETS else labelled(name, values_text(values), locale)


def command_text(key: str, locale: str) -> str:
    """The text of a command, an option or a choice; of a parameter its hint. At most 100 characters."""
    if key in SPECS:
        return parameter_hint(key, locale)
    name = key.removeprefix("preset_")
    if name in PRESETS:
        return labelled(name, preset_meaning(name, locale), locale)
    return translated(_COMMANDS[key], locale)


_FORMS: dict[str, str] = {
    "title": translatable("Upscale an image"),
    "submit": translatable("Upscale"),
    "close": translatable("Close"),
    "save": translatable("Save"),
    "wait": translatable("One moment…"),
    "slow": translatable("Slack took too long to open the form. Please try again."),
    "image": translatable("Image"),
    "image_hint": translatable(
        "Up to {n} images of 10 MB each. Larger ones: send them to me in a direct message, or mention me with them."
    ),
    "link": translatable("Or a link to one"),
    "pick": translatable("Which images?"),
    "total": translatable("All {n} with your defaults: about {price}."),
    "options": translatable("Options"),
    "private": translatable("Send the result only to me, as a direct message"),
    "unsafe": translatable("Switch the safety check off"),
    "details": translatable("Details"),
    "defaults": translatable("Your defaults"),
    "defaults_line": translatable("Parameters"),
    "defaults_hint": translatable("Leave it empty to go back to the model's own values."),
    "home": translatable("Choose an image here, send me one, or mention me with one in a channel."),
    "help": translatable("Help"),
    "change_defaults": translatable("Change defaults"),
}


def form_text(key: str, locale: str, **facts: object) -> str:
    text = translated(_FORMS[key], locale)
    return text.format(**facts) if facts else text


LABELS: dict[str, str] = {
    "title": translatable("Upscale"),
    "skip": translatable("Skip to the input"),
    "thread": translatable("Conversation"),
    "play_money": translatable("Play money"),
    "play_money_hint": translatable(
        "Nothing is paid here: images are upscaled on this machine, and prices are play money. "
        "Set FAL_KEY for the real model."
    ),
    "hero_title": translatable("Make an image larger."),
    "hero_lead": translatable(
        "Drop one anywhere, paste it, or choose a file. You see the price before anything starts."
    ),
    "hero_choose": translatable("Choose images"),
    "hero_formats": translatable("PNG, JPEG, WebP, GIF and more, up to {size}"),
    "drop_here": translatable("Drop to add"),
    "offline": translatable("Connection lost. Trying again …"),
    "failed_request": translatable("The bot did not answer. Is it still running?"),
    "sign_out": translatable("Sign out"),
    "theme": translatable("Switch between light and dark"),
    "menu": translatable("Menu"),
    "history": translatable("History"),
    "usage": translatable("Usage"),
    "limits": translatable("Limits"),
    "help": translatable("Help"),
    "login": translatable("Sign in"),
    "login_lead": translatable("Enter the token that the bot's owner has set (WEB_TOKEN)."),
    "login_token": translatable("Token"),
    "login_wrong": translatable("This token is not right."),
    "login_wait": translatable("Too many wrong tokens. Wait a minute and try again."),
    "composer": translatable("New upscale"),
    "line": translatable("Parameters or a command"),
    "line_placeholder": translatable("Drop an image, paste a link, or type 3x"),
    "attach": translatable("Add images"),
    "adjust": translatable("Parameters"),
    "send_price": translatable("Upscale · {price}"),
    "send_command": translatable("Send"),
    "remove_file": translatable("Remove {name}"),
    "quote_unknown": translatable("The price is shown once the image has been read."),
    "quote_asks": translatable("You will be asked before it starts."),
    "no_image": translatable("Add an image first: drop, paste or choose one, or put a link into the line."),
    "megapixels": translatable("{n} MP"),
    "times": translatable("{n}×"),
    "pasted": translatable("Pasted image"),
    "added": translatable("{name} added."),
    "too_many": translatable("{name} is left out: at most {n} images at once."),
    "wrong_kind": translatable("{name} is left out: it is not an image."),
    "too_many_pixels": translatable("{name} is left out: it has {n} MP, and at most {limit} MP are read."),
    "too_small": translatable("{name} is left out: each side needs at least {n} px."),
    "too_big": translatable("{name} is left out: it is larger than {size}."),
    "out_too_large": translatable(
        "This would become {size}. At most {limit} MP and {side} px a side can be made: choose a smaller factor."
    ),
    "dismiss": translatable("Dismiss: {text}"),
    "unknown_command": translatable("There is no command {name}. /help lists all."),
    "preset": translatable("Preset"),
    "seed_random": translatable("random"),
    "safety_fixed": translatable("Always on here"),
    "reset": translatable("Reset"),
    "save_defaults": translatable("Save as my defaults"),
    "saved_defaults": translatable("Saved. These values are used from now on."),
    "uploading": translatable("Uploading"),
    "reading": translatable("Reading the image"),
    "progress": translatable("Progress"),
    "cancel": translatable("Cancel"),
    "cancelled": translatable("Cancelled"),
    "try_again": translatable("Try again"),
    "download": translatable("Download"),
    "more": translatable("More"),
    "gone": translatable("The image is no longer kept."),
    "viewer": translatable("Image viewer"),
    "viewer_keys": translatable(
        "Keys: + and − zoom, 0 fits, 1 shows 100%, arrows move, Z zooms in and out, "
        "D puts both side by side, F fills the screen."
    ),
    "before": translatable("Before"),
    "after": translatable("After"),
    "slider": translatable("Show more of the image before or after"),
    "slider_value": translatable("After: {n}%"),
    "zoom": translatable("Zoom"),
    "zoom_in": translatable("Zoom in"),
    "zoom_out": translatable("Zoom out"),
    "zoom_fit": translatable("Fit"),
    "view_side": translatable("Before and after side by side"),
    "view_full": translatable("Full screen"),
    "n_images": translatable("{n} images"),
    "batch_done": translatable("{done} of {n} done"),
    "batch_failed": translatable("{n} failed"),
    "batch_price": translatable("{charged} of {total}"),
    "batch_zip": translatable("Download {n} as ZIP"),
    "batch_start": translatable("Start {n} · {price}"),
    "retry_failed": translatable("Retry failed"),
    "cancel_all": translatable("Cancel all"),
    "select": translatable("Select {name}"),
    "save_as": translatable("Save as …"),
    "save": translatable("Save"),
    "format": translatable("Format"),
    "quality": translatable("Quality"),
    "share": translatable("Share"),
    "share_lead": translatable("Anyone with this link sees the image until it is deleted."),
    "share_gone": translatable("This image is no longer shown: its link has ended, or it was deleted."),
    "copy_image": translatable("Copy image"),
    "copy_failed": translatable("This browser did not let the image be copied."),
    "copy": translatable("Copy"),
    "copied": translatable("Copied."),
    "you": translatable("You"),
    "usage_month": translatable("Another month"),
    "usage_csv": translatable("As a table (CSV)"),
    "today": translatable("Today"),
    "week": translatable("This week"),
    "month": translatable("This month"),
    "year": translatable("This year"),
    "day": translatable("Day"),
    "charged": translatable("Charged"),
    "images": translatable("Images"),
    "limit_clear": translatable("Remove this limit"),
    "find": translatable("Find by name"),
    "show": translatable("Show"),
    "o_title": translatable("Operations"),
    "o_places": translatable("Places"),
    "o_open": translatable("Running and waiting"),
    "o_members": translatable("Top members this month"),
    "o_recent": translatable("Recently ended"),
    "o_today": translatable("Spent today"),
    "o_month": translatable("Spent this month"),
    "o_under_way": translatable("Under way"),
    "o_running": translatable("{n} running"),
    "o_health": translatable("Health"),
    "o_ill": translatable("Needs attention"),
    "o_nothing": translatable("Nothing runs or waits."),
    "o_none": translatable("Nothing yet."),
    "o_who": translatable("Who"),
    "o_image": translatable("Image"),
    "o_price": translatable("Price"),
    "o_state": translatable("State"),
    "o_why": translatable("Why"),
    "o_when": translatable("Requested"),
    "o_admit": translatable("Let in"),
    "o_refuse": translatable("Refuse"),
    "o_revoke": translatable("Forget the answer"),
    "o_decided": translatable("Changed."),
    "o_pause": translatable("Pause new upscales"),
    "o_pause_lead": translatable("Nobody can start a new upscale until you resume. What is running goes on."),
    "o_resume": translatable("Resume"),
}


def page_labels(locale: str) -> dict[str, str]:
    """All of them by short name; the page itself fills in `{names}`."""
    return {key: translated(text, locale) for key, text in LABELS.items()}
