"""Notices and short answers that belong to no job's message. Pure."""

from __future__ import annotations

from core.presentation.card import Action, Card, Code, Line, Moment, Style, Tone, fill, lines
from core.presentation.notices import Notice
from core.presentation.translations import tr


def notice_card(notice: Notice, locale: str, *, job_id: str = "") -> Card:
    """What happened, whether it cost anything, what to do; for job `job_id` also what would work instead."""
    styles: dict[str, Style] = {"admit": "success", "refuse": "danger"}
    verdicts = tuple(
        Action("admit" if offer.kind == "admit" else "refuse", offer.label, offer.place, style=styles[offer.kind])
        for offer in notice.offers
        if offer.place
    )
    actions = (*(offer_actions(notice, job_id) if job_id else ()), *verdicts)
    return Card(
        notice.tone,
        paragraphs=notice_lines(notice, locale),
        small=reference_line(notice.reference, locale),
        rows=(actions,) if actions else (),
        summary=notice.text,
    )


def offer_actions(notice: Notice, job_id: str) -> tuple[Action, ...]:
    """What would work instead."""
    return tuple(
        Action("model", offer.label, job_id, offer.model, "primary")
        if offer.kind == "model"
        else Action("factor", offer.label, job_id, f"{offer.factor:.4f}".rstrip("0").rstrip("."), "primary")
        for offer in notice.offers
        if offer.kind in ("factor", "model")
    )


def said(*sentences: str, tone: Tone = "info", title: str = "") -> Card:
    """A few plain sentences."""
    return Card(tone, title, paragraphs=lines(*sentences))


def asked_first(action: Action, question_id: str) -> Card:
    """The question before an action, for a platform without a dialog of its own. Raises ValueError where it has none.

    The button carries `question_id` as its argument.
    """
    sure = action.confirmation
    if sure is None:
        raise ValueError("this action asks nothing")
    yes = Action(action.kind, sure.yes, action.subject_id, question_id, "danger")
    return Card("question", sure.title, paragraphs=lines(sure.text), rows=((yes,),))


def notice_lines(notice: Notice, locale: str) -> tuple[Line, ...]:
    """The sentences of a notice, one fact a line; the first is `what`."""
    told = lines(notice.what, notice.charged, notice.advice)
    if notice.opens_at is None:
        return told
    return (*told, fill(tr("Resets {time}.", locale), time=Moment(notice.opens_at)))


def reference_line(reference: str, locale: str) -> tuple[Line, ...]:
    """The job's reference, to be copied; nothing where there is none."""
    return (fill(tr("Reference {reference}", locale), reference=Code(reference)),) if reference else ()
