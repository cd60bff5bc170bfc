"""Judges single parameter values, however they arrive: typed text, numbers from a form, strings from a request.

`Collector` gathers every problem of one request before it raises, so that people are told all of them at once.
Numbers are compared as exact decimals before they become floats. Pure.
"""

from __future__ import annotations

import dataclasses
import difflib
import math
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal

from core.domain.errors import InvalidParameters, ParameterProblem
from core.domain.models import MODELS, Input, Models, ModelSpec
from core.domain.parameters.spec import PRESETS, SPECS, Parsed, Value
from core.domain.untrusted_text import clean, clean_line

Raw = str | int | float | bool | None

LINK = re.compile(r"[a-z][a-z0-9+.-]{0,30}://\S+", re.IGNORECASE)
MAX_FIELDS = 64
MAX_PROBLEMS = 20
"""Nobody reads more of them at once."""
MAX_SAID = 2_000
"""As many as fit into the longest text."""
MAX_VALUE_CHARS = 8192
"""As long as the longest link that is fetched."""
_NAME_CHARS = 60
_SHOWN_CHARS = 60
_NUMBER_CHARS = 64
"""The longest float `repr` writes has 24 characters; nobody types more than this by intent."""
_NUMBER = re.compile(r"[+-]?(?:[0-9]+(?:[.,][0-9]*)?|[.,][0-9]+)(?:[eE][+-]?[0-9]{1,3})?")
_TIMES = re.compile(r"^x|x$", re.IGNORECASE)
_WORDS = {"on": True, "yes": True, "true": True, "1": True, "off": False, "no": False, "false": False, "0": False}
_LINK_NAMES = ("url", "link", "image", "image_url")
_PRESET_NAMES = ("preset",)
_PRIVATE_NAMES = ("private",)

_NAMES: dict[str, str] = {
    **{known: spec.name for spec in SPECS.values() for known in (spec.name, *spec.aliases)},
    **dict.fromkeys(_LINK_NAMES, "url"),
    **{known: known for known in (*_PRESET_NAMES, *_PRIVATE_NAMES)},
}


def canonical(name: str) -> str | None:
    """The chat name for any known name in any case (`Upscale-Factor` → `factor`); None if unknown."""
    return _NAMES.get(name.strip().lower().replace("-", "_"))


def nearest(name: str) -> str | None:
    """The known chat name most like this one, if any is close."""
    close = difflib.get_close_matches(name.lower().replace("-", "_")[:_SHOWN_CHARS], _NAMES, n=1, cutoff=0.6)
    return _NAMES[close[0]] if close else None


def as_bool(raw: Raw) -> bool | None:
    """on/off, yes/no, true/false, 1/0 as a bool; None for anything else."""
    if isinstance(raw, bool):
        return raw
    return _WORDS.get(str(raw).strip().lower()) if isinstance(raw, str) or raw in (0, 1) else None


def shown(raw: Raw) -> str:
    """The value as given, cut to a readable length and without addresses, which errors may not hold.

    Huge integers are not printed in full: Python refuses to print thousands of digits.
    """
    if isinstance(raw, bool):
        return "on" if raw else "off"
    if isinstance(raw, int) and abs(raw) > 10**_NUMBER_CHARS:
        return f"{'-' if raw < 0 else ''}1e{_NUMBER_CHARS}…"
    text = LINK.sub("https://…", clean_line(str(raw), 4 * _SHOWN_CHARS))
    return text if len(text) <= _SHOWN_CHARS else text[: _SHOWN_CHARS - 1] + "…"


def _decimal(raw: Raw, name: str) -> Decimal | None:
    """The exact number, or None where this is no number for this parameter."""
    if isinstance(raw, bool) or raw is None:
        return None
    if isinstance(raw, int):
        return Decimal(raw)
    if isinstance(raw, float):
        return Decimal(repr(raw)) if math.isfinite(raw) else None
    text = raw.strip()
    if name == "factor":
        text = _TIMES.sub("", text, count=1).strip()
    percent = name == "creativity" and text.endswith("%")
    text = text.removesuffix("%").rstrip() if percent else text
    if len(text) > _NUMBER_CHARS or not _NUMBER.fullmatch(text):
        return None
    number = Decimal(text.replace(",", "."))
    return number / 100 if percent else number


def judge(known: Input, raw: Raw, name: str | None = None) -> Value | ParameterProblem:
    """The value in its own type, or what is wrong with it. `name` is the name as typed."""
    kind = SPECS[known.name].kind
    problem = ParameterProblem(name or known.name, shown(raw), "type", known.allowed)
    if kind == "bool":
        flag = as_bool(raw)
        return problem if flag is None else flag
    number = _decimal(raw, known.name)
    if number is None:
        return problem
    if not known.low <= number <= known.high:
        return dataclasses.replace(problem, kind="range")
    if kind == "int" and number != number.to_integral_value():
        return problem
    return int(number) if kind == "int" else abs(float(number))


@dataclass(frozen=True, slots=True)
class _Said:
    """One `name=raw` as it came."""

    known: str
    name: str
    raw: Raw


class Collector:
    """Gathers what one text, or one set of options, says; judges it once the model is known."""

    def __init__(self) -> None:
        self.said: list[_Said | ParameterProblem] = []
        self.links: list[str] = []

    def put(self, name: str, raw: Raw) -> None:
        """Take one `name=raw` under any known name; an empty value is a problem, and so is one beyond all measure."""
        if len(self.said) >= MAX_SAID:
            return
        name = clean_line(name, _NAME_CHARS)
        if isinstance(raw, str) and len(raw) > MAX_VALUE_CHARS:
            self.problem(ParameterProblem(shown(name), f"{len(raw):,}", "range", f"≤ {MAX_VALUE_CHARS:,}"))
            return
        raw = clean(raw, MAX_VALUE_CHARS).strip() if isinstance(raw, str) else raw
        known = canonical(name)
        self.said.append(_Said(known or "", name, raw))
        if known == "url" and isinstance(raw, str):
            address = raw.strip("<>").split("|")[0].strip()
            if LINK.fullmatch(address):
                self.link(address)

    def link(self, address: str) -> None:
        """Take one link; the same one twice counts once."""
        if address not in self.links:
            self.links.append(address)

    def problem(self, problem: ParameterProblem) -> None:
        """Take a problem with the text itself, in its place among the others."""
        if len(self.said) < MAX_SAID:
            self.said.append(problem)

    @property
    def model(self) -> Raw:
        """The model that is named first."""
        return next((said.raw for said in self.said if isinstance(said, _Said) and said.known == "model"), None)


class Judge:
    """Turns what was said into values, or problems, for one model; for any of those offered where `model` is None."""

    def __init__(self, models: Models, model: ModelSpec | None) -> None:
        self._models = models
        self._model = model
        self.problems: list[ParameterProblem] = []

    def read(self, collected: Collector) -> Parsed:
        """What is valid of it; the rest is among `problems`."""
        values: dict[str, Value] = {}
        for said in collected.said:
            if len(self.problems) >= MAX_PROBLEMS:
                break
            value = said if isinstance(said, ParameterProblem) else self._value(said)
            if not isinstance(value, ParameterProblem) and isinstance(said, _Said):
                if values.setdefault(said.known, value) == value or said.known == "url":
                    continue
                value = ParameterProblem(said.known, shown(said.raw), "duplicate", self._allowed(said.known))
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
        model = self._model or self._models.default
        return (model.inputs.get(known) or self._models.widest[known]).allowed

    def _value(self, said: _Said) -> Value | ParameterProblem:
        known, raw = said.known, said.raw
        if not known or (known in SPECS and known != "model" and known not in self._models.widest):
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
            case "model":
                return self._choice(said, self._models.ids, lambda _: True)
            case _:
                return self._number(said)

    def _wrong(self, said: _Said, suggestion: str | None = None) -> ParameterProblem:
        return ParameterProblem(shown(said.name), shown(said.raw), "type", self._allowed(said.known), suggestion)

    def _choice(self, said: _Said, choices: Sequence[str], fits: Callable[[str], bool]) -> Value | ParameterProblem:
        word = said.raw.lower() if isinstance(said.raw, str) else ""
        if word in choices:
            return word if fits(word) else self._lacks(word)
        close = difflib.get_close_matches(word[:_SHOWN_CHARS], choices, n=1)
        return self._wrong(said, close[0] if close else None)

    def _preset_fits(self, preset: str) -> bool:
        return self._model is None or any(name in self._model.inputs for name in PRESETS[preset])

    def _lacks(self, name: str) -> ParameterProblem:
        model = self._model or self._models.default
        return ParameterProblem(name, model.id, "not_in_model", ", ".join(model.inputs))

    def _number(self, said: _Said) -> Value | ParameterProblem:
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

    def _judged(self, model: ModelSpec, said: _Said) -> Value | ParameterProblem:
        known = model.inputs.get(said.known)
        return judge(known, said.raw, shown(said.name)) if known is not None else self._lacks(said.known)


def collect(options: Mapping[str, Raw]) -> Collector:
    """Typed options (slash-command options, form fields, JSON) under chat or API names; None and "" are not given."""
    collector = Collector()
    if len(options) > MAX_FIELDS:
        collector.problem(ParameterProblem("fields", f"{len(options):,}", "range", f"≤ {MAX_FIELDS}"))
        return collector
    for name, raw in options.items():
        if raw is not None and not (isinstance(raw, str) and not raw.strip()):
            collector.put(name, raw)
    return collector


def judged(
    collected: Sequence[Collector], models: Models = MODELS, *, otherwise: str | None = None, lenient: bool = False
) -> list[Parsed]:
    """What each of them says, for the model that the last one to name one names, else `otherwise`, else the default.

    `lenient`: who asks is not known yet, so anything is fine that is so for one of the models, where none is named.
    Raises InvalidParameters with every problem of all of them.
    """
    named = next((one.model for one in reversed(collected) if one.model is not None), None)
    model = models.find(named) if named is not None else models.find(otherwise) or (None if lenient else models.default)
    found = Judge(models, model if model is not None or (lenient and named is None) else models.default)
    parsed = [found.read(one) for one in collected]
    if found.problems and model is None:  # something is to be put right anyway: then all of it
        found = Judge(models, models.default)
        parsed = [found.read(one) for one in collected]
    if found.problems:
        raise InvalidParameters(problems=tuple(found.problems))
    return parsed


def from_fields(options: Mapping[str, Raw], models: Models = MODELS) -> Parsed:
    """Typed options as `Parsed`. Raises InvalidParameters with every problem."""
    return judged([collect(options)], models)[0]
