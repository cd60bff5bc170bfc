"""What people are told, as data that each platform lays out in its own way."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal, TypeAlias

from core.presentation.card import Action
from core.presentation.formats import factor_text
from core.presentation.translations import joined, tr, translated


@dataclass(frozen=True, slots=True)
class Notice:
    """One answer in plain words. Sentences are plain text: a platform escapes them as its markup needs.

    `what` says what happened, `charged` whether it cost anything, `advice` what to do; any but `what` may be empty.
    `in_public` stands in for `what` where others read it too, and tells nothing of the member's own money.
    `opens_at` (unix seconds) is when a limit opens again, for platforms that can count down by themselves.
    `offers` are buttons: what would work instead (without a subject: the job's card gives it), or a place's verdicts.
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
"""(error, locale) -> what people are told."""


def plain(sentence: str, advice: str = "", tone: Literal["error", "refusal", "info"] = "error") -> Explainer:
    """An explainer that looks at nothing but the locale."""
    return lambda error, locale: Notice(
        translated(sentence, locale), advice=translated(advice, locale) if advice else "", tone=tone
    )


def other_factor(factor: float | None, locale: str) -> tuple[Action, ...]:
    """The button for the largest factor that would work; nothing where none is worth it."""
    if factor is None or factor <= 1:
        return ()
    label = tr("Upscale {factor} instead", locale, factor=factor_text(factor, locale))
    return (Action("factor", label, argument=f"{factor:.4f}".rstrip("0").rstrip("."), style="primary"),)
