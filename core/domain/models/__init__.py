"""The models as data: one TOML file each in this folder.

A file holds the endpoint, the inputs (by chat name, with range, default and name at the provider), fixed inputs, the
price, the outputs besides the image, and the texts for people.
"""

from __future__ import annotations

import tomllib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from decimal import Decimal
from functools import cached_property
from pathlib import Path
from typing import Any, Literal, TypeAlias

from core.domain.errors import ModelFailed
from core.domain.parameters.spec import PRESETS, SPECS, Parameters, Parsed, Value

FOLDER = Path(__file__).parent
DEFAULT_MODEL = "flux"
"""The model of stored jobs that name none."""

Backend: TypeAlias = Literal["fal", "local"]


@dataclass(frozen=True, slots=True)
class Input:
    """One input of a model. `low`/`high` are inclusive, and 0 and 1 for a switch."""

    name: str
    api_name: str
    low: float
    high: float
    default: Value | None

    @property
    def allowed(self) -> str:
        """The range as text: `1–4`, `4–50`, `on or off`."""
        return "on or off" if SPECS[self.name].kind == "bool" else f"{self.low:g}–{int(self.high)}"


@dataclass(frozen=True, slots=True)
class ModelSpec:
    """One model. `unit_price_nanousd` is per output megapixel, used until the provider's price is known."""

    id: str
    rank: int
    backend: Backend
    endpoint: str
    unit_price_nanousd: int
    inputs: Mapping[str, Input]
    fixed: Mapping[str, Value]
    gives: frozenset[str]
    words: Mapping[str, Mapping[str, str]]

    @property
    def app(self) -> str:
        """The first two segments of the endpoint, under which fal's queue addresses requests."""
        return "/".join(self.endpoint.split("/")[:2])

    @property
    def largest_factor(self) -> float:
        return self.inputs["factor"].high

    def accepts(self, name: str, value: Value) -> bool:
        """Whether the model has this input and a value that is valid for some model is in its range."""
        found = self.inputs.get(name)
        return found is not None and (isinstance(value, str) or found.low <= value <= found.high)

    def name(self, language: str = "en") -> str:
        return self._word("name", language)

    def about(self, language: str = "en") -> str:
        """What the model is good for, as the end of a sentence."""
        return self._word("about", language)

    def _word(self, key: str, language: str) -> str:
        words = self.words.get(language.replace("-", "_").split("_")[0].lower(), {})
        return words.get(key) or self.words["en"][key]

    def request(self, parameters: Parameters, image_url: str) -> dict[str, Value]:
        values = {each.api_name: getattr(parameters, name) for name, each in self.inputs.items()}
        return {"image_url": image_url, **{name: v for name, v in values.items() if v is not None}, **self.fixed}


def read_model(text: str) -> ModelSpec:
    """Parse a model's TOML. Raises ValueError with the reason."""
    data = tomllib.loads(text)
    try:
        inputs = {name: _input(name, facts) for name, facts in data["inputs"].items()}
        model = ModelSpec(
            id=data["id"],
            rank=int(data.get("rank", 5)),
            backend=data["backend"],
            endpoint=data["endpoint"],
            unit_price_nanousd=int(Decimal(data["price_usd"]) * 10**9),
            inputs=inputs,
            fixed=data.get("fixed", {}),
            gives=frozenset(data.get("gives", ())),
            words=data["words"],
        )
    except KeyError as missing:
        raise ValueError(f"A model's file lacks {missing}, or names an input that nobody knows.") from None
    if data.get("price_unit") != "megapixel" or "factor" not in inputs or "en" not in model.words:
        raise ValueError(f"{model.id}: it needs a price per megapixel, a factor, and English words.")
    return model


def _input(name: str, facts: Mapping[str, Any]) -> Input:
    SPECS[name]  # raises KeyError for an input that people could not give
    return Input(name, facts.get("api_name", name), facts.get("low", 0), facts.get("high", 1), facts.get("default"))


class Models(tuple[ModelSpec, ...]):
    """The offered models, best first; the first is the default.

    `known` also has those that are not offered, for which there may be stored jobs.
    """

    known: tuple[ModelSpec, ...]

    def __new__(cls, models: Iterable[ModelSpec], known: Iterable[ModelSpec] = ()) -> Models:
        made = super().__new__(cls, models)
        made.known = tuple(known) or tuple(made)
        return made

    @property
    def default(self) -> ModelSpec:
        return self[0]

    @property
    def ids(self) -> tuple[str, ...]:
        return tuple(model.id for model in self)

    def find(self, model_id: object) -> ModelSpec | None:
        """Return the offered model with this id in any case, or None."""
        wanted = str(model_id).strip().lower()
        return next((model for model in self if model.id == wanted), None)

    def offered(self, ids: Sequence[str] = (), *, backend: Backend | None = None) -> Models:
        """Select the models of a backend, or those listed, in that order. Raises ValueError for an unknown id."""
        here = [model for model in self if backend in (None, model.backend)]
        unknown = set(ids) - {model.id for model in here}
        if unknown:
            raise ValueError(f"There is no model {', '.join(sorted(unknown))}; there is {', '.join(self.ids)}.")
        return Models([next(m for m in here if m.id == name) for name in ids] if ids else here, self.known)

    def for_provider(self, provider: Literal["fal", "local", "sandbox"], listed: Sequence[str]) -> Models:
        """Select what a provider offers of those `listed`, or of all if none are; the sandbox offers fal's models.

        Local models are offered only if listed, and free with fal.
        """
        if provider == "sandbox" and listed:
            return self.offered(listed)
        if provider != "fal":
            here = self.offered(backend="local" if provider == "local" else "fal")
            return here.offered([name for name in listed if here.find(name)])
        known = [replace(model, unit_price_nanousd=0) if model.backend == "local" else model for model in self.known]
        return Models(known).offered(listed, backend=None if listed else "fal")

    def of(self, parameters: Parameters) -> ModelSpec:
        """Return a job's model, whether still offered or not. Raises ModelFailed if its file was removed."""
        for model in self.known:
            if model.id == parameters.model:
                return model
        raise ModelFailed(kind="model_gone", billed=False)

    @cached_property
    def inputs(self) -> dict[str, Input]:
        """Every input of the offered models, with its widest range and the default of the first that has it."""
        found: dict[str, Input] = {}
        for name in SPECS:
            own = [model.inputs[name] for model in self if name in model.inputs]
            if own:
                low, high = min(each.low for each in own), max(each.high for each in own)
                found[name] = Input(name, own[0].api_name, low, high, own[0].default)
        return found

    def resolve(self, asked: Parsed | None = None, defaults: Mapping[str, Value] | None = None) -> Parameters:
        """Merge values by precedence: the model's defaults < the member's saved ones < the preset < explicit values.

        `defaults` may hold a `preset`, which is weaker than the values saved beside it, and values for inputs that
        the model does not have, which are ignored.
        """
        asked = asked or Parsed()
        saved = dict(defaults or {})
        preset = str(saved.get("preset", ""))
        layers = (PRESETS.get(preset, {}), saved, asked.preset_values, asked.values)
        offered = [found for layer in reversed(layers) if (found := self.find(layer.get("model")))]
        model = offered[0] if offered else self.default
        values: dict[str, Value | None] = dict.fromkeys(SPECS)
        values["safety"] = True
        values |= {name: each.default for name, each in model.inputs.items()}
        for layer in layers:
            values |= {name: value for name, value in layer.items() if model.accepts(name, value)}
            values["to"] = layer.get("to", None if "factor" in layer else values["to"])
        counts = any(model.accepts(name, value) for name, value in layers[0].items())
        values["preset"] = asked.preset or (preset if counts else "")
        return Parameters().with_values(**{**values, "model": model.id})


_READ = (read_model(path.read_text("utf-8")) for path in FOLDER.glob("*.toml"))
ALL = Models(sorted(_READ, key=lambda model: (model.rank, model.id)))
"""Every model with a file in this folder."""

MODELS = ALL.offered(backend="fal")
"""The models at fal."""
