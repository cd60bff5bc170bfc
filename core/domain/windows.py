"""Calendar windows of a time zone, computed from an instant. Pure; nothing is ever reset by a timer."""

from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from typing import assert_never
from zoneinfo import ZoneInfo

from core.domain.limits import Window

HOUR_S = 3600

COUNTED: tuple[Window, ...] = (Window.HOUR, Window.DAY, Window.WEEK, Window.MONTH, Window.TOTAL)
"""Every window that sums something up; `NOW` only counts jobs at once."""


@dataclass(frozen=True, slots=True)
class Span:
    """One concrete window. `key` names it among all windows; times are unix seconds, `ends_at` None = never."""

    window: Window
    key: str
    starts_at: float
    ends_at: float | None


def local_day(at: float, zone: ZoneInfo) -> date:
    """The calendar day of `zone` that holds this instant."""
    return datetime.fromtimestamp(at, zone).date()


def midnight(day: date, zone: ZoneInfo) -> float:
    """The instant at which this day begins; where the clock skips midnight, the instant of the skip."""
    return datetime.combine(day, time(), tzinfo=zone).timestamp()


def span(window: Window, at: float, zone: ZoneInfo) -> Span:
    """The window of this kind that holds `at`. A day of 23 or 25 hours is still one day."""
    match window:
        case Window.HOUR:
            return _hour(at, zone)
        case Window.DAY:
            day = local_day(at, zone)
            return _days(window, f"d{day}", day, day + timedelta(days=1), zone)
        case Window.WEEK:
            today = local_day(at, zone)
            monday = today - timedelta(days=today.weekday())
            return _days(window, f"w{monday}", monday, monday + timedelta(days=7), zone)
        case Window.MONTH:
            first = local_day(at, zone).replace(day=1)
            return _days(window, f"m{first:%Y-%m}", first, (first + timedelta(days=32)).replace(day=1), zone)
        case Window.TOTAL:
            return Span(window, "total", 0.0, None)
        case Window.NOW:
            return Span(window, "now", 0.0, None)
    assert_never(window)


def _days(window: Window, key: str, first: date, after: date, zone: ZoneInfo) -> Span:
    return Span(window, key, midnight(first, zone), midnight(after, zone))


def _hour(at: float, zone: ZoneInfo) -> Span:
    # The wall clock's hour under the offset in force: the hour that autumn repeats is two windows, as it should be.
    offset = datetime.fromtimestamp(at, zone).utcoffset() or timedelta()
    shift = offset.total_seconds()
    start = (at + shift) // HOUR_S * HOUR_S - shift
    return Span(Window.HOUR, f"h{datetime.fromtimestamp(start, UTC):%Y-%m-%dT%H:%M}", start, start + HOUR_S)
