"""The fields of a form for one upscale; a platform draws those that it has room for, the core judges them. Pure."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from core.domain.models import Input, Models
from core.domain.parameters import sizes
from core.domain.parameters.spec import PRESETS, SPECS
from core.presentation.cards.account import OwnSettings
from core.presentation.labels import command_text, preset_choice
from core.presentation.parameter_texts import model_choice, parameter_label, value_text
from core.presentation.translations import tr


@dataclass(frozen=True, slots=True)
class Field:
    """With `choices` (words by value) one of them, with a `number` one in its range, else free text.

    `placeholder`: what counts where it is left empty, or how to write it.
    """

    name: str
    label: str
    hint: str = ""
    placeholder: str = ""
    choices: Mapping[str, str] = field(default_factory=dict)
    number: Input | None = None


def form_fields(models: Models, own: OwnSettings, locale: str) -> dict[str, Field]:
    """By the names of their parameters, in the order of a form; `own` shows through where a field is left empty."""
    saved, widest = own.defaults, models.widest
    shown: dict[str, object] = {"model": models.default.id, "preset": tr("none", locale), "to": sizes.ALLOWED, **saved}
    choices: dict[str, Mapping[str, str]] = {}
    if len(models) > 1:
        choices["model"] = {model.id: model_choice(model.id, models, locale) for model in models}
    if "creativity" in widest:
        named = {**PRESETS, **own.presets}.items()
        choices["preset"] = {name: preset_choice(name, values, locale) for name, values in named}
    fields = []
    for name in (*choices, "to"):
        offered, usual = choices.get(name, {}), str(shown[name])
        label, hint = parameter_label(name, locale), command_text(name, locale)
        fields.append(Field(name, label, hint, offered.get(usual, usual), offered))
    for name, known in widest.items():
        if SPECS[name].kind in ("float", "int"):
            default = saved.get(name, known.default)
            usual = tr("random", locale) if default is None else value_text(default)
            label = f"{parameter_label(name, locale)} ({known.allowed})"
            fields.append(Field(name, label, command_text(name, locale), usual, number=known))
    return {one.name: one for one in fields}
