"""A finished image: size, parameters, notes, comparison, alternative text."""

import math
from functools import partial

from core.domain.job import Job, ResultNote
from core.domain.media_types import MIME
from core.domain.models import DEFAULT_MODEL
from core.domain.parameters.spec import translatable
from core.domain.similarity import Position
from core.presentation import formats
from core.presentation.texts.parameter_texts import assignment, values_of
from core.presentation.translations import joined, tr, translated

full_file_text = partial(translated, translatable("Full file"))


def size_line(job: Job, locale: str) -> str:
    """`2400×1600 → 4800×3200 (15.4 MP)` of a finished job."""
    if job.result is None or job.input is None:
        return ""
    before = formats.size(job.input.width_px, job.input.height_px)
    after = formats.size(job.result.width_px, job.result.height_px)
    return f"{before} → {after} ({formats.pixel_count(job.result.width_px * job.result.height_px, locale)})"


def parameters_line(job: Job, locale: str) -> str:
    """`2×, creativity 0.3, guidance 1, steps 20, seed 123`, by the names that can be typed."""
    p = job.parameters
    values = values_of(job)
    shown = {
        name: formats.number(value, locale) if isinstance(value, float) else value for name, value in values.items()
    }
    given = {name: value for name, value in shown.items() if name not in ("model", "factor", "safety")}
    rest = [assignment(name, value).replace("=", " ") for name, value in given.items()]
    words = [formats.factor_text(p.factor, locale), *rest]
    if p.model != DEFAULT_MODEL:
        words.insert(1, f"model {p.model}")
    if not p.safety:
        words.append("safety off")
    return ", ".join(words)


_SAME_FACTOR = 0.02
"""Models round sides in their own ways; a factor within this relative difference counts as the requested one."""


def reached_factor(job: Job) -> float:
    """The factor that the result reached; the requested one if there is no result, or within `_SAME_FACTOR` of it."""
    asked = job.parameters.factor
    if job.result is None or job.input is None:
        return asked
    larger = job.result.width_px * job.result.height_px / (job.input.width_px * job.input.height_px)
    reached = math.sqrt(larger)
    return asked if abs(reached / asked - 1) <= _SAME_FACTOR else round(reached, 2)


def _result_notes(job: Job, locale: str) -> list[str]:
    if job.result is None or not job.result.notes:
        return []
    asked = formats.size(job.quote.out_width_px, job.quote.out_height_px) if job.quote is not None else ""
    got = formats.size(job.result.width_px, job.result.height_px)
    sentences: dict[ResultNote, str] = {
        "other_size": tr("The model answered with {got} instead of {asked}.", locale, got=got, asked=asked),
        "unchanged": tr("The model returned the image unchanged.", locale),
        "flagged": tr("The model's safety check marked this result.", locale),
    }
    return [sentences[note] for note in job.result.notes]


cancelled_late_text = partial(translated, translatable("It was cancelled too late: the image had already been made."))


def notes_text(job: Job, locale: str) -> str:
    """How the image was changed before the model got it, and how the result differs from the request; a line each."""
    filled = job.result is not None and job.result.mime == MIME["jpeg"]
    sentences = {
        "alpha_flattened": tr("Transparent parts are filled, because a JPEG cannot hold them.", locale)
        if filled
        else tr("Transparent parts were filled for the model and are transparent again in the result.", locale),
        "first_frame": tr("Only the first frame of the animation was upscaled.", locale),
        "converted": "",
        "incomplete": tr("The file is damaged or incomplete; what can be seen of it was upscaled.", locale),
    }
    notes = job.input.notes if job.input is not None else ()
    late = cancelled_late_text(locale) if job.cancel_requested_by else ""
    lines = [late, source_text(job, locale), *(sentences[note] for note in notes)]
    return "\n".join(filter(None, [*lines, *_result_notes(job, locale), *_similarity(job, locale)]))


def source_text(job: Job, locale: str) -> str:
    """Which image was used, if the request had several."""
    several = "one_of_several" in job.source.data
    return tr("Several images were given; only {name} is used.", locale, name=job.source.name) if several else ""


_REPAINTED_BELOW = 70
_ALL_KEPT = 99


def _similarity(job: Job, locale: str) -> list[str]:
    found = job.result.similarity if job.result is not None else None
    if found is None:
        return []
    kept, share, lines = found.percent, formats.percent(found.percent / 100, locale), []
    if kept < _REPAINTED_BELOW:
        lines.append(tr("The model repainted much of this image.", locale))
    if found.most_changed is None or kept >= _ALL_KEPT:
        return [*lines, tr("Kept {share} of the structure.", locale, share=share)]
    place = _place_name(found.most_changed, locale)
    return [*lines, tr("Kept {share} of the structure; most changed: {place}.", locale, share=share, place=place)]


def _place_name(place: Position, locale: str) -> str:
    names: dict[Position, str] = {
        "top_left": tr("top left", locale), "top": tr("top", locale), "top_right": tr("top right", locale),
        "left": tr("left", locale), "centre": tr("centre", locale), "right": tr("right", locale),
        "bottom_left": tr("bottom left", locale), "bottom": tr("bottom", locale),
        "bottom_right": tr("bottom right", locale),
    }  # fmt: skip
    return names[place]


def comparison_text(job: Job, rows: int, locale: str) -> str:
    scale = formats.factor_text(reached_factor(job), locale)
    text = tr("Before (left, enlarged {factor}) and after (right), at 100%.", locale, factor=scale)
    return text if rows == 1 else joined(text, tr("Above: most detail. Below: most changed.", locale))


def alt_text(job: Job, locale: str, *, max_chars: int) -> str:
    """The caption as alternative text, cut to `max_chars`; a plain description if there is none."""
    caption = (job.result.caption if job.result is not None else "").strip()
    name, factor = job.source.name or tr("Image", locale), formats.factor_text(reached_factor(job), locale)
    return formats.cut(caption or tr("{name}, enlarged {factor}", locale, name=name, factor=factor), max_chars)


NAME_MAX_CHARS = 80


def image_name(job: Job, locale: str) -> str:
    name = job.source.name
    return (name if len(name) <= NAME_MAX_CHARS else f"{name[:NAME_MAX_CHARS]}…") or tr("your image", locale)


def ready_text(job: Job, locale: str) -> str:
    return tr("{name} is ready", locale, name=image_name(job, locale))
