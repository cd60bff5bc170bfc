"""Parses `quota set …` into scope, measure, window and amount, for every platform. Pure.

Words may come in any order. `Dialect.mention` parses the platform's mentions. Permissions are checked elsewhere.
"""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from decimal import Decimal, InvalidOperation
from typing import Any

from core.domain.errors import InvalidParameters, ParameterProblem
from core.domain.limits import Measure, ScopeKind, WantedLimit, Window
from core.domain.models import ALL
from core.domain.money import NANOUSD_PER_USD, may_mean_thousands
from core.domain.untrusted_text import clean

_MAX_WORDS = 20
_MAX_CHARS = 2000
_EXAMPLE = "user $5 day, channel 500 mp month, workspace 20 images hour model=seedvr2"
_WINDOWS = {window.value: window for window in Window if window is not Window.NOW} | {
    **dict.fromkeys(("today", "daily"), Window.DAY),
    "hourly": Window.HOUR,
    "weekly": Window.WEEK,
    "monthly": Window.MONTH,
}
_MEASURES = {
    **dict.fromkeys(("usd", "dollars", "dollar", "$"), Measure.USD),
    **dict.fromkeys(("mp", "megapixels", "megapixel"), Measure.MEGAPIXELS),
    **dict.fromkeys(("jobs", "job", "images", "image", "pictures"), Measure.JOBS),
    **dict.fromkeys(("running", "at-once", "once"), Measure.RUNNING),
}
_FILLERS = frozenset(
    {"per", "a", "at", "limit", "budget", "to", "=", "of", "default", "with", "model", "each", "every", "for"}
)
_MAX_AMOUNT_CHARS = 40
MAX_AMOUNT = 10**9
"""Dollars, megapixels or jobs; in nano-dollars it fits into 64 bits."""
_SUM = r"(\d{1,9}(?:[.,]\d{1,9}){0,3})"
_DOLLARS = re.compile(rf"\$\s?{_SUM}|(?<![\d.,]){_SUM}\s?(?:\$|usd\b)", re.IGNORECASE)
_DAYS = re.compile(r"\b(\d{1,3})\s?(?:d|day|days)\b", re.IGNORECASE)
_MODEL = re.compile(r"^(?:--)?model[=:]")
_NUMBER = re.compile(r"(\$?)([0-9]{1,9}(?:[.,][0-9]{1,4})?)(\$|usd|mp)?")


@dataclass(frozen=True, slots=True)
class Dialect:
    """How one platform names scopes. Without a `default`, a missing scope is an error that shows `examples`."""

    scopes: Mapping[str, ScopeKind]
    examples: str
    mention: Callable[[str], tuple[ScopeKind, str] | None] = field(default=lambda _: None)
    default: ScopeKind | None = None


def limit_words(text: str, dialect: Dialect, *, needs_amount: bool) -> WantedLimit:
    """The defaults are a day and dollars. Raises InvalidParameters."""
    reader = _Reader(dialect)
    for word in clean(text, _MAX_CHARS).replace("/", " ").split()[:_MAX_WORDS]:
        reader.take(word)
    return reader.result(needs_amount=needs_amount)


def extra_words(text: str, dialect: Dialect) -> tuple[str, int, Window]:
    """Parse `@member $2 today` into user id, nano-dollars and window. Raises InvalidParameters."""
    found = limit_words(text, dialect, needs_amount=True)
    if found.scope is not ScopeKind.USER or not found.scope_id:
        raise InvalidParameters.of("member", "", "missing_value", "@member $2 today")
    if found.measure is not Measure.USD:
        raise InvalidParameters.of("amount", found.measure, "type", "$2")
    return found.scope_id, found.amount or 0, found.window


def sponsor_words(text: str) -> tuple[int | None, int | None]:
    """Parse `$20 7 days` into nano-dollars and days, None for what is missing. Raises InvalidParameters."""
    cut = clean(text, _MAX_CHARS)
    dollars, days = _DOLLARS.search(cut), _DAYS.search(cut)
    amount = amount_of(dollars[1] or dollars[2], Measure.USD) if dollars else None
    return amount, int(days[1]) if days else None


def amount_of(typed: str | float | Decimal, measure: Measure) -> int:
    """Parse `5`, `$2.50` or `2,5` into the measure's unit, nano-dollars for money.

    Raises InvalidParameters for an amount that is not a number, negative, above a billion, ambiguous (`1,000`), or a
    fraction where only whole numbers count.
    """
    text = str(typed).strip().removeprefix("$").replace(",", ".")
    money = measure is Measure.USD
    wrong = InvalidParameters.of("amount", str(typed), "range", "5, 2.50 …" if money else "1, 2, 3 …")
    try:
        number = Decimal(text) if len(text) <= _MAX_AMOUNT_CHARS else Decimal("NaN")
    except InvalidOperation:
        raise wrong from None
    unclear = isinstance(typed, str) and may_mean_thousands(typed.strip().removeprefix("$"))
    if unclear or not number.is_finite() or not 0 <= number <= MAX_AMOUNT:
        raise wrong
    scaled = number * (NANOUSD_PER_USD if measure is Measure.USD else 1)
    if scaled != scaled.to_integral_value():
        raise wrong
    return int(scaled)


class _Reader:
    def __init__(self, dialect: Dialect) -> None:
        self._dialect = dialect
        self._given: dict[str, Any] = {}
        self._problems: list[ParameterProblem] = []

    def take(self, word: str) -> None:
        lower = word.lower().strip(",;")
        if (named := self._dialect.mention(word)) is not None:
            self._keep("scope", named[0])
            self._keep("scope_id", named[1])
        elif lower in self._dialect.scopes:
            self._keep("scope", self._dialect.scopes[lower])
        elif ALL.find(name := _MODEL.sub("", lower)) is not None:
            self._keep("model", name)
        elif name != lower:
            self._problems.append(ParameterProblem("model", name[:60], "type", ", ".join(ALL.ids)))
        elif lower in _WINDOWS:
            self._keep("window", _WINDOWS[lower])
        elif lower in _MEASURES:
            self._keep("measure", _MEASURES[lower])
        elif (found := _NUMBER.fullmatch(lower)) is not None:
            self._keep("amount", found[2])
            if unit := found[1] or found[3]:
                self._keep("measure", Measure.MEGAPIXELS if unit == "mp" else Measure.USD)
        elif lower and lower not in _FILLERS:
            self._problems.append(ParameterProblem("quota", word[:60], "type", _EXAMPLE))

    def _keep(self, name: str, value: Any) -> None:
        old = self._given.setdefault(name, value)
        if {old, value} == {Measure.JOBS, Measure.RUNNING}:  # 3 jobs at once
            self._given[name] = Measure.RUNNING
        elif (
            old != value
            and (twice := ParameterProblem(name.removesuffix("_id"), "", "duplicate")) not in self._problems
        ):
            self._problems.append(twice)

    def result(self, *, needs_amount: bool) -> WantedLimit:
        scope, measure = self._given.get("scope", self._dialect.default), self._given.get("measure", Measure.USD)
        number, amount = self._given.get("amount"), None
        understood = not self._problems  # else a word may be meant as what is missing
        if scope is None and understood:
            self._problems.append(ParameterProblem("scope", "", "missing_value", self._dialect.examples))
        if number is None and needs_amount and understood:
            self._problems.append(ParameterProblem("amount", "", "missing_value", "$5, 500 mp, 20 images"))
        if number is not None:
            try:
                amount = amount_of(number, measure)
            except InvalidParameters as wrong:
                self._problems += wrong.problems
        if self._problems or scope is None:
            raise InvalidParameters(problems=tuple(self._problems))
        window = Window.NOW if measure is Measure.RUNNING else self._given.get("window", Window.DAY)
        scope_id, model = self._given.get("scope_id", ""), self._given.get("model", "")
        return WantedLimit(scope, scope_id, measure, window, amount, model)
