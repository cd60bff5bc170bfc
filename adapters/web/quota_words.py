"""`/quota set …` as typed on the page, to the core's scopes, measures and windows (pure)."""

from __future__ import annotations

import re
from dataclasses import dataclass
from decimal import Decimal, InvalidOperation

from core.errors import InvalidParameters, ParameterProblem
from core.limits import Measure, ScopeKind, Window
from core.pricing import NANOUSD_PER_USD

_SCOPES = {
    "everything": ScopeKind.EVERYTHING,
    "all": ScopeKind.EVERYTHING,
    "global": ScopeKind.EVERYTHING,
    "page": ScopeKind.PLATFORM,
    "platform": ScopeKind.PLATFORM,
    "workspace": ScopeKind.WORKSPACE,
    "user": ScopeKind.USER,
    "me": ScopeKind.USER,
}
_WINDOWS = {window.value: window for window in Window if window is not Window.NOW}
_MEASURES = {
    **dict.fromkeys(("usd", "dollars", "dollar", "$"), Measure.USD),
    **dict.fromkeys(("mp", "megapixels", "megapixel"), Measure.MEGAPIXELS),
    **dict.fromkeys(("jobs", "job"), Measure.JOBS),
    **dict.fromkeys(("running", "at-once", "once"), Measure.RUNNING),
}
_NUMBER = re.compile(r"^(\$?)([0-9]{1,9}(?:[.,][0-9]{1,4})?)(\$?)$")
_FILLERS = frozenset({"per", "a", "at", "limit", "budget", "="})
USAGE = "/quota set everything day $100 · /quota set user month 500 mp · /quota set user 3 running"


@dataclass(frozen=True, slots=True)
class LimitWords:
    """One limit as typed; `amount` is in the measure's unit (nano-dollars for USD), None where none was given."""

    scope: ScopeKind
    measure: Measure
    window: Window
    amount: int | None


def limit_words(text: str, *, needs_amount: bool) -> LimitWords:
    """Words in any order: a scope, a window, an amount with its unit. Raises InvalidParameters.

    Left out, the scope is everything, the window a day and the unit dollars.
    """
    scope, measure, window = ScopeKind.EVERYTHING, None, None
    number: Decimal | None = None
    problems: list[ParameterProblem] = []
    for word in text.lower().split()[:20]:
        if word in _SCOPES:
            scope = _SCOPES[word]
        elif word in _WINDOWS:
            window = _WINDOWS[word]
        elif word in _MEASURES:
            measure = _MEASURES[word]
        elif (found := _NUMBER.match(word)) is not None:
            number = _decimal(found[2])
            measure = Measure.USD if found[1] or found[3] else measure
        elif word not in _FILLERS:
            problems.append(ParameterProblem("", word[:60], "stray"))
    measure = measure or Measure.USD
    if number is None and needs_amount:
        problems.append(ParameterProblem("amount", "", "missing_value", USAGE))
    if number is not None and measure is not Measure.USD and number != number.to_integral_value():
        problems.append(ParameterProblem("amount", str(number), "type", "1, 2, 3 …"))
    if problems:
        raise InvalidParameters(problems=tuple(problems))
    chosen = Window.NOW if measure is Measure.RUNNING else window or Window.DAY
    return LimitWords(scope, measure, chosen, _amount(number, measure))


def _decimal(text: str) -> Decimal | None:
    try:
        return Decimal(text.replace(",", "."))
    except InvalidOperation:
        return None


def _amount(number: Decimal | None, measure: Measure) -> int | None:
    if number is None:
        return None
    return int(number * NANOUSD_PER_USD) if measure is Measure.USD else int(number)
