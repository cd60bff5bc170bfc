"""Turn an error into a notice: what happened, whether it was charged, what to do.

One sentence per leaf of `core.domain.errors`; a test walks the tree. No class names, no codes, no links.
"""

from dataclasses import replace

from core.domain import errors as e
from core.domain.job import Job, Receipt
from core.domain.parameters.spec import translatable
from core.presentation.formats import file_size, size
from core.presentation.notices import Explainer, Notice, fixed_notice
from core.presentation.texts.input_failure_texts import INPUT
from core.presentation.texts.limit_texts import limit_reached, paused_notice, paused_place
from core.presentation.texts.operator_texts import not_admitted
from core.presentation.texts.parameter_texts import parameter_problems, preset_refused
from core.presentation.texts.price_texts import charge_text
from core.presentation.translations import tr, trn


def explain(
    error: e.UpscaleError,
    locale: str = "en",
    *,
    reference: str = "",
    receipt: Receipt | None = None,
    quota_command: str = "",
    has_moderators: bool = True,
) -> Notice:
    """The notice for `error`. `receipt` is the failed job's; a refused request does not mention a charge.

    `quota_command` is what an operator types to raise a limit; empty if the reader is not an operator.
    `has_moderators`: the reader is in a workspace, not in a direct message outside of any.
    """
    make = _SENTENCES.get(type(error))
    notice = (make or _UNFORESEEN)(error, locale)
    if isinstance(error, e.LimitReached) and notice.advice:  # else it resets by itself
        if quota_command:
            notice = replace(notice, advice=tr("You can raise it yourself: {command}", locale, command=quota_command))
        elif not has_moderators:
            notice = replace(notice, advice=tr("Only the bot's owner can raise it.", locale))
    if receipt is not None and (receipt.charged_nanousd > 0 or receipt.basis == "unknown"):
        charged = charge_text(receipt, locale)
    else:
        untold = isinstance(error, e.RequestError) or (receipt is None and isinstance(error, _NO_CHARGE_TOLD))
        charged = "" if untold else tr("Not charged.", locale)
    reference = reference or (error.reference if isinstance(error, e.InternalError) else "")
    return replace(notice, charged=charged, reference=reference)


def notice_without_job(notice: Notice, error: e.UpscaleError, locale: str) -> Notice:
    """The notice without "nothing was started", for actions that start no job (a setting, a limit, a question)."""
    if isinstance(error, e.StorageUnavailable):
        return replace(notice, what=tr("The bot cannot be reached right now.", locale))
    return replace(notice, advice="") if isinstance(error, e.InvalidParameters) else notice


_NO_CHARGE_TOLD = (e.DeliveryError, e.ResultExpired, e.LedgerUnavailable, e.StorageUnavailable)
"""Without a receipt, the first two do not know what was charged before; the others say that nothing was started."""


def _unsafe(error: e.UnsafeNotAllowed, locale: str) -> Notice:
    if error.reason == "place":
        return Notice(
            tr("The safety check can only be switched off in an age-restricted channel.", locale),
            tone="refusal",
        )
    return Notice(tr("The safety check cannot be switched off here.", locale), tone="refusal")


def _not_allowed(error: e.NotAllowed, locale: str) -> Notice:
    sentences = {
        "requester": tr("Only the person who asked for this image can do that.", locale),
        "requester_or_moderator": tr("Only the person who asked for this image, or a moderator, can do that.", locale),
        "moderator": tr("Only moderators can do that.", locale),
        "operator": tr("Only the bot's owner can do that.", locale),
    }
    return Notice(sentences[error.needs], tone="refusal")


def _too_late(error: e.TooLate, locale: str) -> Notice:
    if error.state == "images_deleted":
        return Notice(tr("The image and its original have been deleted.", locale), tone="refusal")
    if error.state == "delivering":
        return Notice(tr("It is too late for that: the image is made and on its way to you.", locale), tone="refusal")
    return Notice(tr("This upscale has already ended.", locale), tone="refusal")


def _storage_full(error: e.StorageFull, locale: str) -> Notice:
    sentences = {
        "member": (
            tr("Images whose price you have not confirmed take up all your space.", locale),
            tr("Start or cancel some of them first.", locale),
        ),
        "kept": (
            tr("Your kept images take up all your space.", locale),
            tr("Delete some of them, or wait until the oldest expire.", locale),
        ),
        "disk": (
            tr("The bot has no space for another image right now.", locale),
            tr("Please try again later.", locale),
        ),
        "export": (tr("Your last export is still on its way.", locale), tr("Please try again later.", locale)),
    }
    what, advice = sentences[error.reason]
    return Notice(what, advice=advice, tone="refusal")


def _with_aside(sentence: str, aside: str) -> str:
    """The sentence with `aside` in brackets before its full stop."""
    return f"{sentence[:-1]} ({aside}){sentence[-1]}" if aside else sentence


def _image_rejected(error: e.ImageRejected, locale: str) -> Notice:
    sign = "≥" if error.reason == "too_small" else "≤"  # the model's limit, not the picture's own size
    limit = (
        f"{sign}\u00a0{size(error.limit_width_px, error.limit_height_px)}"
        if error.limit_width_px and error.limit_height_px
        else f"≤\u00a0{file_size(error.limit_bytes, locale)}"
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
    advice = (
        tr("Try another image or a smaller factor.", locale)
        if error.reason in ("too_large", "file_too_large")
        else tr("Please try again.", locale)  # we uploaded it there ourselves
        if error.reason == "download"
        else tr("Try another image.", locale)
    )
    return Notice(_with_aside(reasons[error.reason], limit), advice=advice)


_NO_PICTURE = frozenset({"no_image_in_result", "unreadable_result", "flat_result", "placeholder_result"})
_NOT_STARTED = frozenset({"request_timeout", "runner_scheduling_failure", "startup_timeout"})
_NOT_TAKEN = frozenset({"foreign_result_address", "result_file_too_large", "result_too_large"})


def _model_failed(error: e.ModelFailed, locale: str) -> Notice:
    what = tr("The model stopped before it finished.", locale)
    if error.kind in _NO_PICTURE:
        what = tr("The model returned no image.", locale)
    elif error.kind in _NOT_STARTED:
        what = tr("The model did not start in time.", locale)
    elif error.kind in _NOT_TAKEN:
        what = tr("The model's result cannot be used.", locale)
    elif error.kind.startswith("http_4"):
        what = tr("The upscaling service refused this request.", locale)
    return Notice(what, advice=tr("Please try again.", locale))


def _halted(error: e.ProviderHalted, locale: str) -> Notice:
    what = (
        tr("The upscaling service is out of credit.", locale)
        if error.kind == "credit"
        else tr("The upscaling service does not accept this bot's key at the moment.", locale)
    )
    return Notice(what, advice=tr("The bot's owner has been notified. Please try again later.", locale))


_UNREACHABLE = fixed_notice(
    translatable("The upscaling service cannot be reached."), translatable("Please try again in a few minutes.")
)
_NOT_DELIVERED = fixed_notice(
    translatable("The image is ready, but it could not be delivered here."),
    translatable("It is kept; find it in your history."),
    "info",
)
_PROVIDER: dict[type[e.UpscaleError], Explainer] = {
    e.ImageRejected: _image_rejected,
    e.ContentRejected: fixed_notice(translatable("The model's safety check refused this image.")),
    e.InvalidForModel: lambda error, lo: Notice(
        _with_aside(tr("The model did not accept “{name}”.", lo, name=error.parameter), error.rule),
        advice=tr("Try another value.", lo),
    ),
    e.ModelFailed: _model_failed,
    e.ModelNotOffered: fixed_notice(
        translatable("The upscaling service does not offer this model."),
        translatable("The bot's owner has to look at it; another model may work."),
    ),
    e.ProviderHalted: _halted,
    e.ProviderBusy: fixed_notice(
        translatable("The upscaling service is too busy right now."), translatable("Please try again in a few minutes.")
    ),
    e.ProviderUnavailable: _UNREACHABLE,
    e.SubmitNotSent: _UNREACHABLE,
    e.SubmitUnknown: fixed_notice(
        translatable("The upscaling service did not confirm that it took your image, and it could not be found there."),
        translatable("It is not sent again by itself, so that nobody pays twice. Start it again if you still want it."),
    ),
    e.RequestLost: fixed_notice(
        translatable("The upscaling service lost your image."), translatable("Please start it again.")
    ),
    e.ResultExpired: fixed_notice(translatable("The image is no longer kept."), translatable("Please start it again.")),
    e.DeliveryRefused: _NOT_DELIVERED,
    e.DeliveryUnavailable: _NOT_DELIVERED,
    e.PlaceRefused: fixed_notice(
        translatable("I can write neither here nor to you directly, so nothing was started."),
        translatable("Ask me where I may write, or allow me to send you direct messages."),
        "refusal",
    ),
}
_UNFORESEEN = fixed_notice(
    translatable("Something went wrong on our side."),
    translatable("Please try again; if it keeps happening, give the reference to the bot's owner."),
)
_SENTENCES: dict[type[e.UpscaleError], Explainer] = {
    **INPUT,
    **_PROVIDER,
    e.InvalidParameters: lambda error, lo: Notice(
        parameter_problems(error.problems, lo),
        advice=tr("Nothing was started.", lo),
        tone="refusal",
    ),
    e.PresetRefused: preset_refused,
    e.NoImage: fixed_notice(
        translatable("There is no image to upscale."),
        translatable("Attach a PNG, JPEG, WebP or GIF, or give a link to one."),
        "refusal",
    ),
    e.UnsafeNotAllowed: _unsafe,
    e.StorageFull: _storage_full,
    e.NotAdmitted: not_admitted,
    e.NotAllowed: _not_allowed,
    e.JobNotFound: fixed_notice(translatable("This image is not known here, or no longer."), tone="refusal"),
    e.TooLate: _too_late,
    e.QuoteExpired: fixed_notice(
        translatable("The price was not confirmed in time."), translatable("Run it again for a new price."), "refusal"
    ),
    e.SelectionClosed: fixed_notice(
        translatable("This was answered already, or is too old."),
        translatable("Start again to upscale these images."),
        "refusal",
    ),
    e.OtherModelChosen: fixed_notice(translatable("Your image comes in a message of its own."), tone="info"),
    e.LimitNotSet: fixed_notice(
        translatable("There is no such limit to remove."),
        translatable("For whom it is, what it counts and its period must be the same as when it was set."),
        "refusal",
    ),
    e.LimitReached: limit_reached,
    e.TooManyWaiting: lambda error, lo: Notice(
        trn(
            "You already have {n} image waiting, which is the most allowed.",
            "You already have {n} images waiting, which is the most allowed.",
            error.limit,
            lo,
        ),
        advice=tr("Try again when one of them is done.", lo),
        tone="refusal",
    ),
    e.Paused: lambda error, lo: paused_notice(error.by, paused_place(error.by == "operator", error.platform, lo), lo),
    e.LedgerUnavailable: fixed_notice(
        translatable("The budget could not be checked, so nothing was started."),
        translatable("Please try again in a minute."),
    ),
    e.StorageUnavailable: fixed_notice(
        translatable("The bot cannot be reached right now, so nothing was started."),
        translatable("Please try again in a minute."),
    ),
    e.PlatformRefused: fixed_notice(translatable("The chat does not allow me to do that here."), tone="refusal"),
    e.PlatformBusy: fixed_notice(
        translatable("The chat asks for a short pause."), translatable("Please try again in a minute."), "refusal"
    ),
    e.Restored: fixed_notice(
        translatable("The bot was restored from a backup while this was under way, so it was not finished."),
        translatable("Look in your history first; what is not there can be started again."),
    ),
    e.Draining: fixed_notice(translatable("The bot is restarting, try again in a minute."), tone="info"),
    e.InternalError: _UNFORESEEN,
}


def cancelled_notice(job: Job, locale: str) -> Notice:
    charged = charge_text(job.receipt, locale) if job.receipt is not None else ""
    return Notice(tr("Cancelled.", locale), charged=charged, reference=job.id, tone="info")
