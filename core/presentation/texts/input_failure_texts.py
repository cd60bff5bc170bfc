"""Why an image, or the link to it, cannot be used: one explainer per leaf of `InputError`."""

from babel.numbers import format_decimal

from core.domain import errors as e
from core.domain.parameters.sizes import as_typed
from core.domain.parameters.spec import translatable
from core.presentation.card import Action
from core.presentation.formats import file_size, pixel_count, size
from core.presentation.notices import Explainer, Notice, fixed_notice, other_factor
from core.presentation.texts.parameter_texts import model_name
from core.presentation.translations import language_of, tr, trn


def _output_too_large(error: e.OutputTooLarge, locale: str) -> Notice:
    what = tr(
        "The result would be {size} ({pixels}); at most {limit} and {side} px a side are allowed.",
        locale,
        size=size(error.width_px, error.height_px),
        pixels=pixel_count(error.width_px * error.height_px, locale),
        limit=pixel_count(error.limit_px, locale),
        side=format_decimal(error.limit_side_px, locale=language_of(locale)),
    )
    return Notice(what, offers=other_factor(error.largest_factor, locale), tone="refusal")


def _target_unreachable(error: e.TargetUnreachable, locale: str) -> Notice:
    target = error.target if error.reason == "amount" else as_typed(error.target)
    facts = {"size": size(error.width_px, error.height_px), "target": target, "model": error.model}
    if error.reason == "already_larger":
        what = tr("The image is already {size}, at least as large as {target}.", locale, **facts)
    elif error.reason == "beyond_model":
        what = tr("{target} is more than {model} can make of an image of {size}.", locale, **facts)
    else:
        what = tr("{target} is not enough for this image ({size}) with {model}.", locale, **facts)
    offers = other_factor(error.largest_factor, locale)
    if error.other_model:
        name = model_name(error.other_model, locale)
        label = tr("Use {model} instead", locale, model=name)
        offers += (Action("model", label, argument=error.other_model, style="primary"),)
    return Notice(what, offers=offers, tone="refusal")


def _link_refused(error: e.LinkRefused, locale: str) -> Notice:
    reasons = {
        "scheme": tr("Only http and https links can be fetched.", locale),
        "port": tr("I can't open links with a port.", locale),
        "credentials": tr("I can't open links with a user name or password.", locale),
        "private_address": tr("I can't open links to private networks.", locale),
        "dns": tr("That website doesn't exist or can't be reached.", locale),
        "redirects": tr("This link redirects too often.", locale),
        "syntax": tr("This is not a link that can be read.", locale),
        "message": tr("This is a link to a message, not to an image.", locale),
    }
    advice = tr("Attach the image itself instead.", locale)
    if error.reason == "message":
        advice = tr("Use the bot from that message's menu, or attach the image itself.", locale)
    return Notice(reasons[error.reason], advice=advice, tone="refusal")


def _download_failed(error: e.DownloadFailed, locale: str) -> Notice:
    reasons = {
        "status": tr(
            "The image could not be downloaded: its server answered with error {status}.",
            locale,
            status=error.status or "?",
        ),
        "timeout": tr("The image could not be downloaded in time.", locale),
        "connection": tr("The server of the image could not be reached, or gave no proper answer.", locale),
        "truncated": tr("The download of the image was cut short.", locale),
        "login_page": tr("A web page came instead of the image.", locale),
        "gone": tr("The image is no longer there.", locale),
        "not_ready": tr("The file is still being processed.", locale),
        "not_visible": tr("The bot cannot see this file.", locale),
        "hidden": tr("The chat hides this file because of the workspace's plan.", locale),
        "external": tr(
            "This file lies in another service (such as a cloud drive), where the bot cannot read it.", locale
        ),
    }
    for_good = error.reason in ("login_page", "gone", "not_visible", "hidden", "external")
    again = tr("Try again, or upload the image here directly.", locale)
    return Notice(reasons[error.reason], advice=tr("Attach the image itself instead.", locale) if for_good else again)


def _format_name(name: str) -> str:
    """`tiff (Lab)` → `TIFF (Lab)`."""
    first, space, detail = name.partition(" ")
    return first.upper() + space + detail


def _kind(detected: str, locale: str) -> str:
    """What a file is instead of an image: in words if it has a known kind, else its name or format."""
    kinds = {
        "html": tr("a web page", locale),
        "text": tr("a text file", locale),
        "video": tr("a video", locale),
        "audio": tr("an audio file", locale),
        "program": tr("a program", locale),
        "archive": tr("an archive", locale),
        "document": tr("a document", locale),
    }
    return kinds.get(detected, detected.upper() if detected in ("pdf", "zip", "gzip", "rar") else detected)


INPUT: dict[type[e.UpscaleError], Explainer] = {
    e.NotAnImage: lambda error, lo: Notice(
        tr("This file is empty.", lo)
        if error.detected == "empty"
        else trn(
            "This file is not an image that can be read ({detected}).",
            "These files are not images that can be read ({detected}).",
            error.files,
            lo,
            detected=_kind(error.detected, lo),
        )
        if error.detected
        else tr("This file is not an image that can be read.", lo),
        advice=tr("PNG, JPEG, WebP and GIF work everywhere.", lo),
        tone="refusal",
    ),
    e.UnsupportedFormat: lambda error, lo: (
        Notice(
            tr("An SVG is a drawing without pixels: it can be made larger without a model.", lo),
            advice=tr("Export it as a PNG in the size that you need.", lo),
            tone="refusal",
        )
        if error.format == "svg"
        else Notice(
            tr("{format} files cannot be read here.", lo, format=_format_name(error.format)),
            advice=tr("PNG, JPEG, WebP and GIF work everywhere.", lo),
            tone="refusal",
        )
    ),
    e.DamagedImage: fixed_notice(
        translatable("The image is damaged or incomplete."),
        translatable("Re-save the file and upload it again."),
        "refusal",
    ),
    e.FileTooLarge: lambda error, lo: Notice(
        tr(
            "The file is {actual}; at most {limit} are allowed.",
            lo,
            actual=file_size(error.bytes, lo),
            limit=file_size(error.limit_bytes, lo),
        )
        if error.bytes is not None
        else tr("The file is larger than the {limit} that are allowed.", lo, limit=file_size(error.limit_bytes, lo)),
        tone="refusal",
    ),
    e.TooManyPixels: lambda error, lo: Notice(
        tr(
            "The image is {size} ({pixels}); at most {limit} are allowed.",
            lo,
            size=size(error.width_px, error.height_px),
            pixels=pixel_count(error.width_px * error.height_px, lo),
            limit=pixel_count(error.limit_px, lo),
        ),
        tone="refusal",
    ),
    e.ImageTooSmall: lambda error, lo: Notice(
        tr(
            "The image is {size}; each side must have at least {side} px.",
            lo,
            size=size(error.width_px, error.height_px),
            side=error.min_side_px,
        ),
        tone="refusal",
    ),
    e.OutputTooLarge: _output_too_large,
    e.TargetUnreachable: _target_unreachable,
    e.ImageTooCostly: fixed_notice(
        translatable("Reading this image takes too much time or memory."),
        translatable("Save it as a plain PNG or JPEG first."),
        "refusal",
    ),
    e.FlatImage: fixed_notice(
        translatable("This image would reach the model as one flat colour, so it was not sent."),
        translatable("Save it as a plain PNG or JPEG first."),
        "refusal",
    ),
    e.LinkRefused: _link_refused,
    e.DownloadFailed: _download_failed,
}
