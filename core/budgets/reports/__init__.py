"""Usage reports and their CSV."""

import csv
import io
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from decimal import Decimal
from typing import Literal
from zoneinfo import ZoneInfo

from core.domain.errors import InvalidParameters, NotAdmitted
from core.domain.limits import LimitStatus
from core.domain.models import DEFAULT_MODEL
from core.domain.money import NANOUSD_PER_USD, PIXELS_PER_MEGAPIXEL
from core.domain.untrusted_text import clean_line

_ALLOWED = "day, week, month, year, 2026-11, 2026-11-23, 2026-11-01..2026-11-23"
_DAY = r"\d{4}-\d{2}-\d{2}"
_RANGE = re.compile(rf"({_DAY})\s*(?:\.\.|–|-|/|to)\s*({_DAY})")
_MAX_CHARS = 60
_MAX_DAYS = 3 * 366


@dataclass(frozen=True, slots=True)
class Period:
    """`name` is as typed. Both days are included; `last` is never in the future."""

    name: str
    first: date
    last: date


@dataclass(frozen=True, slots=True)
class UsageRow:
    """One line of a report: a day (`2026-11-23`), a member or a model."""

    key: str
    label: str
    charged_nanousd: int
    jobs: int
    megapixels: float


@dataclass(frozen=True, slots=True)
class UsageFilter:
    """The ledger rows of a report. Empty names match everything; both days are included."""

    first: date
    last: date
    platform: str = ""
    workspace_id: str = ""
    user_id: str = ""
    play: bool | None = None


@dataclass(frozen=True, slots=True)
class MemberDay:
    day: str
    platform: str
    user_id: str
    name: str
    charged_nanousd: int
    jobs: int
    pixels: int

    def member_key(self, scope: str) -> str:
        return f"{self.platform}:{self.user_id}" if scope == "everything" else self.user_id


@dataclass(frozen=True, slots=True)
class ChargedJob:
    """`request_id` is the provider's, or "" if it is not stored (any more)."""

    job_id: str
    at: float
    day: str
    platform: str
    workspace_id: str
    channel_id: str
    user_id: str
    user_name: str
    estimate_nanousd: int
    charged_nanousd: int
    pixels: int
    sponsor_id: str
    play: bool
    request_id: str
    model: str = DEFAULT_MODEL


@dataclass(frozen=True, slots=True)
class UsageReport:
    """The use of a person, a workspace or everybody in a period, in days of `timezone`.

    `members` is empty for a single person. `budget_day_nanousd` is the scope's money limit per day, if there is one.
    """

    scope: str
    period: str
    timezone: str
    first_day: str
    last_day: str
    charged_nanousd: int
    held_nanousd: int
    jobs: int
    megapixels: float
    days: tuple[UsageRow, ...]
    members: tuple[UsageRow, ...]
    budget_day_nanousd: int | None
    play_money: bool
    models: tuple[UsageRow, ...] = ()
    """Charges by model, highest first."""
    shares: tuple[MemberDay, ...] = ()
    """Charges by day and member, for the chart; empty for a single person."""
    viewer: str = ""
    """The reader, as `platform:user`, for the fair queue of drawings."""
    left: Sequence[LimitStatus] = ()
    """The limits that apply to the reader; empty if they may not spend (`refused`)."""
    refused: NotAdmitted | None = None


def build(
    rows: Sequence[MemberDay],
    *,
    scope: Literal["user", "workspace", "everything"],
    period: Period,
    timezone: str,
    held_nanousd: int,
    budget_day_nanousd: int | None,
    play_money: bool,
    viewer: str = "",
    models: Sequence[UsageRow] = (),
) -> UsageReport:
    """Days without use are left out; members are sorted by charge, highest first."""
    days = sorted(_totals(rows, lambda row: (row.day, row.day)), key=lambda row: row.key)
    members = sorted(
        _totals(rows, lambda row: (row.member_key(scope), row.name)),
        key=lambda row: (-row.charged_nanousd, -row.jobs, row.key),
    )
    return UsageReport(
        scope=scope,
        period=period.name,
        timezone=timezone,
        first_day=str(period.first),
        last_day=str(period.last),
        charged_nanousd=sum(row.charged_nanousd for row in rows),
        held_nanousd=held_nanousd,
        jobs=sum(row.jobs for row in rows),
        megapixels=_megapixels(sum(row.pixels for row in rows)),
        days=tuple(days),
        members=() if scope == "user" else tuple(members),
        budget_day_nanousd=budget_day_nanousd,
        play_money=play_money,
        viewer=viewer,
        models=tuple(models),
        shares=() if scope == "user" else tuple(sorted(rows, key=lambda row: (row.day, row.platform, row.user_id))),
    )


def _totals(rows: Iterable[MemberDay], key_and_label: Callable[[MemberDay], tuple[str, str]]) -> list[UsageRow]:
    sums: dict[str, tuple[str, int, int, int]] = {}
    for row in rows:
        key, label = key_and_label(row)
        old_label, charged, jobs, pixels = sums.get(key, ("", 0, 0, 0))
        sums[key] = (label or old_label, charged + row.charged_nanousd, jobs + row.jobs, pixels + row.pixels)
    return [
        UsageRow(key, label, charged, jobs, _megapixels(pixels)) for key, (label, charged, jobs, pixels) in sums.items()
    ]


def _megapixels(pixels: int) -> float:
    return round(pixels / PIXELS_PER_MEGAPIXEL, 2)


COLUMNS: Mapping[str, Callable[[ChargedJob, ZoneInfo], str]] = {
    "day": lambda job, _: job.day,
    "time": lambda job, zone: datetime.fromtimestamp(job.at, zone).isoformat(timespec="seconds"),
    "job": lambda job, _: job.job_id,
    "platform": lambda job, _: job.platform,
    "workspace": lambda job, _: without_formula(job.workspace_id),
    "channel": lambda job, _: without_formula(job.channel_id),
    "member_id": lambda job, _: without_formula(job.user_id),
    "member": lambda job, _: without_formula(job.user_name),
    "megapixels": lambda job, _: f"{Decimal(job.pixels) / PIXELS_PER_MEGAPIXEL:.2f}",
    "estimate_usd": lambda job, _: dollars(job.estimate_nanousd),
    "charged_usd": lambda job, _: dollars(job.charged_nanousd),
    "money": lambda job, _: "play" if job.play else "real",
    "paid_by": lambda job, _: "sponsor" if job.sponsor_id else "member",
    "fal_request": lambda job, _: job.request_id,
    "model": lambda job, _: job.model,
}


def jobs_csv(jobs: Iterable[ChargedJob], zone: ZoneInfo) -> str:
    """One line per job, oldest first, with times in `zone` and money in US dollars."""
    buffer = io.StringIO()
    writer = csv.writer(buffer, lineterminator="\n")
    writer.writerow(COLUMNS)
    writer.writerows([read(job, zone) for read in COLUMNS.values()] for job in jobs)
    return buffer.getvalue()


def dollars(nanousd: int) -> str:
    """An exact amount with at least two decimals: `1.60`, `0.0125`."""
    whole, _, part = f"{Decimal(nanousd) / NANOUSD_PER_USD:.9f}".partition(".")
    return f"{whole}.{part.rstrip('0').ljust(2, '0')}"


def without_formula(text: str) -> str:
    """Escape a leading sign, because spreadsheets would run a stranger's name as a formula."""
    return f"'{text}" if text.startswith(tuple("=+-@\t\r＝＋－＠")) else text


def parse_period(text: str, today: date) -> Period:
    """Parse `day`, `week`, `month`, `year` (the current ones), a date, month or range. Raises InvalidParameters."""
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
