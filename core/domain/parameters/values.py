"""Judges single parameter values, however they arrive: typed text, numbers from a form, strings from a request.

`Collector` gathers every problem of one request before it raises, so that people are told all of them at once.
Numbers are compared as exact decimals before they become floats. Pure.
"""

import dataclasses
import difflib
import math
import re
from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal

from core.domain.errors import ParameterProblem
from core.domain.models import Input
from core.domain.money import may_mean_thousands
from core.domain.parameters.spec import SPECS, Value
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
SHOWN_CHARS = 60
_NUMBER_CHARS = 64
"""The longest float `repr` writes has 24 characters; nobody types more than this by intent."""
_NUMBER = re.compile(r"[+-]?(?:[0-9]+(?:[.,][0-9]*)?|[.,][0-9]+)(?:[eE][+-]?[0-9]{1,3})?")
_TIMES = re.compile(r"^x|x$", re.IGNORECASE)
_WORDS = {"on": True, "yes": True, "true": True, "1": True, "off": False, "no": False, "false": False, "0": False}
_NAMES: dict[str, str] = {
    **{known: spec.name for spec in SPECS.values() for known in (spec.name, *spec.aliases)},
    **dict.fromkeys(("url", "link", "image", "image_url"), "url"),
    "preset": "preset",
    "private": "private",
}


def canonical(name: str) -> str | None:
    """The chat name for any known name in any case (`Upscale-Factor` → `factor`); None if unknown."""
    return _NAMES.get(key_of(name))


def key_of(name: str) -> str:
    return name.strip().lower().replace("-", "_")


def nearest(name: str) -> str | None:
    """The known chat name most like this one, if any is close."""
    close = difflib.get_close_matches(name.lower().replace("-", "_")[:SHOWN_CHARS], _NAMES, n=1, cutoff=0.6)
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
    text = LINK.sub("https://…", clean_line(str(raw), 4 * SHOWN_CHARS))
    return text if len(text) <= SHOWN_CHARS else text[: SHOWN_CHARS - 1] + "…"


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
    unclear = isinstance(raw, str) and may_mean_thousands(raw.strip())
    if kind == "int" and (unclear or number != number.to_integral_value()):
        return problem
    return int(number) if kind == "int" else abs(float(number))


@dataclass(frozen=True, slots=True)
class Said:
    known: str
    name: str
    raw: Raw


class Collector:
    """Gathers what one text, or one set of options, says; judges it once the model is known."""

    def __init__(self) -> None:
        self.said: list[Said | ParameterProblem] = []

    def put(self, name: str, raw: Raw) -> None:
        """Take one `name=raw` under any known name; an empty value is a problem, and so is one beyond all measure."""
        if len(self.said) >= MAX_SAID:
            return
        name = clean_line(name, _NAME_CHARS)
        if isinstance(raw, str) and len(raw) > MAX_VALUE_CHARS:
            self.problem(ParameterProblem(shown(name), f"{len(raw):,}", "range", f"≤ {MAX_VALUE_CHARS:,}"))
            return
        raw = clean(raw, MAX_VALUE_CHARS).strip() if isinstance(raw, str) else raw
        self.said.append(Said(canonical(name) or "", name, raw))

    def problem(self, problem: ParameterProblem) -> None:
        if len(self.said) < MAX_SAID:
            self.said.append(problem)

    def first(self, known: str) -> Raw:
        return next((said.raw for said in self.said if isinstance(said, Said) and said.known == known), None)


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
