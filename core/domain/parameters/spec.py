"""The parameters that people may give: names, kinds, labels and presets. Pure.

Commands, forms, controls, flags, help and details are generated from `SPECS`. Ranges, defaults and the names at the
provider belong to each model: `core.domain.models`.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, fields, replace
from typing import Literal, Self, TypeAlias

Value: TypeAlias = float | int | bool | str
Fields: TypeAlias = Mapping[str, Value]
"""Typed options by chat or API name."""

Kind: TypeAlias = Literal["float", "int", "bool", "choice", "size"]

SEED_MAX = 2**32 - 1


def translatable(sentence: str) -> str:
    """Mark a sentence for translation; `core.presentation` translates it when it is displayed."""
    return sentence


@dataclass(frozen=True, slots=True)
class Spec:
    """One parameter: the name that people type, aliases, a label and a one-line hint (English)."""

    name: str
    kind: Kind
    label: str
    hint: str
    aliases: tuple[str, ...] = ()


SPECS: dict[str, Spec] = {
    spec.name: spec
    for spec in (
        Spec("model", "choice", translatable("Model"), translatable("Which model upscales the image")),
        Spec(
            "factor",
            "float",
            translatable("Factor"),
            translatable("How many times larger"),
            ("upscale_factor", "scale", "upscale"),
        ),
        Spec(
            "to",
            "size",
            translatable("Size"),
            translatable("Instead of a factor: a size, a paper, or the most to spend"),
            ("size", "width", "height", "max"),
        ),
        Spec("creativity", "float", translatable("Creativity"), translatable("How freely new details are drawn")),
        Spec(
            "guidance",
            "float",
            translatable("Guidance"),
            translatable("How closely the model follows its own description"),
            ("guidance_scale", "cfg"),
        ),
        Spec(
            "steps",
            "int",
            translatable("Steps"),
            translatable("More take longer and may look finer"),
            ("num_inference_steps",),
        ),
        Spec("seed", "int", translatable("Seed"), translatable("The same seed and values give the same image again")),
        Spec(
            "safety",
            "bool",
            translatable("Safety check"),
            translatable("The model's own check; off only where it is allowed"),
            ("enable_safety_checker", "safety_checker"),
        ),
    )
}

Presets: TypeAlias = Mapping[str, Mapping[str, Value]]
"""Values by preset name."""

PRESETS: Presets = {
    "faithful": {"creativity": 0.1},
    "balanced": {"factor": 2.0, "creativity": 0.3, "guidance": 1.0, "steps": 20},
    "creative": {"creativity": 0.6},
}


@dataclass(frozen=True, slots=True)
class Parameters:
    """A valid set of values. None: the model has no such input, or, for `seed`, it is chosen when the job is made.

    The defaults are those of flux, for jobs stored by 0.1.0; a new field must default to None, for older stored jobs.
    """

    model: str = "flux"
    factor: float = 2.0
    creativity: float | None = 0.3
    guidance: float | None = 1.0
    steps: int | None = 20
    seed: int | None = None
    safety: bool = True
    to: str | None = None
    """A size instead of a factor (`core.domain.parameters.sizes`); the factor is computed once the size is known."""
    preset: str = field(default="", compare=False)
    """The preset that some of the values came from."""

    def with_values(self, **values: Value | None) -> Self:
        """Return a copy with these values replaced, without validation."""
        return replace(self, **values)  # type: ignore[arg-type]

    def given(self) -> dict[str, Value]:
        """Return every value that is not None, by chat name."""
        found = {item.name: getattr(self, item.name) for item in fields(self) if item.compare}
        return {name: value for name, value in found.items() if value is not None}

    def as_text(self) -> str:
        """Return `key=value` words, which are equal only for equal sets."""
        return " ".join(f"{name}={_written(value)}" for name, value in self.given().items())


def _written(value: Value) -> str:
    if isinstance(value, bool):
        return "on" if value else "off"
    return value if isinstance(value, str) else repr(value)


@dataclass(frozen=True, slots=True)
class Parsed:
    """The valid parameters of one request; what was not given is absent.

    `values` are by chat name; `links` are URLs in the order typed, not yet checked by `core.net.fetch`;
    `preset_values` are the values of `preset`.
    """

    values: Mapping[str, Value] = field(default_factory=dict)
    preset: str | None = None
    private: bool | None = None
    links: tuple[str, ...] = ()
    preset_values: Mapping[str, Value] = field(default_factory=dict)
