"""What the bot does, what can be typed, and every parameter with its range, from the spec. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from core.domain.models import Models
from core.domain.parameters.spec import PRESETS, SPECS
from core.presentation.card import Action, Card, Code, Line, Section, fill, lines, one
from core.presentation.cards.budget import play_money_text
from core.presentation.labels import command_text
from core.presentation.parameter_texts import allowed_text, parameter_hint, preset_text
from core.presentation.translations import cents, tr

if TYPE_CHECKING:
    from core.jobs.service import JobService


def help_card(
    locale: str,
    commands: Sequence[tuple[str, str]],
    service: JobService,
    *,
    save_preset: str,
    ways: Sequence[str] = (),
    actions: tuple[Action, ...] = (),
) -> Card:
    """`commands` are (what to type, key of its text), `ways` the other ways in; parameters are what `service` offers.

    `save_preset`: what to type to save one of one's own.
    """
    models = service.models
    price = tr("Above {price} you are asked first.", locale, price=cents(service.confirm_above_nanousd, locale))
    parts = [Section(tr("Parameters", locale), paragraphs=_parameters(locale, models))]
    if any(name in models.widest for values in PRESETS.values() for name in values if name != "factor"):
        presets = ", ".join(preset_text(name, values) for name, values in PRESETS.items())
        told = presets + ". " + tr("Values you set yourself override them.", locale)
        own = fill(tr("Save your own with {command}.", locale), command=Code(save_preset))
        parts.append(Section(tr("Presets", locale), paragraphs=(*lines(told), own)))
    return Card(
        "working",
        tr("How to upscale an image", locale),
        paragraphs=(*(one(Code(words), f" {command_text(key, locale)}") for words, key in commands), *lines(*ways)),
        sections=tuple(parts),
        small=lines(price, play_money_text(locale) if service.play_money else ""),
        rows=(actions,) if actions else (),
    )


def other_ways(locale: str) -> str:
    """How to hand in an image without typing a command, where messages can mention the bot and have a menu."""
    return tr(
        "Or mention me with an image, send me one in a direct message, "
        "or use “Upscale this image” in the menu of any message.",
        locale,
    )


def _parameters(locale: str, models: Models) -> tuple[Line, ...]:
    names = [name for name in SPECS if name in models.widest or name == "to" or (name == "model" and len(models) > 1)]
    return tuple(
        one(Code(name), f" {allowed_text(name, locale, models)} · {parameter_hint(name, locale)}") for name in names
    )
