"""Labels and hints of Slack's modals and Home tab."""

from core.domain.parameters.spec import translatable
from core.presentation.translations import translated

_FORMS: dict[str, str] = {
    "title": translatable("Upscale an image"),
    "submit": translatable("Upscale"),
    "close": translatable("Close"),
    "save": translatable("Save"),
    "wait": translatable("One moment…"),
    "slow": translatable("Slack did not open the form. Please try again."),
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
