"""What each parameter is called and does, for options, forms, controls and help. Ranges are in the spec itself."""

from __future__ import annotations

from collections.abc import Mapping

from core.domain.parameters.spec import SPECS
from core.presentation.formats import number
from core.presentation.translations import tr


def parameter_label(name: str, locale: str) -> str:
    """The name on a form; the name that is typed where a parameter has no other."""
    labels = {
        "factor": tr("Factor", locale),
        "creativity": tr("Creativity", locale),
        "guidance": tr("Guidance", locale),
        "steps": tr("Steps", locale),
        "seed": tr("Seed", locale),
        "safety": tr("Safety check", locale),
    }
    return labels.get(name, name)


def parameter_hint(name: str, locale: str) -> str:
    """What it does, in a few words; empty for one that is not known here."""
    hints = {
        "factor": tr("How many times larger each side gets", locale),
        "creativity": tr("How much detail the model may invent", locale),
        "guidance": tr("How closely it follows its own description", locale),
        "steps": tr("More steps take longer", locale),
        "seed": tr("The same number repeats a result; empty is random", locale),
        "safety": tr("Refuses unsafe images", locale),
    }
    return hints.get(name, "")


def allowed_text(name: str, locale: str) -> str:
    """The range as people read it: `1–4`, `on or off`, `any number`."""
    spec = SPECS[name]
    if spec.kind == "bool":
        return tr("on or off", locale)
    return tr("any whole number", locale) if name == "seed" else spec.allowed


def value_text(value: object, locale: str) -> str:
    """A value as people type it: `3` rather than `3.0`, `on`, `off`; a dash for none."""
    if isinstance(value, bool):
        return "on" if value else "off"
    if value is None:
        return "–"
    return number(value, "en", "0.####") if isinstance(value, float) else str(value)


def preset_text(name: str, values: Mapping[str, object], locale: str) -> str:
    """`creative (creativity 0.6)`."""
    inner = ", ".join(f"{key} {value_text(value, locale)}" for key, value in values.items())
    return f"{name} ({inner})" if inner else name
