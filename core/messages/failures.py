"""From an error's facts to a notice: what happened, whether it cost anything, what to do.

One sentence per leaf of `core.errors`; a test walks the tree. No class names, no codes, no links.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from babel.numbers import format_decimal

from core import errors as e
from core.messages.budget import limit_reached
from core.messages.catalog import language_of, tr, trn
from core.messages.notice import Notice, Offer
from core.messages.values import factor_text, mb, pixels, size
from core.pricing import usd


@dataclass(frozen=True, slots=True)
class Charge:
    """What the failed job cost. `nanousd` None: fal has not said; `started` False: nothing was ever sent."""

    nanousd: int | None = 0
    started: bool = True


def explain(error: e.UpscaleError, locale: str = "en", *, reference: str = "", charge: Charge | None = None) -> Notice:
    """The notice for `error`. Without `charge`, nothing was charged."""
    make = _SENTENCES.get(type(error))
    if make is None:
        notice = Notice(tr("Something went wrong on our side.", locale), advice=_try_again(locale))
    else:
        notice = make(error, locale)
    charged = notice.charged or charged_sentence(charge or Charge(), locale, quiet=isinstance(error, e.RequestError))
    return Notice(
        what=notice.what,
        charged=charged,
        advice=notice.advice,
        reference=reference or (error.reference if isinstance(error, e.InternalError) else ""),
        opens_at=notice.opens_at,
        offers=notice.offers,
        tone=notice.tone,
    )


def charged_sentence(charge: Charge, locale: str, *, quiet: bool = False) -> str:
    """Whether it cost anything. `quiet`: say nothing where nothing could have been charged."""
    if charge.nanousd is None:
        return tr("fal may still bill this; you pay only what fal bills.", locale)
    if charge.nanousd > 0:
        return tr("You were charged {amount}.", locale, amount=usd(charge.nanousd, locale))
    return "" if quiet else tr("You were not charged.", locale)


def _try_again(locale: str) -> str:
    return tr("Please try again; if it keeps happening, give the reference to whoever runs this bot.", locale)


def parameter_problem(problem: e.ParameterProblem, locale: str) -> str:
    """One wrong parameter in one sentence."""
    facts = {"name": problem.name, "value": problem.value, "allowed": problem.allowed}
    if problem.kind == "unknown":
        known = tr("There is no parameter “{name}”.", locale, **facts)
        hint = problem.suggestion and tr("Did you mean “{name}”?", locale, name=problem.suggestion)
        return f"{known} {hint}" if hint else known
    if problem.kind == "missing_value":
        return tr("“{name}” needs a value: {allowed}.", locale, **facts)
    if problem.kind == "duplicate":
        return tr("“{name}” is given twice with different values.", locale, **facts)
    if problem.kind == "stray":
        return tr("“{value}” is not a parameter. Write for example: factor=3 creativity=0.5", locale, **facts)
    if problem.kind == "type":
        return tr("“{name}” cannot be “{value}”; it must be {allowed}.", locale, **facts)
    return tr("“{name}” is {value}, but must be {allowed}.", locale, **facts)


def _invalid_parameters(error: e.InvalidParameters, locale: str) -> Notice:
    lines = [parameter_problem(problem, locale) for problem in error.problems]
    return Notice("\n".join(lines), advice=tr("Nothing was started.", locale), tone="refusal")


def _no_image(_: e.NoImage, locale: str) -> Notice:
    return Notice(
        tr("There is no image to enlarge.", locale),
        advice=tr("Attach a PNG, JPEG, WebP or GIF, or give a link to one.", locale),
        tone="refusal",
    )


def _unsafe(error: e.UnsafeNotAllowed, locale: str) -> Notice:
    if error.reason == "place":
        return Notice(
            tr("The safety check can only be switched off in an age-restricted channel.", locale),
            tone="refusal",
        )
    return Notice(tr("The safety check cannot be switched off here.", locale), tone="refusal")


def _not_allowed(error: e.NotAllowed, locale: str) -> Notice:
    sentences = {
        "requester": tr("Only the person who asked for this picture can do that.", locale),
        "requester_or_moderator": tr(
            "Only the person who asked for this picture, or a moderator, can do that.", locale
        ),
        "moderator": tr("Only moderators of this place can do that.", locale),
        "operator": tr("Only whoever runs this bot can do that.", locale),
    }
    return Notice(sentences[error.needs], tone="refusal")


def _too_late(error: e.TooLate, locale: str) -> Notice:
    if error.state == "images_deleted":
        return Notice(tr("The images of this job have been deleted.", locale), tone="refusal")
    return Notice(tr("It is too late for that: the job is already over.", locale), tone="refusal")


def _output_too_large(error: e.OutputTooLarge, locale: str) -> Notice:
    what = tr(
        "The result would be {size} ({pixels}); at most {limit} and {side} px a side are allowed.",
        locale,
        size=size(error.width_px, error.height_px),
        pixels=pixels(error.width_px * error.height_px, locale),
        limit=pixels(error.limit_px, locale),
        side=format_decimal(error.limit_side_px, locale=language_of(locale)),
    )
    return Notice(what, offers=_offer(error.largest_factor, locale), tone="refusal")


def _offer(factor: float | None, locale: str) -> tuple[Offer, ...]:
    if factor is None or factor <= 1:
        return ()
    label = tr("Enlarge {factor} instead", locale, factor=factor_text(factor, locale))
    return (Offer("factor", factor, label),)


def _link_refused(error: e.LinkRefused, locale: str) -> Notice:
    reasons = {
        "scheme": tr("Only http and https links can be fetched.", locale),
        "port": tr("Links with an unusual port are not fetched.", locale),
        "credentials": tr("Links that hold a user name or password are not fetched.", locale),
        "private_address": tr("This link leads to a private network and is not fetched.", locale),
        "dns": tr("The host of this link cannot be found.", locale),
        "redirects": tr("This link redirects too often.", locale),
        "syntax": tr("This is not a link that can be read.", locale),
    }
    return Notice(reasons[error.reason], advice=tr("Attach the image itself instead.", locale), tone="refusal")


def _download_failed(error: e.DownloadFailed, locale: str) -> Notice:
    reasons = {
        "status": tr(
            "The image could not be downloaded: its server answered with error {status}.",
            locale,
            status=error.status or "?",
        ),
        "timeout": tr("The image could not be downloaded in time.", locale),
        "connection": tr("The server of the image could not be reached.", locale),
        "truncated": tr("The download of the image broke off.", locale),
        "login_page": tr("Instead of the image there came a login page; the bot may not read this file.", locale),
        "gone": tr("The image is no longer there.", locale),
        "not_ready": tr("The file is still being processed.", locale),
        "not_visible": tr("The bot cannot see this file.", locale),
        "external": tr(
            "This file lies in another service (such as a cloud drive), where the bot cannot read it.", locale
        ),
    }
    return Notice(reasons[error.reason], advice=tr("Try again, or upload the image here directly.", locale))


def _image_rejected(error: e.ImageRejected, locale: str) -> Notice:
    limit = (
        f" ({size(error.limit_width_px, error.limit_height_px)})"
        if error.limit_width_px and error.limit_height_px
        else f" ({mb(error.limit_bytes, locale)})"
        if error.limit_bytes
        else ""
    )
    reasons = {
        "too_small": tr("The model says that the picture is too small.", locale),
        "too_large": tr("The model says that the picture is too large.", locale),
        "unreadable": tr("The model could not read the picture.", locale),
        "format": tr("The model does not take this kind of picture.", locale),
        "download": tr("The model could not fetch the picture.", locale),
        "file_too_large": tr("The model says that the file is too large.", locale),
        "no_media": tr("The model returned no picture.", locale),
    }
    return Notice(reasons[error.reason] + limit, advice=tr("Try another picture or a smaller factor.", locale))


def _halted(error: e.ProviderHalted, locale: str) -> Notice:
    what = (
        tr("The upscaling service is out of credit.", locale)
        if error.kind == "credit"
        else tr("The upscaling service does not accept this bot's key at the moment.", locale)
    )
    return Notice(what, advice=tr("Whoever runs this bot has been told. Please try again later.", locale))


def _submit_unknown(_: e.SubmitUnknown, locale: str) -> Notice:
    return Notice(
        tr(
            "The connection to the upscaling service broke while your picture was handed over, and the job could not be found there.",
            locale,
        ),
        advice=tr(
            "It is not sent again by itself, so that nobody pays twice. Start it again if you still want it.",
            locale,
        ),
    )


def _delivery(error: e.DeliveryRefused, locale: str) -> Notice:
    return Notice(
        tr("The picture is ready, but it could not be delivered here.", locale),
        advice=tr("It is kept; find it in your history.", locale),
        tone="info",
    )


def _plain(sentence: Callable[[str], str], advice: Callable[[str], str] = lambda _: "", tone: Any = "error") -> Any:
    return lambda error, locale: Notice(sentence(locale), advice=advice(locale), tone=tone)


_SENTENCES: dict[type[e.UpscaleError], Callable[[Any, str], Notice]] = {
    e.InvalidParameters: _invalid_parameters,
    e.NoImage: _no_image,
    e.UnsafeNotAllowed: _unsafe,
    e.NotAllowed: _not_allowed,
    e.JobNotFound: _plain(lambda lo: tr("This job is not known here, or no longer.", lo), tone="refusal"),
    e.TooLate: _too_late,
    e.QuoteExpired: _plain(
        lambda lo: tr("The price was not confirmed in time.", lo),
        lambda lo: tr("Ask again to get a new price.", lo),
        "refusal",
    ),
    e.NotAnImage: lambda error, lo: Notice(
        tr("This file is not an image that can be read ({detected}).", lo, detected=error.detected)
        if error.detected
        else tr("This file is not an image that can be read.", lo),
        advice=tr("PNG, JPEG, WebP and GIF work everywhere.", lo),
        tone="refusal",
    ),
    e.UnsupportedFormat: lambda error, lo: Notice(
        tr("{format} files cannot be read here.", lo, format=error.format.upper()),
        advice=tr("PNG, JPEG, WebP and GIF work everywhere.", lo),
        tone="refusal",
    ),
    e.DamagedImage: _plain(
        lambda lo: tr("The image is damaged or incomplete.", lo),
        lambda lo: tr("Upload it again, or save it anew first.", lo),
        "refusal",
    ),
    e.FileTooLarge: lambda error, lo: Notice(
        tr(
            "The file is {actual}; at most {limit} are allowed.",
            lo,
            actual=mb(error.bytes, lo),
            limit=mb(error.limit_bytes, lo),
        )
        if error.bytes is not None
        else tr("The file is larger than the {limit} that are allowed.", lo, limit=mb(error.limit_bytes, lo)),
        tone="refusal",
    ),
    e.TooManyPixels: lambda error, lo: Notice(
        tr(
            "The image is {size} ({pixels}); at most {limit} are allowed.",
            lo,
            size=size(error.width_px, error.height_px),
            pixels=pixels(error.width_px * error.height_px, lo),
            limit=pixels(error.limit_px, lo),
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
    e.ImageTooCostly: _plain(
        lambda lo: tr("Reading this image takes too much time or memory.", lo),
        lambda lo: tr("Save it as a plain PNG or JPEG first.", lo),
        "refusal",
    ),
    e.LinkRefused: _link_refused,
    e.DownloadFailed: _download_failed,
    e.LimitReached: limit_reached,
    e.TooManyWaiting: lambda error, lo: Notice(
        trn(
            "You already have {n} picture waiting, which is the most allowed.",
            "You already have {n} pictures waiting, which is the most allowed.",
            error.limit,
            lo,
        ),
        advice=tr("Try again when one of them is done.", lo),
        tone="refusal",
    ),
    e.Paused: lambda error, lo: Notice(
        tr("New upscales are paused here by a moderator.", lo)
        if error.by == "moderator"
        else tr("New upscales are paused by whoever runs this bot.", lo),
        tone="refusal",
    ),
    e.LedgerUnavailable: _plain(
        lambda lo: tr("The budget could not be checked, so nothing was started.", lo),
        lambda lo: tr("Please try again in a minute.", lo),
    ),
    e.ImageRejected: _image_rejected,
    e.ContentRejected: _plain(lambda lo: tr("The model's safety check refused this picture.", lo)),
    e.InvalidForModel: lambda error, lo: Notice(
        tr("The model did not accept “{name}”.", lo, name=error.parameter),
        advice=tr("Try another value.", lo),
    ),
    e.ModelFailed: _plain(
        lambda lo: tr("The model broke off while working on your picture.", lo),
        lambda lo: tr("Please try again.", lo),
    ),
    e.ProviderHalted: _halted,
    e.ProviderBusy: _plain(
        lambda lo: tr("The upscaling service is too busy right now.", lo),
        lambda lo: tr("Please try again in a few minutes.", lo),
    ),
    e.ProviderUnavailable: _plain(
        lambda lo: tr("The upscaling service cannot be reached.", lo),
        lambda lo: tr("Please try again in a few minutes.", lo),
    ),
    e.SubmitNotSent: _plain(
        lambda lo: tr("The upscaling service cannot be reached.", lo),
        lambda lo: tr("Please try again in a few minutes.", lo),
    ),
    e.SubmitUnknown: _submit_unknown,
    e.RequestLost: _plain(
        lambda lo: tr("The upscaling service lost your job.", lo), lambda lo: tr("Please start it again.", lo)
    ),
    e.ResultExpired: _plain(
        lambda lo: tr("The picture is no longer kept.", lo), lambda lo: tr("Please start it again.", lo)
    ),
    e.DeliveryRefused: _delivery,
    e.DeliveryUnavailable: _delivery,
    e.Draining: _plain(lambda lo: tr("The bot is restarting; try again in a minute.", lo), tone="info"),
    e.InternalError: _plain(lambda lo: tr("Something went wrong on our side.", lo), _try_again),
}
