"""The model's parameters: names, ranges, presets, and which value wins. Pure; reads no text.

`core.domain.parameters.grammar` parses what people type and `core.domain.parameters.values` judges single values; both
end in `Parsed`, so that a mistake gets the same answer everywhere. Ranges and defaults are those of
fal-ai/flux-vision-upscaler (its model page and fal-js endpoint types, read 2026-11-22).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, fields, replace
from typing import Literal, TypeAlias

Value: TypeAlias = float | int | bool
Kind: TypeAlias = Literal["float", "int", "bool"]

SEED_MAX = 2**32 - 1


@dataclass(frozen=True, slots=True)
class Spec:
    """One parameter: its chat name, the model's own name, and what it may be. `low`/`high` are inclusive."""

    name: str
    api_name: str
    kind: Kind
    low: float
    high: float
    default: Value | None
    aliases: tuple[str, ...] = ()

    @property
    def allowed(self) -> str:
        """The range as people read it, e.g. `1–4`, `4–50`, `on or off`."""
        return "on or off" if self.kind == "bool" else f"{self.low:g}–{int(self.high)}"


SPECS: dict[str, Spec] = {
    spec.name: spec
    for spec in (
        Spec("factor", "upscale_factor", "float", 1, 4, 2.0, ("scale", "upscale")),
        Spec("creativity", "creativity", "float", 0, 1, 0.3),
        Spec("guidance", "guidance", "float", 1, 4, 1.0, ("guidance_scale", "cfg")),
        Spec("steps", "steps", "int", 4, 50, 20, ("num_inference_steps",)),
        Spec("seed", "seed", "int", 0, SEED_MAX, None),
        Spec("safety", "enable_safety_checker", "bool", 0, 1, True, ("safety_checker",)),
    )
}

PRESETS: dict[str, dict[str, Value]] = {
    "faithful": {"creativity": 0.1},
    "balanced": {"factor": 2.0, "creativity": 0.3, "guidance": 1.0, "steps": 20},
    "creative": {"creativity": 0.6},
}


@dataclass(frozen=True, slots=True)
class Parameters:
    """A valid set. `seed` None means: choose one when the job is made."""

    factor: float = 2.0
    creativity: float = 0.3
    guidance: float = 1.0
    steps: int = 20
    seed: int | None = None
    safety: bool = True

    def with_values(self, **values: Value | None) -> Parameters:
        """A copy with these chat-named values replaced; values are trusted to be valid."""
        return replace(self, **values)  # type: ignore[arg-type]

    def as_text(self) -> str:
        """The set as `key=value` words that the parser reads back to the same set."""
        words = []
        for item in fields(self):
            value = getattr(self, item.name)
            if value is None:
                continue
            shown = ("on" if value else "off") if isinstance(value, bool) else repr(value)
            words.append(f"{item.name}={shown}")
        return " ".join(words)


@dataclass(frozen=True, slots=True)
class Parsed:
    """What one text, or one set of typed options, says. All of it is valid; what is not said is absent.

    `values` are by chat name, `links` are addresses in the order typed (judged by `core.net.fetch`, not here).
    """

    values: Mapping[str, Value] = field(default_factory=dict)
    preset: str | None = None
    private: bool | None = None
    links: tuple[str, ...] = ()


def resolve(text: Parsed, options: Parsed = Parsed(), defaults: Mapping[str, Value | str] | None = None) -> Parameters:
    """The set that counts: the model's defaults < the member's saved ones < the preset < explicit values.

    Typed `options` win over `text`. `defaults` are trusted but may hold a `preset`, which is weaker than the values
    saved beside it; names that are no parameter are left out.
    """
    saved = dict(defaults or {})
    chosen: dict[str, Value | str] = {}
    chosen.update(PRESETS.get(str(saved.get("preset")), {}))
    chosen.update({name: value for name, value in saved.items() if name in SPECS})
    chosen.update(PRESETS.get(options.preset or text.preset or "", {}))
    chosen.update(text.values)
    chosen.update(options.values)
    return Parameters().with_values(**chosen)  # type: ignore[arg-type]
