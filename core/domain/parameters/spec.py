"""The parameters that people may give: names, kinds, labels, presets, and which value wins. Pure; reads no text.

Commands, forms, controls, flags, help and details are made from `SPECS`. What a parameter may be, and what it is
called at the provider, is the model's: `core.domain.models`.
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
    """Marks a sentence for the translators; `core.presentation` shows it in the reader's language."""
    return sentence


@dataclass(frozen=True, slots=True)
class Spec:
    """One parameter: the name that people type, further names, a label and one line of explanation (English)."""

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
"""Values by the name of their preset."""

PRESETS: Presets = {
    "faithful": {"creativity": 0.1},
    "balanced": {"factor": 2.0, "creativity": 0.3, "guidance": 1.0, "steps": 20},
    "creative": {"creativity": 0.6},
}


@dataclass(frozen=True, slots=True)
class Parameters:
    """A valid set. None: the model has no such input; a `seed` of None is also chosen when the job is made.

    What a job of 0.1.0 does not say is what flux has; a further field is None, for the jobs that were stored without.
    """

    model: str = "flux"
    factor: float = 2.0
    creativity: float | None = 0.3
    guidance: float | None = 1.0
    steps: int | None = 20
    seed: int | None = None
    safety: bool = True
    to: str | None = None
    """A size instead of a factor (`core.domain.parameters.sizes`); the factor is worked out once the size is known."""
    preset: str = field(default="", compare=False)
    """The name of the preset that some of the values came from; no value itself."""

    def with_values(self, **values: Value | None) -> Self:
        """A copy with these chat-named values replaced; values are trusted to be valid."""
        return replace(self, **values)  # type: ignore[arg-type]

    def given(self) -> dict[str, Value]:
        """Every value there is, by chat name."""
        found = {item.name: getattr(self, item.name) for item in fields(self) if item.compare}
        return {name: value for name, value in found.items() if value is not None}

    def as_text(self) -> str:
        """The set as `key=value` words, the same for the same set and no other."""
        return " ".join(f"{name}={_written(value)}" for name, value in self.given().items())


def _written(value: Value) -> str:
    if isinstance(value, bool):
        return "on" if value else "off"
    return value if isinstance(value, str) else repr(value)


@dataclass(frozen=True, slots=True)
class Parsed:
    """What one text, or one set of typed options, says. All of it is valid; what is not said is absent.

    `values` are by chat name, `links` are addresses in the order typed (judged by `core.net.fetch`, not here), and
    `preset_values` what the preset stands for.
    """

    values: Mapping[str, Value] = field(default_factory=dict)
    preset: str | None = None
    private: bool | None = None
    links: tuple[str, ...] = ()
    preset_values: Mapping[str, Value] = field(default_factory=dict)
