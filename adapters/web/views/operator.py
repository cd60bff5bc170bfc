"""The JSON of the operator's page. Pure."""

from adapters.web.views.card import Json, fields_of
from core.budgets.reports import UsageReport
from core.domain.job import Job, JobState
from core.ports import KnownPlace
from core.presentation import Notice, cents, image_count, tr
from core.presentation.cards.budget import held_text
from core.presentation.texts import progress_texts, result_texts

MAX_MEMBERS = 10


def job_row(job: Job, locale: str, notice: Notice | None) -> Json:
    """A job of any platform: who, where, size, price, state and its reason."""
    who = job.requester
    money = job.receipt.charged_nanousd if job.receipt else job.quote.estimate_nanousd if job.quote else None
    return {
        "job_id": job.id,
        "platform": who.platform,
        "place": ":".join(filter(None, (who.workspace_id, who.channel_id))),
        "who": tr("the page", locale) if who.platform == "web" else who.user_name or who.user_id,
        "size": result_texts.size_line(job, locale) or _asked_size(job),
        "price": cents(money, locale) if money is not None else "",
        "charged": job.receipt is not None,
        "state": str(job.state),
        "state_text": progress_texts.state_text(job, locale),
        "why": _state_reason(job, locale, notice),
        "created_at": job.created_at,
        "can_cancel": not job.state.terminal and not job.cancel_requested_by and job.state is not JobState.DELIVERING,
    }


def _asked_size(job: Job) -> str:
    quote = job.quote
    return f"{quote.width_px}×{quote.height_px} → {quote.out_width_px}×{quote.out_height_px}" if quote else ""


def _state_reason(job: Job, locale: str, notice: Notice | None) -> str:
    if notice is not None:
        return notice.what
    if job.state.terminal:
        return ""
    if job.cancel_requested_by:
        return progress_texts.cancel_pending_text(locale)
    return progress_texts.status_text(job, locale)


def spend_json(report: UsageReport, locale: str) -> Json:
    return {
        "charged": cents(report.charged_nanousd, locale),
        "note": held_text(report, locale),
        "images": image_count(report.jobs, locale),
        "members": [
            {**fields_of(row, "key jobs"), "name": row.label or row.key, "charged": cents(row.charged_nanousd, locale)}
            for row in report.members[:MAX_MEMBERS]
        ],
    }


def place_json(known: KnownPlace, locale: str) -> Json:
    states = {"asked": tr("asks to be let in", locale), "admitted": tr("let in", locale)}
    return {
        **fields_of(known, "name by state at"),
        "reference": known.place.reference,
        "address": known.place.address,
        "state_text": states.get(known.state, tr("refused", locale)),
    }
