"""Sentences about a job while it runs and when it is done, shared by every platform. Plain text, no markup."""

import math
from functools import partial

from core.domain.job import Awaited, Delivery, Job, JobState, Progress, Quote, Receipt, ResultNote
from core.domain.limits import LimitStatus
from core.domain.models import DEFAULT_MODEL
from core.domain.parameters.spec import translatable
from core.domain.similarity import Position
from core.presentation import translations as t
from core.presentation.limit_texts import left_text
from core.presentation.notices import Notice
from core.presentation.parameter_texts import values_of
from core.presentation.translations import joined, tr, translated, trn

full_file_text = partial(translated, translatable("Full file"))
send_again_text = partial(translated, translatable("Send again"))
cancel_pending_text = partial(
    translated, translatable("Cancelling. The model has already started, so this may still be billed.")
)
"""Said at once when a job is cancelled on which the model already works."""


def stage_text(progress: Progress, locale: str) -> str:
    """`Waiting, 3 ahead`, `Upscaling, 40 %` …; the finish time is shown by the platform."""
    if progress.awaits is not None:
        return _awaiting(progress.awaits, progress.until_at or 0.0, locale)
    if progress.stage == "preparing":
        return tr("Reading the image", locale)
    if progress.stage == "turn":
        ahead = progress.position or 0
        if ahead == 0:
            return tr("Waiting until one of your other images is done", locale)
        return trn(
            "Waiting for your other images, {n} before this one",
            "Waiting for your other images, {n} before this one",
            ahead,
            locale,
        )
    if progress.stage == "waiting":
        return _waiting(progress.position, locale)
    if progress.stage == "upscaling":
        if progress.percent is None:
            return tr("Upscaling", locale)
        return tr("Upscaling · {percent}", locale, percent=t.percent(progress.percent / 100, locale))
    return tr("Delivering", locale)


def _awaiting(awaits: Awaited, until_at: float, locale: str) -> str:
    time = t.moment(until_at, locale)
    sentences: dict[Awaited, str] = {
        "source": tr("Your image can't be fetched at the moment. Trying again until {time}.", locale, time=time),
        "accept": tr(
            "The upscaling service takes nothing new at the moment. Trying again until {time}.", locale, time=time
        ),
        "search": tr(
            "The upscaling service's answer got lost. Looking for your request there until {time}; "
            "it is never paid for twice.",
            locale,
            time=time,
        ),
        "answer": tr(
            "The upscaling service does not answer at the moment. Nothing is lost; asking again until {time}.",
            locale,
            time=time,
        ),
        "file": tr(
            "The image is ready, but the upscaling service does not hand it over yet. Trying again until {time}.",
            locale,
            time=time,
        ),
        "chat": tr(
            "The image is ready, but the chat does not take it yet. Trying again every few minutes until {time}.",
            locale,
            time=time,
        ),
        "start": tr("The upscaling service has not begun yet. Waiting until {time}.", locale, time=time),
    }
    return sentences[awaits]


def _waiting(position: int | None, locale: str) -> str:
    if position is None:
        return tr("Waiting for the model", locale)
    if position == 0:
        return tr("Waiting for the model, next in line", locale)
    return trn(
        "Waiting for the model, {n} request ahead", "Waiting for the model, {n} requests ahead", position, locale
    )


def price_line(quote: Quote, locale: str) -> str:
    before, after = t.size(quote.width_px, quote.height_px), t.size(quote.out_width_px, quote.out_height_px)
    return f"{before} → {after} · {t.megapixels(quote.megapixels, locale)} · {t.cents(quote.estimate_nanousd, locale)}"


def ask_text(quote: Quote, locale: str) -> str:
    return ". ".join(part for part in (price_line(quote, locale), left_text(quote.left, locale)) if part)


def size_line(job: Job, locale: str) -> str:
    """`2400×1600 → 4800×3200 (15.4 MP)` of a finished job."""
    if job.result is None or job.input is None:
        return ""
    before = t.size(job.input.width_px, job.input.height_px)
    after = t.size(job.result.width_px, job.result.height_px)
    return f"{before} → {after} ({t.pixels(job.result.width_px * job.result.height_px, locale)})"


def parameters_line(job: Job, locale: str) -> str:
    """`2×, creativity 0.3, guidance 1, steps 20, seed 123`; the names are those that can be typed."""
    p = job.parameters
    values = values_of(job)
    shown = {name: t.number(value, locale) if isinstance(value, float) else value for name, value in values.items()}
    rest = [f"{name} {value}" for name, value in shown.items() if name not in ("model", "factor", "safety")]
    words = [t.factor_text(p.factor, locale), *rest]
    if p.model != DEFAULT_MODEL:
        words.insert(1, f"model {p.model}")
    if not p.safety:
        words.append("safety off")
    return ", ".join(words)


def receipt_line(job: Job, left: tuple[LimitStatus, ...], locale: str) -> str:
    """`Charged $1.60. You have $3.20 left today.`, with play money, free repeats and unknown bills said plainly."""
    parts = [charge_text(job.receipt, locale)] if job.receipt else []
    if job.result is not None and job.result.inference_s is not None:
        parts.append(tr("The model took {time}.", locale, time=t.seconds(job.result.inference_s, locale)))
    return joined(*parts, left_text(left, locale))


def charge_text(receipt: Receipt, locale: str) -> str:
    amount = t.cents(receipt.charged_nanousd, locale)
    if receipt.basis == "repeat":
        return tr("From an earlier upscale, {amount}.", locale, amount=amount)
    if receipt.basis == "none":
        return tr("Not charged.", locale)
    if receipt.basis == "unknown" and receipt.unclear:
        return tr("Charged {amount}, to be checked.", locale, amount=amount)
    if receipt.basis == "unknown":
        return tr(
            "This may still be billed, at most {amount}.", locale, amount=t.cents(receipt.estimate_nanousd, locale)
        )
    if receipt.play_money:
        return tr("Charged {amount} of play money.", locale, amount=amount)
    return tr("Charged {amount}.", locale, amount=amount)


_SAME_FACTOR = 0.02
"""Models round sides to what they like; a factor this near to the one asked is the one asked."""


def reached_factor(job: Job) -> float:
    """The factor really reached; the one asked for while there is no result, or where it is as good as that."""
    asked = job.parameters.factor
    if job.result is None or job.input is None:
        return asked
    larger = job.result.width_px * job.result.height_px / (job.input.width_px * job.input.height_px)
    reached = math.sqrt(larger)
    return asked if abs(reached / asked - 1) <= _SAME_FACTOR else round(reached, 2)


def _result_notes(job: Job, locale: str) -> list[str]:
    if job.result is None or not job.result.notes:
        return []
    asked = t.size(job.quote.out_width_px, job.quote.out_height_px) if job.quote is not None else ""
    got = t.size(job.result.width_px, job.result.height_px)
    sentences: dict[ResultNote, str] = {
        "other_size": tr("The model answered with {got} instead of {asked}.", locale, got=got, asked=asked),
        "unchanged": tr("The model returned the image unchanged.", locale),
        "flagged": tr("The model's safety check marked this result.", locale),
    }
    return [sentences[note] for note in job.result.notes]


def notes_text(job: Job, locale: str) -> str:
    """What was changed about the picture before it went to the model, and how the result is not what was asked for.

    A line each.
    """
    sentences = {
        "alpha_flattened": tr(
            "Transparent parts were filled for the model and are transparent again in the result.", locale
        ),
        "first_frame": tr("Only the first frame of the animation was upscaled.", locale),
        "converted": "",
        "incomplete": tr("The file is damaged or incomplete; what can be seen of it was upscaled.", locale),
    }
    notes = job.input.notes if job.input is not None else ()
    told = [sentences[note] for note in notes if sentences[note]]
    return "\n".join([*told, *_result_notes(job, locale), *_similarity(job, locale)])


_REPAINTED_BELOW = 70
_ALL_KEPT = 99


def _similarity(job: Job, locale: str) -> list[str]:
    found = job.result.similarity if job.result is not None else None
    if found is None:
        return []
    kept, share, told = found.percent, t.percent(found.percent / 100, locale), []
    if kept < _REPAINTED_BELOW:
        told.append(tr("The model repainted much of this image.", locale))
    if found.most_changed is None or kept >= _ALL_KEPT:
        return [*told, tr("Kept {share} of the structure.", locale, share=share)]
    place = _place_name(found.most_changed, locale)
    return [*told, tr("Kept {share} of the structure; most changed: {place}.", locale, share=share, place=place)]


def _place_name(place: Position, locale: str) -> str:
    names: dict[Position, str] = {
        "top_left": tr("top left", locale), "top": tr("top", locale), "top_right": tr("top right", locale),
        "left": tr("left", locale), "centre": tr("centre", locale), "right": tr("right", locale),
        "bottom_left": tr("bottom left", locale), "bottom": tr("bottom", locale),
        "bottom_right": tr("bottom right", locale),
    }  # fmt: skip
    return names[place]


def comparison_text(job: Job, rows: int, locale: str) -> str:
    scale = t.factor_text(reached_factor(job), locale)
    text = tr("Before (left, enlarged {factor}) and after (right), at 100%.", locale, factor=scale)
    return text if rows == 1 else joined(text, tr("Above: most detail. Below: most changed.", locale))


def delivery_text(delivery: Delivery, locale: str) -> str:
    """How the file shown differs from the full one, and where it went; empty for the original in its place.

    A line each.
    """
    shapes = {
        "lossless_webp": tr("Shown as lossless WebP, because the full file is too large for here.", locale),
        "webp": tr("Shown as high-quality WebP, because the full file is too large for here.", locale),
        "jpeg": tr("Shown as high-quality JPEG, because the full file is too large for here.", locale),
        "preview": tr("This is a reduced preview; the full file is too large for here.", locale),
        "link": tr("The file can't be shown here; use the link.", locale),
        "kept": tr("It could not be delivered here and is kept in your history.", locale),
    }
    places = {
        "direct_message": tr("Sent as a direct message, because it could not be posted there.", locale),
        "new_message": tr("Posted as a new message, because the first one could no longer be changed.", locale),
    }
    parts = [shapes.get(delivery.shape, ""), places.get(delivery.elsewhere, "")]
    return "\n".join(part for part in parts if part)


def state_word(job: Job, locale: str) -> str:
    """Where a job is, in a word or two, for lists."""
    if job.images_deleted:
        return tr("deleted", locale)
    names = {
        JobState.AWAITING_CONFIRMATION: tr("waiting for you", locale),
        JobState.QUEUED: tr("waiting", locale),
        JobState.RUNNING: tr("running", locale),
        JobState.DELIVERING: tr("delivering", locale),
        JobState.SUCCEEDED: tr("done", locale),
        JobState.FAILED: tr("failed", locale),
        JobState.CANCELLED: tr("cancelled", locale),
        JobState.REFUSED: tr("not started", locale),
    }
    return names[job.state]


def where_text(job: Job, locale: str) -> str:
    if job.state is JobState.AWAITING_CONFIRMATION:
        return tr("The price is not confirmed yet", locale)
    return stage_text(job.progress, locale) if job.progress is not None else state_word(job, locale)


def cancelled(job: Job, locale: str) -> Notice:
    charged = charge_text(job.receipt, locale) if job.receipt is not None else ""
    return Notice(tr("Cancelled.", locale), charged=charged, reference=job.id, tone="info")


def alt_text(job: Job, locale: str, *, max_chars: int) -> str:
    """The caption as alternative text, cut to `max_chars`; a plain description where there is none."""
    caption = (job.result.caption if job.result is not None else "").strip()
    name, factor = job.source.name or tr("Image", locale), t.factor_text(reached_factor(job), locale)
    text = caption or tr("{name}, upscaled {factor}", locale, name=name, factor=factor)
    return text if len(text) <= max_chars else text[: max_chars - 1].rstrip() + "…"
