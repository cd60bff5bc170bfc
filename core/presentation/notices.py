"""What people are told, as data that each platform lays out in its own way."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal, TypeAlias

from core.presentation.translations import translated


@dataclass(frozen=True, slots=True)
class Offer:
    """A button: run with this `factor` or `model`, which would work instead; or the operator's verdict on a `place`."""

    kind: Literal["factor", "admit", "refuse", "model"]
    factor: float
    label: str
    place: str = ""
    """The reference of a `core.domain.identity.Place`."""
    model: str = ""


@dataclass(frozen=True, slots=True)
class Notice:
    """One answer in plain words. Sentences are plain text: a platform escapes them as its markup needs.

    `what` says what happened, `charged` whether it cost anything, `advice` what to do; any but `what` may be empty.
    `in_public` stands in for `what` where others read it too, and tells nothing of the member's own money.
    `opens_at` (unix seconds) is when a limit opens again, for platforms that can count down by themselves.
    """

    what: str
    charged: str = ""
    advice: str = ""
    reference: str = ""
    opens_at: float | None = None
    offers: tuple[Offer, ...] = ()
    tone: Literal["error", "refusal", "info"] = "error"
    in_public: str = ""

    @property
    def text(self) -> str:
        """All sentences in one line, without the reference."""
        return " ".join(part for part in (self.what, self.charged, self.advice) if part)


Explainer: TypeAlias = Callable[[Any, str], Notice]
"""(error, locale) -> what people are told."""


def plain(sentence: str, advice: str = "", tone: Literal["error", "refusal", "info"] = "error") -> Explainer:
    """An explainer that looks at nothing but the locale."""
    return lambda error, locale: Notice(
        translated(sentence, locale), advice=translated(advice, locale) if advice else "", tone=tone
    )
