"""From an error's facts to a notice: what happened, whether it cost anything, what to do.

One sentence per leaf of `core.domain.errors`; a test walks the tree. No class names, no codes, no links.
"""

from __future__ import annotations

from dataclasses import replace

from core.domain import errors as e
from core.domain.job import Receipt
from core.domain.parameters.spec import translatable
from core.presentation.input_failure_texts import INPUT
from core.presentation.job_texts import charge_text
from core.presentation.limit_texts import limit_reached, paused, paused_place
from core.presentation.notices import Explainer, Notice, plain
from core.presentation.place_texts import not_admitted
from core.presentation.provider_failure_texts import PROVIDER
from core.presentation.translations import tr, trn


def explain(
    error: e.UpscaleError,
    locale: str = "en",
    *,
    reference: str = "",
    receipt: Receipt | None = None,
    quota_command: str = "",
) -> Notice:
    """The notice for `error`. `receipt`: what the failed job cost; a request that only was refused says nothing of it.

    `quota_command`: what the operator, who is told, types to raise a limit; empty for anybody else.
    """
    make = _SENTENCES.get(type(error))
    notice = (make or _UNFORESEEN)(error, locale)
    if quota_command and isinstance(error, e.LimitReached) and notice.advice:  # it sends others to a moderator
        notice = replace(notice, advice=tr("You can raise it yourself: {command}", locale, command=quota_command))
    if receipt is not None and (receipt.charged_nanousd > 0 or receipt.basis == "unknown"):
        charged = charge_text(receipt, locale)
    else:
        charged = "" if isinstance(error, e.RequestError) else tr("Not charged.", locale)
    reference = reference or (error.reference if isinstance(error, e.InternalError) else "")
    return replace(notice, charged=charged, reference=reference)


_TRY_AGAIN = translatable("Please try again; if it keeps happening, give the reference to the bot's owner.")


def parameter_problem(problem: e.ParameterProblem, locale: str) -> str:
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
        return tr("I don't understand “{value}”. Try: factor=3 creativity=0.5.", locale, **facts)
    if problem.kind == "together":
        return tr("“{name}” and “{value}” do not go together: give one of them.", locale, **facts)
    if problem.kind == "not_in_model":
        return tr("The model {value} has no {name}; it takes {allowed}.", locale, **facts)
    if problem.kind == "type":
        return tr("{name} cannot be “{value}”. Choose {allowed}.", locale, **facts)
    return tr("{name} must be {allowed}; you wrote {value}.", locale, **facts)


def _invalid_parameters(error: e.InvalidParameters, locale: str) -> Notice:
    lines = [parameter_problem(problem, locale) for problem in error.problems]
    return Notice("\n".join(lines), advice=tr("Nothing was started.", locale), tone="refusal")


def _no_image(_: e.NoImage, locale: str) -> Notice:
    return Notice(
        tr("There is no image to upscale.", locale),
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
            tr("Your images without an agreed price take all the room that one member has.", locale),
            tr("Start or cancel some of them first.", locale),
        ),
        "kept": (
            tr("Your kept images take all the room that one member has.", locale),
            tr("Delete some of them, or wait until the oldest expire.", locale),
        ),
        "disk": (
            tr("The bot has no room for another image just now.", locale),
            tr("Please try again later.", locale),
        ),
        "export": (tr("Your last export is still on its way.", locale), tr("Please try again later.", locale)),
    }
    what, advice = sentences[error.reason]
    return Notice(what, advice=advice, tone="refusal")


_UNFORESEEN = plain(translatable("Something went wrong on our side."), _TRY_AGAIN)
_SENTENCES: dict[type[e.UpscaleError], Explainer] = {
    **INPUT,
    **PROVIDER,
    e.InvalidParameters: _invalid_parameters,
    e.NoImage: _no_image,
    e.UnsafeNotAllowed: _unsafe,
    e.StorageFull: _storage_full,
    e.NotAdmitted: not_admitted,
    e.NotAllowed: _not_allowed,
    e.JobNotFound: plain(translatable("This image is not known here, or no longer."), tone="refusal"),
    e.TooLate: _too_late,
    e.QuoteExpired: plain(
        translatable("The price was not confirmed in time."), translatable("Run it again for a new price."), "refusal"
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
    e.Paused: lambda error, lo: paused(error.by, paused_place(error.by == "operator", error.platform, lo), lo),
    e.LedgerUnavailable: plain(
        translatable("The budget could not be checked, so nothing was started."),
        translatable("Please try again in a minute."),
    ),
    e.StorageUnavailable: plain(
        translatable("The bot cannot be reached right now, so nothing was started."),
        translatable("Please try again in a minute."),
    ),
    e.PlatformRefused: plain(translatable("The chat does not allow me to do that here."), tone="refusal"),
    e.PlatformBusy: plain(
        translatable("The chat asks for a short pause."), translatable("Please try again in a minute."), "refusal"
    ),
    e.Restored: plain(
        translatable("The bot was set back to an earlier copy while this was under way, so it was not finished."),
        translatable("Look in your history first; what is not there can be started again."),
    ),
    e.Draining: plain(translatable("The bot is restarting; try again in a minute."), tone="info"),
    e.InternalError: _UNFORESEEN,
}
