"""Parses single parameter values from typed text, form numbers or JSON.

Numbers are compared as exact decimals before they become floats. Pure.
"""

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

_EAST_ASIAN_MARK = re.compile(r"<[^<>]*>|[、。！？「」『』（）【】]")
LINK = re.compile(r"[a-z][a-z0-9+.-]{0,30}://\S+", re.IGNORECASE)
MAX_FIELDS = 64
MAX_PROBLEMS = 20
"""Nobody reads more at once."""
MAX_ENTRIES = 2_000
"""As many as fit into the longest text."""
MAX_VALUE_CHARS = 8192
"""The longest link that is fetched."""
_NAME_CHARS = 60
SHOWN_CHARS = 60
_NUMBER_CHARS = 64
"""The longest `repr` of a float has 24 characters."""
_NUMBER = re.compile(r"[+-]?(?:[0-9]+(?:[.,][0-9]*)?|[.,][0-9]+)(?:[eE][+-]?[0-9]{1,3})?")
_TYPED = str.maketrans("０１２３４５６７８９．，％ｘ×倍", "0123456789.,%xxx")
"""Full-width forms of East Asian keyboards, and signs for "times"."""

_TIMES = re.compile(r"^x|x$", re.IGNORECASE)
RANDOM = "random"
"""A seed that the bot chooses, as the forms call it: the same as none."""

_WORDS = {"on": True, "yes": True, "true": True, "1": True, "off": False, "no": False, "false": False, "0": False}
_NAMES: dict[str, str] = {
    **{known: spec.name for spec in SPECS.values() for known in (spec.name, *spec.aliases)},
    **dict.fromkeys(("url", "link", "image", "image_url"), "url"),
    "preset": "preset",
    "private": "private",
}


def canonical(name: str) -> str | None:
    """Return the chat name of a known name in any case (`Upscale-Factor` → `factor`), or None."""
    return _NAMES.get(normalised(name))


def normalised(name: str) -> str:
    return name.strip().lower().replace("-", "_")


def nearest(name: str) -> str | None:
    """Return the known chat name most similar to this one, if any is close."""
    close = difflib.get_close_matches(name.lower().replace("-", "_")[:SHOWN_CHARS], _NAMES, n=1, cutoff=0.6)
    return _NAMES[close[0]] if close else None


def as_bool(raw: Raw) -> bool | None:
    """Parse on/off, yes/no, true/false, 1/0; None for anything else."""
    if isinstance(raw, bool):
        return raw
    return _WORDS.get(str(raw).strip().lower()) if isinstance(raw, str) or raw in (0, 1) else None


def displayed(raw: Raw) -> str:
    """Format a value for an error: truncated, and without URLs, which errors may not hold.

    Huge integers are abbreviated, because Python refuses to print thousands of digits.
    """
    if isinstance(raw, bool):
        return "on" if raw else "off"
    if isinstance(raw, int) and abs(raw) > 10**_NUMBER_CHARS:
        return f"{'-' if raw < 0 else ''}1e{_NUMBER_CHARS}…"
    plain = int(raw) if isinstance(raw, float) and raw.is_integer() else raw
    text = LINK.sub("https://…", clean_line(str(plain), 4 * SHOWN_CHARS))
    return text if len(text) <= SHOWN_CHARS else text[: SHOWN_CHARS - 1] + "…"


def _decimal(raw: Raw, name: str) -> Decimal | None:
    """Return the exact number, or None if this is not a number for this parameter."""
    if isinstance(raw, bool) or raw is None:
        return None
    if isinstance(raw, int):
        return Decimal(raw)
    if isinstance(raw, float):
        return Decimal(repr(raw)) if math.isfinite(raw) else None
    text = raw.strip().translate(_TYPED)
    if name == "factor":
        text = _TIMES.sub("", text, count=1).strip()
    percent = name == "creativity" and text.endswith("%")
    text = text.removesuffix("%").rstrip() if percent else text
    if len(text) > _NUMBER_CHARS or not _NUMBER.fullmatch(text):
        return None
    number = Decimal(text.replace(",", "."))
    return number / 100 if percent else number


def parse_value(known: Input, raw: Raw, name: str, allowed: str) -> Value | ParameterProblem:
    """Return the value in the input's type, or the problem, with `name` and `allowed` as given."""
    kind = SPECS[known.name].kind
    problem = ParameterProblem(name, displayed(raw), "type", allowed)
    if kind == "bool":
        flag = as_bool(raw)
        return problem if flag is None else flag
    if known.name == "seed" and isinstance(raw, str) and raw.lower() == RANDOM:
        return RANDOM
    number = _decimal(raw, known.name)
    if number is None:
        return problem
    if not known.low <= number <= known.high:
        return ParameterProblem(name, displayed(raw), "range", allowed)
    ambiguous = isinstance(raw, str) and may_mean_thousands(raw.strip())
    if kind == "int" and (ambiguous or number != number.to_integral_value()):
        return problem
    return int(number) if kind == "int" else abs(float(number))


@dataclass(frozen=True, slots=True)
class Entry:
    """One `name=raw` of a request. `known` is the chat name, empty if the name is unknown."""

    known: str
    name: str
    raw: Raw


class Collector:
    """The entries of one text, or of one set of typed options; they are validated once the model is known."""

    def __init__(self) -> None:
        self.entries: list[Entry | ParameterProblem] = []

    def put(self, name: str, raw: Raw) -> None:
        """Add one `name=raw`; a value that is too long becomes a problem."""
        name = clean_line(name, _NAME_CHARS)
        if isinstance(raw, str) and len(raw) > MAX_VALUE_CHARS:
            self.add(ParameterProblem(displayed(name), f"{len(raw):,}", "too_long", f"{MAX_VALUE_CHARS:,}"))
            return
        raw = clean(raw, MAX_VALUE_CHARS).strip() if isinstance(raw, str) else raw
        self.add(Entry(canonical(name) or "", name, raw))

    def add(self, entry: Entry | ParameterProblem) -> None:
        if len(self.entries) < MAX_ENTRIES:
            self.entries.append(entry)

    def first(self, known: str) -> Raw:
        return next((one.raw for one in self.entries if isinstance(one, Entry) and one.known == known), None)


def collect(options: Mapping[str, Raw]) -> Collector:
    """Collect typed options (of slash commands, forms, JSON) by chat or API names; None and "" count as not given."""
    collector = Collector()
    if len(options) > MAX_FIELDS:
        collector.add(ParameterProblem("fields", f"{len(options):,}", "range", f"≤ {MAX_FIELDS}"))
        return collector
    for name, raw in options.items():
        if raw is not None and not (isinstance(raw, str) and not raw.strip()):
            collector.put(name, raw)
    return collector


def spaced(text: str) -> str:
    """Replace East Asian punctuation, which follows links without a space, by spaces, except in `<…>`."""
    return _EAST_ASIAN_MARK.sub(lambda found: found[0] if found[0][0] == "<" else " ", text)
