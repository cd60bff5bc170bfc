"""The models on offer, as data: one TOML file each in this folder, and nothing else to write for another one.

A file names the endpoint, the inputs under chat names with their ranges, defaults and names at the provider, what is
always sent beside them, the price, what comes back, and the words for people.
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
"""What a stored job that names no model was made with."""

_NOTHING = Parsed()

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
        """The range as people read it, e.g. `1–4`, `4–50`, `on or off`."""
        return "on or off" if SPECS[self.name].kind == "bool" else f"{self.low:g}–{int(self.high)}"


@dataclass(frozen=True, slots=True)
class ModelSpec:
    """One model. `unit_price_nanousd` is per output megapixel, where nothing newer is known of it."""

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
        """The endpoint without its path: under it the queue knows the requests."""
        return "/".join(self.endpoint.split("/")[:2])

    @property
    def largest_factor(self) -> float:
        """The most that one run enlarges."""
        return self.inputs["factor"].high

    def accepts(self, name: str, value: Value) -> bool:
        """Whether it has this input, and this valid value of some model is in its range."""
        found = self.inputs.get(name)
        return found is not None and (isinstance(value, str) or found.low <= value <= found.high)

    def name(self, language: str = "en") -> str:
        """What people call it."""
        return self._word("name", language)

    def about(self, language: str = "en") -> str:
        """What it is good for, as the end of a sentence."""
        return self._word("about", language)

    def _word(self, key: str, language: str) -> str:
        words = self.words.get(language.replace("-", "_").split("_")[0].lower(), {})
        return words.get(key) or self.words["en"][key]

    def request(self, parameters: Parameters, image_url: str) -> dict[str, Value]:
        values = {each.api_name: getattr(parameters, name) for name, each in self.inputs.items()}
        return {"image_url": image_url, **{name: v for name, v in values.items() if v is not None}, **self.fixed}


def read_model(text: str) -> ModelSpec:
    """A model from its TOML. Raises ValueError, which says what is wrong with it."""
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
    SPECS[name]  # an input that no parameter stands for could not be given
    return Input(name, facts.get("api_name", name), facts.get("low", 0), facts.get("high", 1), facts.get("default"))


class Models(tuple[ModelSpec, ...]):
    """The models that are offered, best first: the first is what somebody gets who names none.

    `known` are also those that are not offered (any more), of which there may be stored jobs.
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
        """The offered model of this name, in any case; None where there is none."""
        wanted = str(model_id).strip().lower()
        return next((model for model in self if model.id == wanted), None)

    def offered(self, ids: Sequence[str] = (), *, backend: Backend | None = None) -> Models:
        """Those of a backend, or those named, in that order. Raises ValueError for a name that is none."""
        here = [model for model in self if backend in (None, model.backend)]
        unknown = set(ids) - {model.id for model in here}
        if unknown:
            raise ValueError(f"There is no model {', '.join(sorted(unknown))}; there is {', '.join(self.ids)}.")
        return Models([next(m for m in here if m.id == name) for name in ids] if ids else here, self.known)

    def for_provider(self, provider: Literal["fal", "local", "sandbox"], listed: Sequence[str]) -> Models:
        """What a provider offers of those `listed`, of all where there is none; the sandbox plays those of fal.

        Beside fal, this machine's are free, and offered where they are listed.
        """
        if provider != "fal":
            here = self.offered(backend="local" if provider == "local" else "fal")
            return here.offered([name for name in listed if here.find(name)])
        known = [replace(model, unit_price_nanousd=0) if model.backend == "local" else model for model in self.known]
        return Models(known).offered(listed, backend=None if listed else "fal")

    def of(self, parameters: Parameters) -> ModelSpec:
        """The model of a job, offered still or not. Raises ModelFailed where nobody knows it any more."""
        for model in self.known:
            if model.id == parameters.model:
                return model
        raise ModelFailed(kind="model_gone", billed=False)

    @cached_property
    def inputs(self) -> dict[str, Input]:
        """Every input that one of them has, with the widest range; the default is that of the first which has it."""
        found: dict[str, Input] = {}
        for name in SPECS:
            own = [model.inputs[name] for model in self if name in model.inputs]
            if own:
                low, high = min(each.low for each in own), max(each.high for each in own)
                found[name] = Input(name, own[0].api_name, low, high, own[0].default)
        return found

    def resolve(self, asked: Parsed = _NOTHING, defaults: Mapping[str, Value] | None = None) -> Parameters:
        """The set that counts: the model's defaults < the member's saved ones < the preset < explicit values.

        `defaults` may hold a `preset`, which is weaker than the values saved beside
        it, and anything that this model does not have, which is left out.
        """
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
"""Every model that has a file here."""

MODELS = ALL.offered(backend="fal")
"""Those at fal."""
