"""What went wrong at the model, at fal, or on the way back: one explainer per leaf."""

from __future__ import annotations

from core.domain import errors as e
from core.domain.parameters.spec import translatable
from core.presentation.formats import mb, size
from core.presentation.notices import Explainer, Notice, plain
from core.presentation.translations import tr


def _with_aside(sentence: str, aside: str) -> str:
    """The sentence with these words in brackets before its full stop."""
    return f"{sentence[:-1]} ({aside}){sentence[-1]}" if aside else sentence


def _image_rejected(error: e.ImageRejected, locale: str) -> Notice:
    sign = "≥" if error.reason == "too_small" else "≤"  # the model's limit, not the picture's own size
    limit = (
        f"{sign} {size(error.limit_width_px, error.limit_height_px)}"
        if error.limit_width_px and error.limit_height_px
        else f"≤ {mb(error.limit_bytes, locale)}"
        if error.limit_bytes
        else ""
    )
    reasons = {
        "too_small": tr("The model says that the image is too small.", locale),
        "too_large": tr("The model says that the image is too large.", locale),
        "unreadable": tr("The model could not read the image.", locale),
        "format": tr("The model does not take this kind of image.", locale),
        "download": tr("The model could not fetch the image.", locale),
        "file_too_large": tr("The model says that the file is too large.", locale),
        "no_media": tr("The model returned no image.", locale),
    }
    advice = tr("Try another image or a smaller factor.", locale)
    return Notice(_with_aside(reasons[error.reason], limit), advice=advice)


_NO_PICTURE = frozenset({"no_image_in_result", "unreadable_result", "flat_result", "placeholder_result"})


def _model_failed(error: e.ModelFailed, locale: str) -> Notice:
    what = (
        tr("The model returned no image.", locale)
        if error.kind in _NO_PICTURE
        else tr("The model stopped before it finished.", locale)
    )
    return Notice(what, advice=tr("Please try again.", locale))


def _halted(error: e.ProviderHalted, locale: str) -> Notice:
    what = (
        tr("The upscaling service is out of credit.", locale)
        if error.kind == "credit"
        else tr("The upscaling service does not accept this bot's key at the moment.", locale)
    )
    return Notice(what, advice=tr("The bot's owner has been notified. Please try again later.", locale))


def _submit_unknown(_: e.SubmitUnknown, locale: str) -> Notice:
    return Notice(
        tr(
            "The connection to the upscaling service broke while your image was sent, and it could not be found there.",
            locale,
        ),
        advice=tr(
            "It is not sent again by itself, so that nobody pays twice. Start it again if you still want it.",
            locale,
        ),
    )


def _delivery(error: e.DeliveryRefused, locale: str) -> Notice:
    return Notice(
        tr("The image is ready, but it could not be delivered here.", locale),
        advice=tr("It is kept; find it in your history.", locale),
        tone="info",
    )


_UNREACHABLE = plain(
    translatable("The upscaling service cannot be reached."), translatable("Please try again in a few minutes.")
)
PROVIDER: dict[type[e.UpscaleError], Explainer] = {
    e.ImageRejected: _image_rejected,
    e.ContentRejected: plain(translatable("The model's safety check refused this image.")),
    e.InvalidForModel: lambda error, lo: Notice(
        _with_aside(tr("The model did not accept “{name}”.", lo, name=error.parameter), error.rule),
        advice=tr("Try another value.", lo),
    ),
    e.ModelFailed: _model_failed,
    e.ModelNotOffered: plain(
        translatable("The upscaling service does not offer this model."),
        translatable("The bot's owner has to look at it; another model may work."),
    ),
    e.ProviderHalted: _halted,
    e.ProviderBusy: plain(
        translatable("The upscaling service is too busy right now."), translatable("Please try again in a few minutes.")
    ),
    e.ProviderUnavailable: _UNREACHABLE,
    e.SubmitNotSent: _UNREACHABLE,
    e.SubmitUnknown: _submit_unknown,
    e.RequestLost: plain(
        translatable("The upscaling service lost your image."), translatable("Please start it again.")
    ),
    e.ResultExpired: plain(translatable("The image is no longer kept."), translatable("Please start it again.")),
    e.DeliveryRefused: _delivery,
    e.DeliveryUnavailable: _delivery,
    e.PlaceRefused: plain(
        translatable("I can write neither here nor to you directly, so nothing was started."),
        translatable("Ask me where I may write, or allow me to send you direct messages."),
        "refusal",
    ),
}
