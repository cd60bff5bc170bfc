"""Converts jobs, quotes, cards and errors to the JSON of the API. Pure.

It never contains a provider's link, a file path or a secret. Sizes are in pixels and bytes, times in unix seconds,
money as `…_nanousd` integers and, for reading, as `…_usd` numbers.
"""

import dataclasses
from dataclasses import replace
from typing import Any

from adapters.web.outbound.errors import field_of
from core.domain import errors as e
from core.domain.job import Delivery, InputFacts, Job, JobState, Progress, Quote, Receipt, Result
from core.domain.limits import LimitStatus
from core.domain.media_types import saved_formats, suffix_for
from core.domain.models import MODELS
from core.domain.money import NANOUSD_PER_USD
from core.domain.variations import Change, repeated_request
from core.ports import TILE_PX
from core.presentation import Action, Card, Notice, cents, joined, lines, notice_card
from core.presentation.cards import job as cards
from core.presentation.cards.details import comparison, details, repeat_words, words_of
from core.presentation.texts import failure_texts, price_texts, progress_texts, result_texts
from core.presentation.texts.delivery_texts import deleted_text
from core.presentation.texts.parameter_texts import model_name, parameter_problem, values_of

Json = dict[str, Any]

_VIEW_MAX_BYTES = 12_000_000
_VIEW_MAX_PX = 16_000_000
"""Above either the page shows a reduced preview and tiles, because phones run out of memory."""


def is_large(size_bytes: int, width_px: int, height_px: int) -> bool:
    return size_bytes > _VIEW_MAX_BYTES or width_px * height_px > _VIEW_MAX_PX


def card_json(card: Any) -> Any:
    """A card, or a part of one, as JSON; objects have their type in `is`."""
    if isinstance(card, tuple):
        return [card_json(part) for part in card]
    if not dataclasses.is_dataclass(card):
        return card
    parts = {field.name: card_json(getattr(card, field.name)) for field in dataclasses.fields(card)}
    return {"is": type(card).__name__.lower(), **parts}


def _card_of(job: Job, locale: str, left: tuple[LimitStatus, ...], notice: Notice | None) -> Card:
    if job.state is JobState.SUCCEEDED or job.has_image:
        card = cards.result(job, left, Delivery("page"), locale)
        ours = tuple(tuple(one for one in row if one.kind != "open_link") for row in card.rows)  # no provider's link
        if not job.images_deleted:
            return replace(card, rows=ours)
        gone = lines(deleted_text(locale))
        return replace(card, pictures=(), caption="", paragraphs=(*card.paragraphs, *gone), rows=())
    if job.state is JobState.AWAITING_CONFIRMATION and job.quote is not None:
        return cards.price_question(job, locale)
    if job.state.terminal:
        return cards.failed(job, notice or failure_texts.cancelled_notice(job, locale), locale)
    card = cards.working(job, job.progress or Progress("preparing"), locale)
    if not job.cancel_requested_by or job.state is not JobState.RUNNING:
        return card
    late = card.paragraphs if job.progress is not None and job.progress.awaits is not None else ()
    return replace(card, paragraphs=(*lines(progress_texts.cancel_pending_text(locale)), *late), rows=())


def job_json(
    job: Job, locale: str, *, left: tuple[LimitStatus, ...] = (), notice: Notice | None = None, play_money: bool = False
) -> Json:
    """Everything about a job; `card` is what the page draws, `notice` explains `job.error`."""
    return {
        "job_id": job.id,
        "reference": job.id,
        "state": str(job.state),
        **fields_of(job, "private parent_id created_at updated_at finished_at confirm_by_at images_deleted"),
        "name": job.source.name if job.source.kind != "link" else "",
        "cancel_requested": bool(job.cancel_requested_by),
        "model": model_name(job.parameters.model, locale),
        "parameters": values_of(job),
        "line": f"/upscale {repeat_words(job)}",
        "inputs": _inputs_json(job),
        "input": input_json(job.input) if job.input else None,
        "quote": quote_json(job.quote, locale, play_money=play_money) if job.quote else None,
        "progress": progress_json(job.progress, locale) if job.progress else None,
        "receipt": receipt_json(job.receipt, locale) if job.receipt else None,
        "result": result_json(job, job.result, locale) if job.result else None,
        "has_image": job.has_image,
        "error": error_json(job.error, notice, locale, job) if job.error and notice else None,
        "card": card_json(_card_of(job, locale, left, notice)),
        "details": card_json(details(job, locale)) if job.result else None,
        "comparison": card_json(comparison(job, locale)) if job.result else None,
    }


def _inputs_json(job: Job) -> Json:
    model = MODELS.of(job.parameters)
    return {model.inputs[name].api_name: value for name, value in values_of(job).items() if name in model.inputs}


def input_json(facts: InputFacts) -> Json:
    named = {"width": facts.width_px, "height": facts.height_px, "file_size": facts.bytes}
    return {**fields_of(facts, "format notes"), **named}


def quote_json(quote: Quote, locale: str, *, play_money: bool = False) -> Json:
    return {
        "width": quote.width_px,
        "height": quote.height_px,
        "out_width": quote.out_width_px,
        "out_height": quote.out_height_px,
        "factor": round(quote.out_width_px / quote.width_px, 4),
        **fields_of(quote, "megapixels estimate_nanousd needs_confirmation"),
        "unit_price_usd": dollars(quote.unit_price_nanousd),
        "estimate_usd": dollars(quote.estimate_nanousd),
        "price": cents(quote.estimate_nanousd, locale),
        "play_money": play_money,
        "left": [limit_json(status) for status in quote.left],
        "ask": price_texts.quote_text(quote, locale),
    }


def progress_json(progress: Progress, locale: str) -> Json:
    return {**dataclasses.asdict(progress), "text": progress_texts.stage_text(progress, locale)}


def receipt_json(receipt: Receipt, locale: str) -> Json:
    return {
        **dataclasses.asdict(receipt),
        "charged_usd": dollars(receipt.charged_nanousd),
        "estimate_usd": dollars(receipt.estimate_nanousd),
        "price": cents(receipt.charged_nanousd, locale),
        "units": float(receipt.units) if receipt.units is not None else None,
    }


def shared_json(job: Job, locale: str, base: str) -> Json:
    """The data of a shared page, whose pictures are below `base`; without the file's name and the requester."""
    assert job.result is not None
    return {
        "name": "",
        "input": input_json(job.input) if job.input else None,
        "result": result_json(job, job.result, locale, base, "upscaled"),
        "model": model_name(job.parameters.model, locale),
        "about": result_texts.parameters_line(job, locale),
    }


def result_json(job: Job, result: Result, locale: str, base: str = "", stem: str = "") -> Json:
    """The model's outputs under the model's own names; the URLs are below `base`."""
    base = base or f"/api/jobs/{job.id}"
    small = not is_large(result.bytes, result.width_px, result.height_px)
    before = job.input
    small_before = before is None or not is_large(before.bytes, before.width_px, before.height_px)
    return {
        "image": {
            "url": f"{base}/image",
            "width": result.width_px,
            "height": result.height_px,
            "file_size": result.bytes,
            "file_name": file_name(job, stem),
            "content_type": result.mime,
        },
        "seed": result.seed,
        "timings": {"inference": result.inference_s},
        "caption": result.caption,
        "alt": result_texts.alt_text(job, locale, max_chars=1_000),
        "repeat_of": result.repeat_of,
        "view_url": f"{base}/image" if small else f"{base}/preview",
        "tile_url": None if small else f"{base}/tile?of=result",
        "source_url": f"{base}/source",
        "source_view_url": f"{base}/source" if small_before else f"{base}/source-preview",
        "source_tile_url": None if small_before else f"{base}/tile?of=source",
        "tile_px": TILE_PX,
        "thumb_url": f"{base}/thumb",
        "compare_url": f"{base}/compare",
        "download_url": f"{base}/image?download=1",
        "saved_formats": saved_formats(result.width_px, result.height_px),
    }


def file_name(job: Job, stem: str = "") -> str:
    """The download name: `stem`, the picture's own name or the reference, followed by the factor."""
    stem = stem or job.source.name.rsplit("/", 1)[-1].rsplit(".", 1)[0].strip() or job.id
    safe = "".join(char if char.isalnum() or char in " -_()" else "_" for char in stem)[:80].strip() or job.id
    factor = f"{result_texts.reached_factor(job):g}x"
    return f"{safe}-{factor}{suffix_for(job.result.mime if job.result else 'image/png')}"


def limit_json(status: LimitStatus) -> Json:
    """One limit with its usage; amounts in the measure's own unit (nano-dollars for `usd`)."""
    limit = status.limit
    scope = {"scope": str(limit.scope.kind), "scope_id": limit.scope.id}
    return {
        **scope,
        **fields_of(limit, "measure window amount source model"),
        **fields_of(status, "used held left opens_at"),
    }


def error_json(error: e.UpscaleError, notice: Notice, locale: str, job: Job | None = None) -> Json:
    """`code` and `message` are for scripts; from the rest the page offers alternatives."""
    job_id = job.id if job else ""
    fields: dict[str, str] = {}
    if isinstance(error, e.InvalidParameters):
        for problem in error.problems:
            sentence = parameter_problem(problem, locale)
            name = problem.name or problem.value
            fields[name] = joined(fields.get(name, ""), sentence)
    elif (field := field_of(error)) is not None:
        fields[field] = notice.what
    return {
        "code": error.code,
        "message": notice.text,
        "fields": fields,
        "card": card_json(notice_card(notice, locale, job_id=job_id or "new")),
        **fields_of(notice, "charged reference opens_at"),
        "offers": [dataclasses.asdict(offer) | _text_of(offer, job) for offer in notice.offers],
        "job_id": job_id,
    }


def _text_of(offer: Action, job: Job | None) -> Json:
    """The line that starts what is offered instead of a job, for the image that the page still has."""
    if job is None or offer.kind not in ("factor", "model"):
        return {}
    change = Change.of(offer.kind, offer.argument)
    return {
        "text": words_of(repeated_request(job, job.requester, change, key="", reply=job.reply, private=None).fields)
    }


def fields_of(of: object, names: str) -> Json:
    return {name: getattr(of, name) for name in names.split()}


def dollars(nanousd: int) -> float:
    """For display only; sums use the integers."""
    return nanousd / NANOUSD_PER_USD
