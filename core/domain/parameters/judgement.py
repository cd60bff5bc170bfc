"""Turns what a request says into values for its model, or into every problem that it has. Pure."""

import dataclasses
import difflib
from collections.abc import Iterable, Sequence

from core.domain.errors import InvalidParameters, ParameterProblem
from core.domain.models import Models, ModelSpec
from core.domain.parameters import sizes
from core.domain.parameters.spec import Parsed, Presets, Value
from core.domain.parameters.values import (
    LINK,
    MAX_PROBLEMS,
    SHOWN_CHARS,
    Collector,
    Said,
    as_bool,
    judge,
    key_of,
    nearest,
    shown,
)


class Judge:
    """Turns what was said into values, or problems, for one model; for any of those offered where `model` is None.

    `lenient`: the member may have presets that are not among these.
    """

    def __init__(self, models: Models, model: ModelSpec | None, presets: Presets, *, lenient: bool) -> None:
        self._models = models
        self._presets = presets
        self._lenient = lenient
        self._model = model
        self.problems: list[ParameterProblem] = []

    def read(self, collected: Collector) -> Parsed:
        """What is valid of it; the rest is among `problems`."""
        values: dict[str, Value] = {}
        links: dict[str, None] = {}
        for said in dict.fromkeys(collected.said):  # 1,000 times the same is judged once
            if len(self.problems) >= MAX_PROBLEMS:
                break
            value = self._value(said) if isinstance(said, Said) else self._with_suggestion(said)
            if not isinstance(value, ParameterProblem) and isinstance(said, Said):
                if said.known == "url":
                    links[str(value)] = None
                    continue
                if values.setdefault(said.known, value) == value:
                    continue
                if said.known == "to":
                    value = ParameterProblem(sizes.as_typed(str(value)), sizes.as_typed(str(values["to"])), "together")
                else:
                    value = ParameterProblem(key_of(said.name), shown(said.raw), "duplicate", self._allowed(said.known))
            if isinstance(value, ParameterProblem) and value not in self.problems:
                self.problems.append(value)
        preset, private = values.pop("preset", None), values.pop("private", None)
        return Parsed(
            values,
            str(preset) if preset is not None else None,
            bool(private) if private is not None else None,
            tuple(links),
            self._presets.get(str(preset), {}),
        )

    def _with_suggestion(self, problem: ParameterProblem) -> ParameterProblem:
        if problem.kind != "stray":
            return problem
        size = sizes.parse_target("to", problem.value)  # such as `a4`, which may be a word too
        near = size.text if size else _nearest(problem.value.lower(), self._presets)
        return dataclasses.replace(problem, suggestion=near)

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

    def _value(self, said: Said) -> Value | ParameterProblem:
        known, raw = said.known, said.raw
        if not known:
            return ParameterProblem(shown(said.name), shown(raw), "unknown", "", nearest(said.name))
        if raw == "":
            return ParameterProblem(shown(said.name), "", "missing_value", self._allowed(known))
        match known:
            case "url":
                address = raw.strip("<>").split("|")[0].strip() if isinstance(raw, str) else ""
                return address if LINK.fullmatch(address) else self._wrong(said)
            case "private":
                flag = as_bool(raw)
                return self._wrong(said) if flag is None else flag
            case "preset":
                return self._preset(said)
            case "to":
                target = sizes.parse_target(key_of(said.name), str(raw))
                return self._wrong(said) if target is None else target.text
            case "model":
                return self._choice(said, self._models.ids)
            case _:
                return self._number(said)

    def _wrong(self, said: Said, suggestion: str | None = None) -> ParameterProblem:
        return ParameterProblem(shown(said.name), shown(said.raw), "type", self._allowed(said.known), suggestion)

    def _choice(self, said: Said, choices: Iterable[str]) -> Value | ParameterProblem:
        word = said.raw.lower() if isinstance(said.raw, str) else ""
        return word if word in choices else self._wrong(said, _nearest(word, choices))

    def _preset(self, said: Said) -> Value | ParameterProblem:
        """A preset that sets something the model has, and nothing that this model, or any on offer, does not take."""
        name = self._choice(said, self._presets)
        values = self._presets.get(str(name))
        if values is None:
            return str(said.raw).lower() if self._lenient else name
        inputs = ("model", "to", *(self._model.inputs if self._model else self._models.inputs))
        taken = [Said(each, each, value) for each, value in values.items() if each in inputs]
        wrong = [found for each in taken if isinstance(found := self._value(each), ParameterProblem)]
        return wrong[0] if wrong else name if taken else self._lacks(str(name))

    def _lacks(self, name: str) -> ParameterProblem:
        model = self._model or self._models.default
        return ParameterProblem(name, model.id, "not_in_model", ", ".join(model.inputs))

    def _number(self, said: Said) -> Value | ParameterProblem:
        """For the model; where none is known for the first on offer that takes it."""
        models = (self._model,) if self._model else self._models
        judged = [self._judged(model, said) for model in models]
        return next((found for found in judged if not isinstance(found, ParameterProblem)), judged[0])

    def _judged(self, model: ModelSpec, said: Said) -> Value | ParameterProblem:
        known = model.inputs.get(said.known)
        found = judge(known, said.raw, shown(said.name)) if known is not None else self._lacks(said.known)
        if isinstance(found, ParameterProblem) and known is not None:
            return dataclasses.replace(found, allowed=self._allowed(said.known))
        return found


def _nearest(word: str, choices: Iterable[str]) -> str | None:
    return next(iter(difflib.get_close_matches(word[:SHOWN_CHARS], list(choices), n=1)), None)


def judged(
    collected: Sequence[Collector],
    models: Models,
    presets: Presets,
    *,
    otherwise: str | None = None,
    lenient: bool = False,
) -> Parsed:
    """What they say together, for the model that the last one to name one names, else their preset, else `otherwise`.

    A later one wins over an earlier, but `private` is so once any says it.

    `lenient`: who asks is not known yet, so anything is fine that is so for one of the models, where none is named.
    Raises InvalidParameters with every problem of all of them.
    """
    named, preset = (
        next((raw for one in reversed(collected) if (raw := one.first(known)) is not None), None)
        for known in ("model", "preset")
    )
    if named is None:
        named = presets.get(str(preset).lower(), {}).get("model")
    model = models.find(named if named is not None else otherwise)
    any_model = lenient and named is None
    found = Judge(models, model or (None if any_model else models.default), presets, lenient=lenient)
    parsed = [found.read(one) for one in collected]
    if found.problems and model is None:  # something is to be put right anyway: then all of it
        found = Judge(models, models.default, presets, lenient=lenient)
        parsed = [found.read(one) for one in collected]
    given = {name: value for one in parsed for name, value in one.values.items()}
    parsed.reverse()
    private = {one.private for one in parsed} - {None}
    if "to" in given and "factor" in given:
        found.problems.append(ParameterProblem("factor", sizes.as_typed(str(given["to"])), "together"))
    if found.problems:
        raise InvalidParameters(problems=tuple(found.problems))
    chosen = next((one for one in parsed if one.preset), Parsed())
    links = tuple(link for one in parsed for link in one.links)
    return Parsed(given, chosen.preset, True in private if private else None, links, chosen.preset_values)
