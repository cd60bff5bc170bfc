"""Help and form fields, generated from the parameters' specification. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from core.domain.models import Input, Models
from core.domain.parameters import sizes
from core.domain.parameters.spec import PRESETS, SPECS
from core.presentation.card import Action, Card, Code, Line, Section, fill, line_of, lines
from core.presentation.cards.account import OwnSettings
from core.presentation.cards.budget import play_money_text
from core.presentation.formats import cents
from core.presentation.texts.command_texts import command_text, preset_choice
from core.presentation.texts.parameter_texts import (
    allowed_text,
    model_choice,
    parameter_hint,
    parameter_label,
    preset_text,
    value_text,
)
from core.presentation.translations import tr

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
    """`commands` are pairs of what to type and the key of its description, `ways` sentences about other ways in.

    `save_preset` is what to type to save a preset.
    """
    models = service.models
    price = tr("Above {price} you are asked first.", locale, price=cents(service.confirm_above_nanousd, locale))
    parts = [Section(tr("Parameters", locale), paragraphs=_parameters(locale, models))]
    if any(name in models.inputs for values in PRESETS.values() for name in values if name != "factor"):
        presets = ", ".join(preset_text(name, values) for name, values in PRESETS.items())
        told = presets + ". " + tr("Values you set yourself override them.", locale)
        own = fill(tr("Save your own with {command}.", locale), command=Code(save_preset))
        parts.append(Section(tr("Presets", locale), paragraphs=(*lines(told), own)))
    return Card(
        "working",
        tr("How to upscale an image", locale),
        paragraphs=(*(line_of(Code(words), f" {command_text(key, locale)}") for words, key in commands), *lines(*ways)),
        sections=tuple(parts),
        small=lines(price, play_money_text(locale) if service.play_money else ""),
        rows=(actions,) if actions else (),
    )


def other_ways(locale: str) -> str:
    """For platforms where messages can mention the bot and have a menu."""
    return tr(
        "Or mention me with an image, send me one in a direct message, "
        "or use “Upscale this image” in the menu of any message.",
        locale,
    )


def _parameters(locale: str, models: Models) -> tuple[Line, ...]:
    names = [name for name in SPECS if name in models.inputs or name == "to" or (name == "model" and len(models) > 1)]
    return tuple(
        line_of(Code(name), f" {allowed_text(name, locale, models)} · {parameter_hint(name, locale)}") for name in names
    )


@dataclass(frozen=True, slots=True)
class Field:
    """A form field: a choice if `choices` (labels by value) is set, a number if `number` is, else free text.

    `placeholder` is the value that applies if it is left empty, or an example.
    """

    name: str
    label: str
    hint: str = ""
    placeholder: str = ""
    choices: Mapping[str, str] = field(default_factory=dict)
    number: Input | None = None


def form_fields(models: Models, own: OwnSettings, locale: str) -> dict[str, Field]:
    """The fields by parameter name, in the order of a form; `own` gives the placeholders."""
    saved, inputs = own.defaults, models.inputs
    shown: dict[str, object] = {"model": models.default.id, "preset": tr("none", locale), "to": sizes.ALLOWED, **saved}
    choices: dict[str, Mapping[str, str]] = {}
    if len(models) > 1:
        choices["model"] = {model.id: model_choice(model.id, models, locale) for model in models}
    if "creativity" in inputs:
        named = {**PRESETS, **own.presets}.items()
        choices["preset"] = {name: preset_choice(name, values, locale) for name, values in named}
    fields = []
    for name in (*choices, "to"):
        offered, usual = choices.get(name, {}), str(shown[name])
        label, hint = parameter_label(name, locale), command_text(name, locale)
        fields.append(Field(name, label, hint, offered.get(usual, usual), offered))
    for name, known in inputs.items():
        if SPECS[name].kind in ("float", "int"):
            default = saved.get(name, known.default)
            usual = tr("random", locale) if default is None else value_text(default)
            label = f"{parameter_label(name, locale)} ({known.allowed})"
            fields.append(Field(name, label, command_text(name, locale), usual, number=known))
    return {one.name: one for one in fields}
