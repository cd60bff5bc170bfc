"""The simplest explainer: the same sentence for every error of a kind."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Literal, TypeAlias

from core.presentation.notices import Notice

Explainer: TypeAlias = Callable[[Any, str], Notice]
"""(error, locale) -> what people are told."""


def plain(
    sentence: Callable[[str], str],
    advice: Callable[[str], str] = lambda _: "",
    tone: Literal["error", "refusal", "info"] = "error",
) -> Explainer:
    """An explainer that looks at nothing but the locale."""
    return lambda error, locale: Notice(sentence(locale), advice=advice(locale), tone=tone)
