"""Periods as people name them, to two calendar days. Pure."""

import re
from dataclasses import dataclass
from datetime import date, timedelta

from core.domain.errors import InvalidParameters
from core.domain.untrusted_text import clean_line

_ALLOWED = "day, week, month, year, 2026-11, 2026-11-23, 2026-11-01..2026-11-23"
_DAY = r"\d{4}-\d{2}-\d{2}"
_RANGE = re.compile(rf"({_DAY})\s*(?:\.\.|–|-|/|to)\s*({_DAY})")
_MAX_CHARS = 60
_MAX_DAYS = 3 * 366


@dataclass(frozen=True, slots=True)
class Period:
    """`name` is what was asked for; both days belong to it and the last one is never in the future."""

    name: str
    first: date
    last: date


def parse_period(text: str, today: date) -> Period:
    """`day`, `week`, `month`, `year` (the current ones), a month, a day, or a range. Raises InvalidParameters."""
    name = clean_line(text, _MAX_CHARS).lower() or "month"
    if (found := _named(name, today) or _dated(name)) is not None:
        first, last = found[0], min(found[1], today)
        if first <= last and (last - first).days < _MAX_DAYS:
            return Period(name, first, last)
    raise InvalidParameters.of("period", text, "range", _ALLOWED)


def _named(name: str, today: date) -> tuple[date, date] | None:
    starts = {
        "day": today,
        "today": today,
        "week": today - timedelta(days=today.weekday()),
        "month": today.replace(day=1),
        "year": today.replace(month=1, day=1),
    }
    if name == "yesterday":
        return today - timedelta(days=1), today - timedelta(days=1)
    return (starts[name], today) if name in starts else None


def _dated(name: str) -> tuple[date, date] | None:
    try:
        if (both := _RANGE.fullmatch(name)) is not None:
            return date.fromisoformat(both[1]), date.fromisoformat(both[2])
        if re.fullmatch(_DAY, name):
            return date.fromisoformat(name), date.fromisoformat(name)
        if re.fullmatch(r"\d{4}-\d{2}", name):
            first = date.fromisoformat(f"{name}-01")
            return first, (first + timedelta(days=32)).replace(day=1) - timedelta(days=1)
        if re.fullmatch(r"\d{4}", name):
            return date(int(name), 1, 1), date(int(name), 12, 31)
    except ValueError:  # such as the 31st of February
        return None
    return None
