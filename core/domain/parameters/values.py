"""Judges single parameter values, however they arrive: typed text, numbers from a form, strings from a request.

`Collector` gathers every problem of one request before it raises, so that people are told all of them at once.
Numbers are compared as exact decimals before they become floats. Pure.
"""

from __future__ import annotations

import difflib
import math
import re
from collections.abc import Mapping
from decimal import Decimal

from core.domain.errors import InvalidParameters, ParameterProblem
from core.domain.parameters.spec import PRESETS, SPECS, Parsed, Spec, Value
from core.domain.untrusted_text import clean, clean_line

Raw = str | int | float | bool | None

LINK = re.compile(r"[a-z][a-z0-9+.-]{0,30}://\S+", re.IGNORECASE)
MAX_FIELDS = 64
MAX_PROBLEMS = 20
"""Nobody reads more of them at once."""
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
    **{known: spec.name for spec in SPECS.values() for known in (spec.name, spec.api_name, *spec.aliases)},
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


def _decimal(raw: Raw, spec: Spec) -> Decimal | None:
    """The exact number, or None where this is no number for this parameter."""
    if isinstance(raw, bool) or raw is None:
        return None
    if isinstance(raw, int):
        return Decimal(raw)
    if isinstance(raw, float):
        return Decimal(repr(raw)) if math.isfinite(raw) else None
    text = raw.strip()
    if spec.name == "factor":
        text = _TIMES.sub("", text, count=1).strip()
    percent = spec.name == "creativity" and text.endswith("%")
    text = text.removesuffix("%").rstrip() if percent else text
    if len(text) > _NUMBER_CHARS or not _NUMBER.fullmatch(text):
        return None
    number = Decimal(text.replace(",", "."))
    return number / 100 if percent else number


def judge(spec: Spec, raw: Raw, name: str | None = None) -> Value | ParameterProblem:
    """The value in its own type, or what is wrong with it. `name` is the name as typed."""
    kind: ParameterProblem | None = None
    problem = ParameterProblem(name or spec.name, shown(raw), "type", spec.allowed)
    if spec.kind == "bool":
        flag = as_bool(raw)
        return problem if flag is None else flag
    number = _decimal(raw, spec)
    if number is None:
        kind = problem
    elif not spec.low <= number <= spec.high:
        kind = ParameterProblem(problem.name, problem.value, "range", spec.allowed)
    elif spec.kind == "int" and number != number.to_integral_value():
        kind = problem
    if kind is not None or number is None:
        return kind or problem
    return int(number) if spec.kind == "int" else abs(float(number))


class Collector:
    """Gathers what one request says, and every problem with it. One instance per text or set of options."""

    def __init__(self) -> None:
        self.values: dict[str, Value] = {}
        self.preset: str | None = None
        self.private: bool | None = None
        self.links: list[str] = []
        self.problems: list[ParameterProblem] = []

    def put(self, name: str, raw: Raw) -> None:
        """Take one `name=raw` under any known name; an empty value is a problem, and so is one beyond all measure."""
        if len(self.problems) >= MAX_PROBLEMS:
            return
        name = clean_line(name, _NAME_CHARS)
        if isinstance(raw, str) and len(raw) > MAX_VALUE_CHARS:
            self.problem(ParameterProblem(shown(name), f"{len(raw):,}", "range", f"≤ {MAX_VALUE_CHARS:,}"))
            return
        raw = clean(raw, MAX_VALUE_CHARS) if isinstance(raw, str) else raw
        known = canonical(name)
        text = raw.strip() if isinstance(raw, str) else raw
        if known is None:
            self.problem(ParameterProblem(shown(name), shown(raw), "unknown", "", nearest(name)))
        elif text == "":
            self.problem(ParameterProblem(shown(name), "", "missing_value", self._allowed(known)))
        elif known == "url":
            self._put_link(name, str(raw))
        elif known == "preset":
            self._put_preset(name, raw)
        elif known == "private":
            self._put_private(name, raw)
        else:
            self._put_value(SPECS[known], name, raw)

    def link(self, address: str) -> None:
        """Take one link; the same one twice counts once."""
        if address not in self.links:
            self.links.append(address)

    def problem(self, problem: ParameterProblem) -> None:
        """Take one problem; the same one twice counts once, and those past `MAX_PROBLEMS` are not told."""
        if len(self.problems) < MAX_PROBLEMS and problem not in self.problems:
            self.problems.append(problem)

    def parsed(self) -> Parsed:
        """Everything said. Raises InvalidParameters with every problem if there is one."""
        if self.problems:
            raise InvalidParameters(problems=tuple(self.problems))
        return Parsed(dict(self.values), self.preset, self.private, tuple(self.links))

    @staticmethod
    def _allowed(known: str) -> str:
        others = {"url": "https://…", "preset": ", ".join(PRESETS), "private": "on or off"}
        return others[known] if known in others else SPECS[known].allowed

    def _put_value(self, spec: Spec, name: str, raw: Raw) -> None:
        value = judge(spec, raw, shown(name))
        if isinstance(value, ParameterProblem):
            self.problem(value)
        elif self.values.setdefault(spec.name, value) != value:
            self.problem(ParameterProblem(spec.name, shown(raw), "duplicate", spec.allowed))

    def _put_preset(self, name: str, raw: Raw) -> None:
        preset = str(raw).strip().lower() if isinstance(raw, str) else ""
        if preset not in PRESETS:
            close = difflib.get_close_matches(preset[:_SHOWN_CHARS], PRESETS, n=1)
            self.problem(
                ParameterProblem(name, shown(raw), "type", self._allowed("preset"), close[0] if close else None)
            )
        elif self.preset not in (None, preset):
            self.problem(ParameterProblem("preset", preset, "duplicate", self._allowed("preset")))
        else:
            self.preset = preset

    def _put_private(self, name: str, raw: Raw) -> None:
        private = as_bool(raw)
        if private is None:
            self.problem(ParameterProblem(name, shown(raw), "type", self._allowed("private")))
        elif self.private not in (None, private):
            self.problem(ParameterProblem("private", shown(raw), "duplicate", self._allowed("private")))
        else:
            self.private = private

    def _put_link(self, name: str, raw: str) -> None:
        address = raw.strip().strip("<>").split("|")[0].strip()
        if LINK.fullmatch(address):
            self.link(address)
        else:
            self.problem(ParameterProblem(name, shown(raw), "type", self._allowed("url")))


def from_fields(options: Mapping[str, Raw]) -> Parsed:
    """Typed options (slash-command options, form fields, JSON) under chat or API names, as `Parsed`.

    None and empty strings mean "not given". Raises InvalidParameters with every problem.
    """
    return _collect(options).parsed()


def _collect(options: Mapping[str, Raw]) -> Collector:
    collector = Collector()
    if len(options) > MAX_FIELDS:
        collector.problem(ParameterProblem("fields", f"{len(options):,}", "range", f"≤ {MAX_FIELDS}"))
        return collector
    for name, raw in options.items():
        if raw is not None and not (isinstance(raw, str) and not raw.strip()):
            collector.put(name, raw)
    return collector


def problems_of(options: Mapping[str, Raw]) -> tuple[ParameterProblem, ...]:
    """What is wrong with typed options; empty when all are fine."""
    return tuple(_collect(options).problems)
