"""Every sentence that only the page says. `page_texts` goes into the page and to its scripts, in the reader's language.

What is said about a job itself comes from `core.presentation`, so that all platforms say the same.
"""

from __future__ import annotations

from core.presentation import tr
from core.presentation.job_texts import button_label


def page_texts(locale: str) -> dict[str, str]:
    """All of them by short name. `{names}` are filled in by the page."""
    return {
        **_frame(locale),
        **_composer(locale),
        **_controls(locale),
        **_job(locale),
        **_viewer(locale),
        **_batch(locale),
        **_details(locale),
        **_panels(locale),
        **_help(locale),
    }


def login_texts(locale: str) -> dict[str, str]:
    """The sign-in page's."""
    return {
        "login_title": tr("Sign in", locale),
        "login_lead": tr("This page is protected. Enter the token that whoever runs it has set (WEB_TOKEN).", locale),
        "login_token": tr("Token", locale),
        "login_button": tr("Sign in", locale),
        "login_wrong": tr("This token is not right.", locale),
        "login_wait": tr("Too many wrong tokens. Wait a minute and try again.", locale),
    }


def share_texts(locale: str) -> dict[str, str]:
    """The page's of a shared result."""
    own = {"share_gone": tr("This picture is no longer shown: its link has ended, or it was deleted.", locale)}
    return {"title": tr("Upscale", locale), **_viewer(locale), **own, "b_download": tr("Download", locale)}


def _frame(locale: str) -> dict[str, str]:
    return {
        "title": tr("Upscale", locale),
        "o_title": tr("Operations", locale),
        "skip": tr("Skip to the input", locale),
        "thread": tr("Conversation", locale),
        "play_money": tr("Play money", locale),
        "play_money_hint": tr(
            "This is the sandbox: pictures really get larger, but no AI runs and nothing is paid. "
            "Set FAL_KEY for the real model.",
            locale,
        ),
        "hero_title": tr("Make a picture larger.", locale),
        "hero_lead": tr(
            "Drop one anywhere, paste it, or choose a file. You see the price before anything starts.", locale
        ),
        "hero_choose": tr("Choose pictures", locale),
        "hero_formats": tr("PNG, JPEG, WebP, GIF and more, up to {size}", locale),
        "hero_type": tr("or type a command", locale),
        "example_fast": tr("Three times larger, more invented detail", locale),
        "example_usage": tr("What was spent", locale),
        "example_help": tr("Everything it can do", locale),
        "drop_here": tr("Drop to add", locale),
        "offline": tr("Connection lost. Trying again …", locale),
        "failed_request": tr("The bot did not answer. Is it still running?", locale),
        "sign_out": tr("Sign out", locale),
        "theme": tr("Switch between light and dark", locale),
    }


def _composer(locale: str) -> dict[str, str]:
    return {
        "composer": tr("New upscale", locale),
        "line": tr("Parameters or a command", locale),
        "line_placeholder": tr("/upscale 3x, or /help", locale),
        "attach": tr("Add pictures", locale),
        "adjust": tr("Settings of this upscale", locale),
        "send": tr("Upscale", locale),
        "send_price": tr("Upscale · {price}", locale),
        "send_command": tr("Send", locale),
        "remove_file": tr("Remove {name}", locale),
        "quote_unknown": tr("The price is told once the picture has been read.", locale),
        "quote_total": tr("{n} pictures, {megapixels} MP, {price} in all.", locale),
        "quote_play": tr("play money", locale),
        "quote_asks": tr("You will be asked before it starts.", locale),
        "no_picture": tr("Add a picture first: drop, paste or choose one, or put a link into the line.", locale),
        "pasted": tr("Pasted picture", locale),
        "added": tr("{name} added.", locale),
        "too_many": tr("{name} is left out: at most {n} pictures at once.", locale),
        "wrong_kind": tr("{name} is left out: it is not a picture.", locale),
        "too_many_pixels": tr("{name} is left out: it has {n} MP, and at most {limit} MP are read.", locale),
        "too_small": tr("{name} is left out: each side needs at least {n} px.", locale),
        "out_too_large": tr(
            "This would become {size}. At most {limit} MP and {side} px a side can be made: choose a smaller factor.",
            locale,
        ),
        "dismiss": tr("Dismiss: {text}", locale),
        "too_big": tr("{name} is larger than the {size} that are allowed.", locale),
        "unknown_command": tr("There is no command {name}. /help lists all.", locale),
    }


def _controls(locale: str) -> dict[str, str]:
    return {
        "preset": tr("Preset", locale),
        "preset_faithful": tr("Faithful", locale),
        "preset_balanced": tr("Balanced", locale),
        "preset_creative": tr("Creative", locale),
        "seed_random": tr("random", locale),
        "safety_fixed": tr("Always on here", locale),
        "reset": tr("Reset", locale),
        "save_defaults": tr("Save as my defaults", locale),
        "saved_defaults": tr("Saved. These values are used from now on.", locale),
    }


def _job(locale: str) -> dict[str, str]:
    return {
        "b_cancel": button_label("cancel", locale),
        "b_again": button_label("again", locale),
        "b_compare": button_label("compare", locale),
        "b_details": button_label("details", locale),
        "b_delete": button_label("delete", locale),
        "b_download": tr("Download", locale),
        "b_more": tr("More", locale),
        "uploading": tr("Uploading", locale),
        "starting": tr("Starting", locale),
        "step_read": tr("Read", locale),
        "step_wait": tr("Wait", locale),
        "step_upscale": tr("Upscale", locale),
        "step_deliver": tr("Deliver", locale),
        "progress": tr("Progress", locale),
        "eta_s": tr("about {n} s left", locale),
        "eta_min": tr("about {m} min {s} s left", locale),
        "eta_soon": tr("done in a moment", locale),
        "elapsed": tr("{n} s so far", locale),
        "expires": tr("This price is held for {time}.", locale),
        "cancelled": tr("Cancelled.", locale),
        "done": tr("Done: {size}", locale),
        "deleted": tr("The pictures of this job have been deleted. The receipt stays.", locale),
        "gone": tr("The image is no longer kept.", locale),
        "delete_title": tr("Delete this picture?", locale),
        "delete_lead": tr(
            "The picture before and the result are removed for good, also at the model's provider.", locale
        ),
        "delete_yes": tr("Delete for good", locale),
        "keep": tr("Keep it", locale),
    }


def _viewer(locale: str) -> dict[str, str]:
    return {
        "viewer": tr("Picture viewer", locale),
        "viewer_keys": tr(
            "Keys: + and − zoom, 0 fits, 1 shows 100 %, arrows move, Z zooms in and out, "
            "D puts both side by side, F fills the screen.",
            locale,
        ),
        "before": tr("Before", locale),
        "after": tr("After", locale),
        "slider": tr("Show more of the picture before or after", locale),
        "slider_value": tr("After: {n}%", locale),
        "zoom": tr("Zoom", locale),
        "zoom_in": tr("Zoom in", locale),
        "zoom_out": tr("Zoom out", locale),
        "zoom_fit": tr("Fit", locale),
        "view_side": tr("Before and after side by side", locale),
        "view_full": tr("Full screen", locale),
    }


def _batch(locale: str) -> dict[str, str]:
    return {
        "n_pictures": tr("{n} pictures", locale),
        "batch_done": tr("{done} of {n} done", locale),
        "batch_failed": tr("{n} failed", locale),
        "batch_price": tr("{charged} of {total}", locale),
        "batch_zip": tr("Download {n} as ZIP", locale),
        "batch_start": tr("Start {n} · {price}", locale),
        "retry_failed": tr("Retry failed", locale),
        "cancel_all": tr("Cancel all", locale),
        "select": tr("Select {name}", locale),
        "save_as": tr("Save as …", locale),
        "save": tr("Save", locale),
        "format": tr("Format", locale),
        "quality": tr("Quality", locale),
        "share": tr("Share", locale),
        "share_lead": tr("Whoever has this link sees the picture until it is deleted.", locale),
        "copy_image": tr("Copy image", locale),
        "copy_failed": tr("This browser did not let the picture be copied.", locale),
    }


def _details(locale: str) -> dict[str, str]:
    return {
        "compare_title": tr("The most detailed part at 100 %, before and after", locale),
        "reference": tr("Reference", locale),
        "d_size": tr("Size", locale),
        "d_file": tr("File", locale),
        "d_time": tr("Model time", locale),
        "d_charged": tr("Charged", locale),
        "d_estimate": tr("Estimate", locale),
        "d_created": tr("Asked for", locale),
        "d_line": tr("To repeat it", locale),
        "copy": tr("Copy", locale),
        "copied": tr("Copied.", locale),
        "on": tr("on", locale),
        "off": tr("off", locale),
        "opens_in": tr("Opens again in {time}.", locale),
        "you": tr("You", locale),
    }


def _panels(locale: str) -> dict[str, str]:
    return {
        "usage_title": tr("Usage", locale),
        "usage_month": tr("Another month", locale),
        "usage_chart": tr("What was spent per day", locale),
        "megapixels": tr("Megapixels", locale),
        "usage_span": tr("{first} to {last}, {timezone}", locale),
        "usage_csv": tr("As a table (CSV)", locale),
        "p_day": tr("Today", locale),
        "p_week": tr("Week", locale),
        "p_month": tr("Month", locale),
        "p_year": tr("Year", locale),
        "day": tr("Day", locale),
        "charged": tr("Charged", locale),
        "jobs": tr("Jobs", locale),
        "quota_title": tr("Budget", locale),
        "quota_none": tr("No limit is set.", locale),
        "quota_of": tr("{used} of {amount} used", locale),
        "quota_changed": tr("Changed.", locale),
        "quota_clear": tr("Remove this limit", locale),
        "quota_how": tr("Change it with, for example:", locale),
        "quota_paused": tr("New upscales are paused. /quota resume lets them in again.", locale),
        "quota_resumed": tr("New upscales are let in again.", locale),
    }


def _help(locale: str) -> dict[str, str]:
    return {
        "history_title": tr("History", locale),
        "history_none": tr("Nothing yet.", locale),
        "history_find": tr("Find by name", locale),
        "show": tr("Show", locale),
        "help_title": tr("What you can type", locale),
        "help_upscale": tr("Enlarge the added pictures, or a link", locale),
        "help_usage": tr("What was spent, as a chart and in numbers", locale),
        "help_quota": tr("What is left; set, clear, pause, resume", locale),
        "help_history": tr("The last pictures", locale),
        "help_settings": tr("Your saved defaults", locale),
        "help_privacy": tr("What is stored; export or delete it", locale),
        "help_keys": tr("Keys: / jumps to the input, arrow keys move the slider, Esc closes.", locale),
        "settings_title": tr("Your defaults", locale),
        "settings_none": tr("Nothing saved: the model's own defaults count.", locale),
        "settings_how": tr("Save others with, for example:", locale),
        "settings_clear": tr("Forget them", locale),
        "privacy_title": tr("Privacy", locale),
        "privacy_lead": tr(
            "Pictures are kept for a few days and then deleted. Location and camera data never leave this machine. "
            "With the real model, the picture is sent to fal.",
            locale,
        ),
        "privacy_export": tr("Export everything", locale),
        "privacy_delete": tr("Delete everything", locale),
        "privacy_sure": tr("Delete all your pictures and jobs? Amounts paid stay, without your name.", locale),
        "privacy_deleted": tr("Deleted: {n} jobs.", locale),
    }
