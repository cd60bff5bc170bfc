"""The card's own helpers: lines from sentences, and a plain line for notifications."""

from __future__ import annotations

from core.presentation.card import Card, Code, Mention, Moment, Strong, fill, line_text, plain_summary


def test_a_sentence_takes_spans_in_whatever_order_a_language_has() -> None:
    moment, code = Moment(1.0), Code("/help")
    assert fill("{how} until {time}.", time=moment, how=code) == (code, " until ", moment, ".")
    assert fill("Until {time}", time=moment) == ("Until ", moment)
    assert fill("No place.", time=moment) == ("No place.",)


def test_a_card_without_a_summary_is_summed_up_by_its_title_and_first_paragraph() -> None:
    card = Card("info", "Limits", paragraphs=((Strong("$1.00"), " for ", Mention("user", "7", "sam")),))
    assert plain_summary(card) == "Limits: $1.00 for sam"
    assert plain_summary(Card("info", "Limits", summary="Two limits")) == "Two limits"
    assert line_text(("Ends ", Moment(1.0))) == "Ends "
