"""Lays out a usage report as a bar chart with all its texts. Pure.

The texts come in the reader's language and in English, for machines without a font for the language.
"""

import math
import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, timedelta

from babel.dates import format_date

from core.budgets.reports import UsageReport
from core.domain.money import NANOUSD_PER_USD
from core.presentation import cut, image_count, language_of, number, period_text, tr
from core.presentation.formats import usd

_TOP_MEMBERS = 5
_DAILY_UP_TO = 62
"""More days than this become months."""

_BUDGET_SHOWN_UP_TO = 2.5
"""A budget line higher than this many times the highest bar is not drawn, since it would flatten the bars."""

_MAX_NAME = 22


@dataclass(frozen=True, slots=True)
class Words:
    """The texts. `bars` and `names` belong to the rows and columns of `Drawing.values`.

    `marks` replace names that no font can show.
    """

    title: str
    subtitle: str
    empty: str
    budget: str
    bars: tuple[str, ...]
    ticks: tuple[str, ...]
    names: tuple[str, ...]
    marks: tuple[str, ...]
    totals: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Drawing:
    """`values[i][j]` is the part of series j in bar i, in dollars. `budget` None: no line."""

    kind: str
    values: tuple[tuple[float, ...], ...]
    ticks: tuple[float, ...]
    budget: float | None
    grey_last: bool
    words: Words
    words_en: Words
    dark: bool


@dataclass(frozen=True, slots=True)
class _Shape:
    """Values in nano-dollars. `bars` are days or first days of months; the name None stands for all others."""

    bars: tuple[date, ...]
    monthly: bool
    names: tuple[str | None, ...]
    values: tuple[tuple[int, ...], ...]


def drawing(report: UsageReport, locale: str, *, dark: bool) -> Drawing:
    """A bar per day or month, stacked by the top five members; for a single day a bar per member."""
    first, last = date.fromisoformat(report.first_day), date.fromisoformat(report.last_day)
    by_member = first == last and len(report.members) > 0
    shape = _by_member(report) if by_member else _by_time(report, first, last)
    sums = [sum(bar) for bar in shape.values]
    highest = max(sums, default=0)
    budget = None if shape.monthly else report.budget_day_nanousd
    near = budget is not None and 0 < budget <= _BUDGET_SHOWN_UP_TO * highest
    drawn_budget = budget if near and not by_member else None
    ticks = _ticks(max(highest, drawn_budget or 0))

    def words(language: str) -> Words:
        return _words(report, shape, ticks, budget, language, by_member=by_member)

    return Drawing(
        kind="members" if by_member else "time",
        values=tuple(tuple(_dollars(value) for value in bar) for bar in shape.values),
        ticks=tuple(_dollars(tick) for tick in ticks),
        budget=None if drawn_budget is None else _dollars(drawn_budget),
        grey_last=shape.names[-1] is None,
        words=words(locale),
        words_en=words("en"),
        dark=dark,
    )


def _by_member(report: UsageReport) -> _Shape:
    top = report.members[: _TOP_MEMBERS + 3]
    rest = sum(row.charged_nanousd for row in report.members[len(top) :])
    named = [(_short(row.label or row.key), (row.charged_nanousd,)) for row in top]
    names, values = zip(*named, *([(None, (rest,))] if rest else []), strict=True)
    return _Shape((), False, names, values)


def _by_time(report: UsageReport, first: date, last: date) -> _Shape:
    monthly = (last - first).days >= _DAILY_UP_TO

    def bar_of(day: date) -> date:
        return day.replace(day=1) if monthly else day

    bars = tuple(dict.fromkeys(bar_of(first + timedelta(days=n)) for n in range((last - first).days + 1)))
    series, names = _series(report)
    sums = Counter[tuple[date, int]]()
    for day, index, charged in series:
        sums[bar_of(date.fromisoformat(day)), index] += charged
    values = tuple(tuple(max(0, sums[bar, index]) for index in range(len(names))) for bar in bars)
    return _Shape(bars, monthly, names, values)


def _series(report: UsageReport) -> tuple[list[tuple[str, int, int]], tuple[str | None, ...]]:
    """Charges as (day, series, nano-dollars): a series per top member and one for all others."""
    if not report.shares or len(report.members) < 2:
        name = _short(report.members[0].label) if report.members else ""
        return [(row.key, 0, row.charged_nanousd) for row in report.days], (name,)
    top = report.members[:_TOP_MEMBERS]
    index = {row.key: number for number, row in enumerate(top)}
    shares = [
        (share.day, index.get(share.member_key(report.scope), len(top)), share.charged_nanousd)
        for share in report.shares
    ]
    others = (None,) if len(report.members) > len(top) else ()
    return shares, (*(_short(row.label or row.key) for row in top), *others)


def _words(
    report: UsageReport, shape: _Shape, ticks: Sequence[int], budget: int | None, locale: str, *, by_member: bool
) -> Words:
    names = tuple(tr("others", locale) if name is None else name for name in shape.names)
    parts = [
        period_text(date.fromisoformat(report.first_day), date.fromisoformat(report.last_day), locale),
        image_count(report.jobs, locale),
        tr("{n} MP", locale, n=number(report.megapixels, locale, "#,##0" if report.megapixels >= 100 else "#,##0.#")),
    ]
    if report.held_nanousd:
        parts.append(tr("{amount} held", locale, amount=usd(_rounded(report.held_nanousd), locale)))
    if report.play_money:
        parts.append(tr("play money", locale))
    return Words(
        title=usd(_rounded(report.charged_nanousd), locale),
        subtitle=" · ".join(parts),
        empty=tr("Nothing was spent in this period.", locale),
        budget="" if budget is None else tr("Budget {amount} a day", locale, amount=usd(budget, locale)),
        bars=names if by_member else _bar_labels(shape, locale),
        ticks=tuple(_tick_text(tick, ticks, locale) for tick in ticks),
        names=() if by_member else names,
        marks=tuple(f"#{row.key[-4:]}" for row in report.members[: len(shape.names)]),
        totals=tuple(_total_text(sum(bar), len(shape.values), locale, by_member=by_member) for bar in shape.values),
    )


def _tick_text(tick: int, ticks: Sequence[int], locale: str) -> str:
    """`$10` where all are whole dollars, else `$2.50`."""
    if any(each % NANOUSD_PER_USD for each in ticks):
        return usd(tick, locale)
    return re.sub(r"[.,]00(?!\d)", "", usd(tick, locale))


def _total_text(nanousd: int, bars: int, locale: str, *, by_member: bool) -> str:
    """With the currency where there is room for it."""
    return usd(_rounded(nanousd), locale) if by_member or bars <= 7 else number(_dollars(nanousd), locale, "#,##0.00")


def _bar_labels(shape: _Shape, locale: str) -> tuple[str, ...]:
    language = language_of(locale)
    starts = shape.bars
    if shape.monthly:
        return tuple(format_date(day, "LLL", locale=language) for day in starts)
    if len(starts) <= 10:
        return tuple(format_date(day, "EEE d", locale=language) for day in starts)
    step = 1 if len(starts) <= 16 else 2 if len(starts) <= 31 else 7
    # The last day always has a label.
    named = set(range(len(starts) - 1, -1, -step))
    return tuple(str(day.day) if at in named else "" for at, day in enumerate(starts))


def _ticks(highest: int) -> list[int]:
    """Three to six round amounts from 0 to just above the highest."""
    if highest <= 0:
        return [0]
    raw = highest / 4
    magnitude = 10 ** math.floor(math.log10(raw))
    step = int(next(size * magnitude for size in (1, 2, 2.5, 5, 10) if size * magnitude >= raw))
    step = max(step, 1)
    return [step * n for n in range(math.ceil(highest / step) + 1)]


def _rounded(nanousd: int) -> int:
    """Whole cents from a dollar on."""
    cent = NANOUSD_PER_USD // 100
    return nanousd if abs(nanousd) < NANOUSD_PER_USD else (nanousd + cent // 2) // cent * cent


def _short(name: str) -> str:
    return cut(" ".join(name.split()), _MAX_NAME)


def _dollars(nanousd: int) -> float:
    return nanousd / NANOUSD_PER_USD
