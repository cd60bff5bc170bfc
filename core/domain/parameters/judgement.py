"""Turns what a request says into values for its model, or into every problem that it has. Pure."""

import dataclasses
import difflib
from collections.abc import Callable, Sequence
from typing import Literal

from core.domain.errors import InvalidParameters, ParameterProblem
from core.domain.models import Models, ModelSpec
from core.domain.parameters import sizes
from core.domain.parameters.spec import PRESETS, Parsed, Value
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
    """Turns what was said into values, or problems, for one model; for any of those offered where `model` is None."""

    def __init__(self, models: Models, model: ModelSpec | None) -> None:
        self._models = models
        self._model = model
        self.problems: list[ParameterProblem] = []

    def read(self, collected: Collector) -> Parsed:
        """What is valid of it; the rest is among `problems`."""
        values: dict[str, Value] = {}
        for said in dict.fromkeys(collected.said):  # 1,000 times the same is judged once
            if len(self.problems) >= MAX_PROBLEMS:
                break
            value = said if isinstance(said, ParameterProblem) else self._value(said)
            if not isinstance(value, ParameterProblem) and isinstance(said, Said):
                if values.setdefault(said.known, value) == value or said.known == "url":
                    continue
                kind: Literal["together", "duplicate"] = "together" if said.known == "to" else "duplicate"
                other = shown(values[said.known] if said.known == "to" else said.raw)
                value = ParameterProblem(key_of(said.name), other, kind, self._allowed(said.known))
            if isinstance(value, ParameterProblem) and value not in self.problems:
                self.problems.append(value)
        preset, private = values.pop("preset", None), values.pop("private", None)
        values.pop("url", None)
        return Parsed(
            values,
            str(preset) if preset is not None else None,
            bool(private) if private is not None else None,
            tuple(collected.links),
        )

    def _allowed(self, known: str) -> str:
        others = {
            "url": "https://…",
            "preset": ", ".join(PRESETS),
            "private": "on or off",
            "model": ", ".join(self._models.ids),
        }
        if known in others:
            return others[known]
        if known == "to":
            return sizes.ALLOWED
        model = self._model or self._models.default
        found = model.inputs.get(known) or self._models.widest.get(known)
        return found.allowed if found is not None else ""

    def _value(self, said: Said) -> Value | ParameterProblem:
        known, raw = said.known, said.raw
        if not known:
            return ParameterProblem(shown(said.name), shown(raw), "unknown", "", nearest(said.name))
        if raw == "":
            return ParameterProblem(shown(said.name), "", "missing_value", self._allowed(known))
        match known:
            case "url":
                good = isinstance(raw, str) and LINK.fullmatch(raw.strip("<>").split("|")[0].strip())
                return "" if good else self._wrong(said)
            case "private":
                flag = as_bool(raw)
                return self._wrong(said) if flag is None else flag
            case "preset":
                return self._choice(said, tuple(PRESETS), self._preset_fits)
            case "to":
                target = sizes.parse_target(key_of(said.name), str(raw))
                return self._wrong(said) if target is None else target.text
            case "model":
                return self._choice(said, self._models.ids, lambda _: True)
            case _:
                return self._number(said)

    def _wrong(self, said: Said, suggestion: str | None = None) -> ParameterProblem:
        return ParameterProblem(shown(said.name), shown(said.raw), "type", self._allowed(said.known), suggestion)

    def _choice(self, said: Said, choices: Sequence[str], fits: Callable[[str], bool]) -> Value | ParameterProblem:
        word = said.raw.lower() if isinstance(said.raw, str) else ""
        if word in choices:
            return word if fits(word) else self._lacks(word)
        close = difflib.get_close_matches(word[:SHOWN_CHARS], choices, n=1)
        return self._wrong(said, close[0] if close else None)

    def _preset_fits(self, preset: str) -> bool:
        return self._model is None or any(name in self._model.inputs for name in PRESETS[preset])

    def _lacks(self, name: str) -> ParameterProblem:
        model = self._model or self._models.default
        return ParameterProblem(name, model.id, "not_in_model", ", ".join(model.inputs))

    def _number(self, said: Said) -> Value | ParameterProblem:
        first = self._model or self._models.default
        found = self._judged(first, said)
        if not isinstance(found, ParameterProblem) or found.kind == "type":
            return found
        for other in self._models:
            able = self._judged(other, said)
            if isinstance(able, ParameterProblem):
                continue
            if self._model is None:
                return able
            if found.kind == "range":
                note = f"{found.allowed} ({other.id}: {other.inputs[said.known].allowed})"
                return dataclasses.replace(found, allowed=note)
        return found

    def _judged(self, model: ModelSpec, said: Said) -> Value | ParameterProblem:
        known = model.inputs.get(said.known)
        return judge(known, said.raw, shown(said.name)) if known is not None else self._lacks(said.known)


def judged(
    collected: Sequence[Collector], models: Models, *, otherwise: str | None = None, lenient: bool = False
) -> Parsed:
    """What they say together, for the model that the last one to name one names, else `otherwise`, else the default.

    A later one wins over an earlier, but `private` is so once any says it.

    `lenient`: who asks is not known yet, so anything is fine that is so for one of the models, where none is named.
    Raises InvalidParameters with every problem of all of them.
    """
    named = next((one.model for one in reversed(collected) if one.model is not None), None)
    model = models.find(named if named is not None else otherwise)
    found = Judge(models, model or (None if lenient and named is None else models.default))
    parsed = [found.read(one) for one in collected]
    if found.problems and model is None:  # something is to be put right anyway: then all of it
        found = Judge(models, models.default)
        parsed = [found.read(one) for one in collected]
    given = {name: value for one in parsed for name, value in one.values.items()}
    parsed.reverse()
    private = {one.private for one in parsed} - {None}
    if "to" in given and "factor" in given:
        found.problems.append(ParameterProblem("factor", str(given["to"]), "together"))
    if found.problems:
        raise InvalidParameters(problems=tuple(found.problems))
    preset = next((one.preset for one in parsed if one.preset), None)
    links = tuple(link for one in parsed for link in one.links)
    return Parsed(given, preset, True in private if private else None, links)
