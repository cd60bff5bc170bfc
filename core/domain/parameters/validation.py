"""Validates the parameters of a request against its model. Pure."""

import dataclasses
import difflib
import re
from collections.abc import Iterable, Mapping, Sequence

from core.domain.errors import InvalidParameters, ParameterProblem
from core.domain.models import Models, ModelSpec
from core.domain.parameters import sizes
from core.domain.parameters.ordinary_words import within_one_edit
from core.domain.parameters.spec import SPECS, Parsed, Presets, Value
from core.domain.parameters.values import (
    LINK,
    MAX_PROBLEMS,
    RANDOM,
    SHOWN_CHARS,
    Collector,
    Entry,
    as_bool,
    displayed,
    nearest,
    normalised,
    parse_value,
)

_LINK_WITHOUT_SCHEME = re.compile(r"[\w-]+(\.[\w-]+)*\.[a-z]{2,}/\S+", re.IGNORECASE)


class Validator:
    """Validates entries for one model, or for any of those offered if `model` is None.

    `lenient`: the member may have presets that are not in `presets`.
    """

    def __init__(self, models: Models, model: ModelSpec | None, presets: Presets, *, lenient: bool) -> None:
        self._models = models
        self._presets = presets
        self._lenient = lenient
        self._model = model
        self.problems: list[ParameterProblem] = []

    def read(self, entries: Sequence[Entry | ParameterProblem]) -> Parsed:
        """Return the valid entries; the others are added to `problems`."""
        values: dict[str, Value] = {}
        links: dict[str, None] = {}
        for entry in dict.fromkeys(entries):  # 1,000 equal entries are validated once
            if len(self.problems) >= MAX_PROBLEMS:
                break
            value = self._value(entry) if isinstance(entry, Entry) else self._with_suggestion(entry)
            if not isinstance(value, ParameterProblem) and isinstance(entry, Entry):
                if entry.known == "url":
                    links[str(value)] = None
                    continue
                if entry.known == "private":  # once is enough
                    value = values.pop("private", False) or value
                if values.setdefault(entry.known, value) == value:
                    continue
                value = self._conflict(entry, value, values)
            if isinstance(value, ParameterProblem) and value not in self.problems:
                self.problems.append(value)
        if values.get("seed") == RANDOM:
            del values["seed"]
        preset, private = values.pop("preset", None), values.pop("private", None)
        return Parsed(
            values,
            str(preset) if preset is not None else None,
            bool(private) if private is not None else None,
            tuple(links),
            self._presets.get(str(preset), {}),
        )

    def _conflict(self, entry: Entry, value: Value, values: dict[str, Value]) -> ParameterProblem:
        if entry.known == "to":
            return ParameterProblem(sizes.as_typed(str(value)), sizes.as_typed(str(values["to"])), "together")
        return ParameterProblem(normalised(entry.name), displayed(entry.raw), "duplicate", self._allowed(entry.known))

    def _with_suggestion(self, problem: ParameterProblem) -> ParameterProblem:
        if problem.kind != "stray":
            return problem
        if _LINK_WITHOUT_SCHEME.fullmatch(problem.value):
            return dataclasses.replace(problem, suggestion=f"https://{problem.value}")
        size = sizes.parse_target("to", problem.value)  # such as `a4`, which may be a word too
        near = sizes.as_typed(size.text) if size else self._near(problem.value.lower())
        factor = (self._model or self._models.default).inputs["factor"]
        if not isinstance(parse_value(factor, problem.value, "factor", ""), ParameterProblem):
            near = f"{problem.value}x"
        return dataclasses.replace(problem, suggestion=near)

    def _near(self, phrase: str) -> str | None:
        """The name that one of these words nearly is, or the preset that resembles all of them."""
        names = [name for name in (*SPECS, "private", *self._presets, *self._models.ids) if len(name) >= 4]
        close = (name for word in phrase.split() for name in names if word != name and within_one_edit(word, name))
        return next(close, None) or _nearest(phrase, self._presets)

    def _allowed(self, known: str) -> str:
        others = {
            "url": "https://…",
            "preset": ", ".join(self._presets),
            "private": "on or off",
            "model": ", ".join(self._models.ids),
            "to": sizes.ALLOWED,
        }
        if known in others:
            return others[known]
        model = self._model or self._models.default
        found = model.inputs.get(known) or self._models.inputs.get(known)
        if found is None:
            return ""
        ranges = ((other.id, other.inputs[known]) for other in self._models if known in other.inputs)
        wider = [f"{name}: {each.allowed}" for name, each in ranges if each.low < found.low or each.high > found.high]
        return f"{found.allowed} ({', '.join(wider)})" if wider else found.allowed

    def _value(self, entry: Entry) -> Value | ParameterProblem:
        known, raw = entry.known, entry.raw
        if not known:
            return ParameterProblem(displayed(entry.name), displayed(raw), "unknown", "", nearest(entry.name))
        if raw == "":
            return ParameterProblem(displayed(entry.name), "", "missing_value", self._allowed(known))
        match known:
            case "url":
                address = raw.strip("<>").split("|")[0].strip() if isinstance(raw, str) else ""
                return address if LINK.fullmatch(address) else ParameterProblem("url", displayed(raw), "no_link")
            case "private":
                flag = as_bool(raw)
                return self._wrong_type(entry) if flag is None else flag
            case "preset":
                return self._preset(entry)
            case "to":
                name = normalised(entry.name)
                target = sizes.parse_target(name, str(raw))
                if target is None or (target.resembles_factor and name not in ("width", "height")):
                    return self._wrong_type(entry)
                return target.text
            case "model":
                return self._choice(entry, self._models.ids)
        # Without a known model, the first offered one that accepts the value decides.
        found = [self._input(model, entry) for model in ((self._model,) if self._model else self._models)]
        return next((value for value in found if not isinstance(value, ParameterProblem)), found[0])

    def _wrong_type(self, entry: Entry, suggestion: str | None = None) -> ParameterProblem:
        name, raw = displayed(entry.name), displayed(entry.raw)
        allowed = sizes.EXAMPLE_OF.get(normalised(entry.name)) or self._allowed(entry.known)
        return ParameterProblem(name, raw, "type", allowed, suggestion)

    def _choice(self, entry: Entry, choices: Iterable[str]) -> Value | ParameterProblem:
        word = entry.raw.lower() if isinstance(entry.raw, str) else ""
        return word if word in choices else self._wrong_type(entry, _nearest(word, choices))

    def _preset(self, entry: Entry) -> Value | ParameterProblem:
        """A preset must set something that the model has, and nothing that the model does not accept."""
        name = self._choice(entry, self._presets)
        values = self._presets.get(str(name))
        if values is None:
            return str(entry.raw).lower() if self._lenient else name
        inputs = ("model", "to", *(self._model or self._models).inputs)
        accepted = [Entry(each, each, value) for each, value in values.items() if each in inputs]
        wrong = [found for each in accepted if isinstance(found := self._value(each), ParameterProblem)]
        return wrong[0] if wrong else name if accepted else self._not_in_model(str(name))

    def _not_in_model(self, name: str) -> ParameterProblem:
        model = self._model or self._models.default
        return ParameterProblem(name, model.id, "not_in_model", ", ".join(model.inputs))

    def _input(self, model: ModelSpec, entry: Entry) -> Value | ParameterProblem:
        known = model.inputs.get(entry.known)
        if known is None:
            return self._not_in_model(entry.known)
        return parse_value(known, entry.raw, displayed(entry.name), self._allowed(entry.known))


def _nearest(word: str, choices: Iterable[str]) -> str | None:
    return next(iter(difflib.get_close_matches(word[:SHOWN_CHARS], list(choices), n=1)), None)


def validate(
    collected: Sequence[Collector],
    models: Models,
    presets: Presets,
    *,
    default_model: str | None = None,
    lenient: bool = False,
) -> Parsed:
    """Merge the collectors, the last first. No parameter may have two values, but `private` is set if any sets it.

    The model is the one that the last collector to name one names, else their preset's, else `default_model`, else the
    first offered, or the first no dearer one that has what is given.
    `lenient`: the person is not known yet, so without a named model a value is valid if any model accepts it.
    Raises InvalidParameters with every problem of all of them.
    """
    named, preset = (
        next((raw for one in reversed(collected) if (raw := one.first(known)) is not None), None)
        for known in ("model", "preset")
    )
    if named is None:
        named = presets.get(str(preset).lower(), {}).get("model")
    entries = [entry for one in reversed(collected) for entry in one.entries]
    chosen = None
    if named is None and default_model is None:
        default_model = chosen = _model_with(entries, presets.get(str(preset).lower(), {}), models)
    model = models.find(named if named is not None else default_model)
    any_model = lenient and named is None
    validator = Validator(models, model or (None if any_model else models.default), presets, lenient=lenient)
    parsed = validator.read(entries)
    if validator.problems and model is None:  # there are problems anyway, so report all those of the default model
        validator = Validator(models, models.default, presets, lenient=lenient)
        parsed = validator.read(entries)
    if "to" in parsed.values and "factor" in parsed.values:
        size = sizes.as_typed(str(parsed.values["to"]))
        validator.problems.append(ParameterProblem("factor", size, "together"))
    if validator.problems:
        raise InvalidParameters(problems=tuple(validator.problems))
    return dataclasses.replace(parsed, values={**parsed.values, "model": chosen}) if chosen else parsed


def _model_with(
    entries: Sequence[Entry | ParameterProblem], preset_values: Mapping[str, Value], models: Models
) -> str | None:
    """The first model that has all inputs given and is no dearer than the default model, if that one lacks any."""
    given = {one.known for one in entries if isinstance(one, Entry)} | preset_values.keys()
    wanted, default = given & models.inputs.keys(), models.default
    if wanted <= default.inputs.keys():
        return None
    able = (one for one in models if wanted <= one.inputs.keys())
    return next((one.id for one in able if one.unit_price_nanousd <= default.unit_price_nanousd), None)
