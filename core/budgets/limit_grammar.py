"""`quota set …` as people type it, to a scope, a measure, a window and an amount. One reader for every platform. Pure.

Words come in any order. What a platform writes people, channels and roles as is told by `Dialect.mention`; rights and
the sense of a limit are judged by the budget, not here.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from decimal import Decimal

from core.domain.errors import InvalidParameters, ParameterProblem
from core.domain.limits import Measure, ScopeKind, Window
from core.domain.money import NANOUSD_PER_USD
from core.domain.untrusted_text import clean

_MAX_WORDS = 20
_MAX_CHARS = 2000
_EXAMPLE = "user $5 day, channel 500 mp month, workspace 20 jobs hour"
_WINDOWS = {window.value: window for window in Window if window is not Window.NOW} | {"today": Window.DAY}
_MEASURES = {
    **dict.fromkeys(("usd", "dollars", "dollar", "$"), Measure.USD),
    **dict.fromkeys(("mp", "megapixels", "megapixel"), Measure.MEGAPIXELS),
    **dict.fromkeys(("jobs", "job", "pictures"), Measure.JOBS),
    **dict.fromkeys(("running", "at-once", "once"), Measure.RUNNING),
}
_FILLERS = frozenset({"per", "a", "at", "limit", "budget", "to", "=", "of", "default"})
_NUMBER = re.compile(r"(\$?)([0-9]{1,9}(?:[.,][0-9]{1,4})?)(\$|usd|mp)?")


@dataclass(frozen=True, slots=True)
class LimitWords:
    """One limit as typed. `amount` is in the measure's unit (nano-dollars for USD), None where none was given."""

    scope: ScopeKind
    scope_id: str
    measure: Measure
    window: Window
    amount: int | None


@dataclass(frozen=True, slots=True)
class Dialect:
    """How one platform names scopes. `default` None: a scope must be said; `examples` is told when it is not."""

    scopes: Mapping[str, ScopeKind]
    examples: str
    mention: Callable[[str], tuple[ScopeKind, str] | None] = field(default=lambda _: None)
    default: ScopeKind | None = None


def limit_words(text: str, dialect: Dialect, *, needs_amount: bool) -> LimitWords:
    """What this asks for; left out, the window is a day and the measure dollars. Raises InvalidParameters."""
    reader = _Reader(dialect)
    for word in clean(text, _MAX_CHARS).split()[:_MAX_WORDS]:
        reader.take(word)
    return reader.result(needs_amount=needs_amount)


def extra_words(text: str, dialect: Dialect) -> tuple[str, int, Window]:
    """`@member $2 today`: whose extra, how many nano-dollars, until which window ends. Raises InvalidParameters."""
    found = limit_words(text, dialect, needs_amount=True)
    if found.scope is not ScopeKind.USER or not found.scope_id:
        raise InvalidParameters(problems=(ParameterProblem("member", "", "missing_value", "@member $2 today"),))
    if found.measure is not Measure.USD:
        raise InvalidParameters(problems=(ParameterProblem("amount", found.measure, "type", "$2"),))
    return found.scope_id, found.amount or 0, found.window


class _Reader:
    def __init__(self, dialect: Dialect) -> None:
        self._dialect = dialect
        self.scope = dialect.default
        self.scope_id = ""
        self.measure: Measure | None = None
        self.window: Window | None = None
        self.number: Decimal | None = None
        self.problems: list[ParameterProblem] = []

    def take(self, word: str) -> None:
        """Read one word."""
        lower = word.lower().strip(",;")
        if (named := self._dialect.mention(word)) is not None:
            self.scope, self.scope_id = named
        elif lower in self._dialect.scopes:
            self.scope = self._dialect.scopes[lower]
        elif lower in _WINDOWS:
            self.window = _WINDOWS[lower]
        elif lower in _MEASURES:
            self.measure = _MEASURES[lower]
        elif (found := _NUMBER.fullmatch(lower)) is not None:
            self.number = Decimal(found[2].replace(",", "."))
            unit = found[1] or found[3] or ""
            self.measure = Measure.MEGAPIXELS if unit == "mp" else Measure.USD if unit else self.measure
        elif lower and lower not in _FILLERS:
            self.problems.append(ParameterProblem("quota", word[:60], "type", _EXAMPLE))

    def result(self, *, needs_amount: bool) -> LimitWords:
        """The limit, or every problem."""
        measure = self.measure or Measure.USD
        if self.scope is None:
            self.problems.append(ParameterProblem("scope", "", "missing_value", self._dialect.examples))
        if self.number is None and needs_amount:
            self.problems.append(ParameterProblem("amount", "", "missing_value", "$5, 500 mp, 20 jobs"))
        if self.number is not None and measure is not Measure.USD and self.number != self.number.to_integral_value():
            self.problems.append(ParameterProblem("amount", str(self.number), "type", "1, 2, 3 …"))
        if self.problems or self.scope is None:
            raise InvalidParameters(problems=tuple(self.problems))
        window = Window.NOW if measure is Measure.RUNNING else self.window or Window.DAY
        return LimitWords(self.scope, self.scope_id, measure, window, self._amount(measure))

    def _amount(self, measure: Measure) -> int | None:
        if self.number is None:
            return None
        return int(self.number * NANOUSD_PER_USD) if measure is Measure.USD else int(self.number)
