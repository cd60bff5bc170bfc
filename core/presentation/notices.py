"""Notices (failures, refusals, alerts) as data, their cards, and cards for short answers. Pure."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Literal, TypeAlias

from core.domain.errors import JobNotFound
from core.presentation.card import Action, Card, Code, Line, Link, Moment, Tone, fill, lines
from core.presentation.formats import factor_text
from core.presentation.translations import joined, tr, translated

if TYPE_CHECKING:
    from core.ports import KnownPlace


@dataclass(frozen=True, slots=True)
class Notice:
    """An answer in plain sentences without markup; adapters escape them.

    `what` says what happened, `charged` whether it cost anything, `advice` what to do; any but `what` may be empty.
    `in_public` replaces `what` where others read it too, and does not reveal the member's budget.
    `opens_at` (unix seconds) is when a limit resets, for platforms that can count down by themselves.
    `offers` are buttons with alternatives (those without a subject get the job's id), or an operator's choices.
    """

    what: str
    charged: str = ""
    advice: str = ""
    reference: str = ""
    opens_at: float | None = None
    offers: tuple[Action, ...] = ()
    tone: Literal["error", "refusal", "info"] = "error"
    in_public: str = ""

    @property
    def text(self) -> str:
        """All sentences in one line, without the reference."""
        return joined(self.what, self.charged, self.advice)


Explainer: TypeAlias = Callable[[Any, str], Notice]
"""(error, locale) -> notice."""


def fixed_notice(sentence: str, advice: str = "", tone: Literal["error", "refusal", "info"] = "error") -> Explainer:
    """An explainer that returns the same notice for every error."""
    return lambda error, locale: Notice(
        translated(sentence, locale), advice=translated(advice, locale) if advice else "", tone=tone
    )


def other_factor(factor: float | None, locale: str) -> tuple[Action, ...]:
    """The button for the largest factor that would work; empty if that does not exceed 1."""
    if factor is None or factor <= 1:
        return ()
    label = tr("Upscale {factor} instead", locale, factor=factor_text(factor, locale))
    return (Action("factor", label, argument=f"{factor:.4f}".rstrip("0").rstrip("."), style="primary"),)


def notice_card(notice: Notice, locale: str, *, job_id: str = "") -> Card:
    """The card of a notice; `job_id` is the job that its offers apply to."""
    actions = offer_actions(notice, job_id)
    return Card(
        notice.tone,
        paragraphs=notice_lines(notice, locale),
        small=reference_line(notice.reference, locale),
        rows=(actions,) if actions else (),
        summary=notice.text,
    )


def offer_actions(notice: Notice, job_id: str) -> tuple[Action, ...]:
    """The notice's offers with `job_id` as their subject; without a job only those that have a subject."""
    known = (replace(offer, subject_id=offer.subject_id or job_id) for offer in notice.offers)
    return tuple(offer for offer in known if offer.subject_id)


def plain_card(*sentences: str, tone: Tone = "info") -> Card:
    return Card(tone, paragraphs=lines(*sentences))


def share_link_card(url: str | None, locale: str) -> Card:
    """The link to a shared result. Raises JobNotFound if `url` is None."""
    if url is None:
        raise JobNotFound
    text = tr("Anyone with this link sees the image until it is deleted.", locale)
    return Card("done", paragraphs=((Link(url, url),), (text,)))


def place_decision_card(known: KnownPlace, locale: str) -> Card:
    name = known.name or known.place.address
    if known.state == "admitted":
        return plain_card(tr("{name} is let in. You pay for its upscales, within your limits.", locale, name=name))
    return plain_card(tr("{name} is refused, and you will not be asked again.", locale, name=name))


def confirmation_card(action: Action, question_id: str = "") -> Card:
    """The confirmation of an action as a card, for platforms without a dialog. Raises ValueError if it has none.

    The button carries `question_id` as its argument.
    """
    sure = action.confirmation
    if sure is None:
        raise ValueError("this action asks nothing")
    yes = Action(action.kind, sure.yes, action.subject_id, question_id, "danger")
    return Card("question", sure.title, paragraphs=lines(sure.text), rows=((yes,),))


def notice_lines(notice: Notice, locale: str) -> tuple[Line, ...]:
    """The sentences of a notice, one fact per line; the first is `what`."""
    sentences = lines(notice.what, notice.charged, notice.advice)
    if notice.opens_at is None:
        return sentences
    return (*sentences, fill(tr("Resets {time}.", locale), time=Moment(notice.opens_at)))


def reference_line(reference: str, locale: str) -> tuple[Line, ...]:
    return (fill(tr("Reference {reference}", locale), reference=Code(reference)),) if reference else ()
