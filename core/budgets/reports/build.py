"""Puts a report together from charges by day and member. Pure."""

from collections.abc import Callable, Iterable, Sequence
from typing import Literal

from core.budgets.reports import MemberDay, UsageReport, UsageRow
from core.budgets.reports.periods import Period
from core.domain.money import PIXELS_PER_MEGAPIXEL


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
    """The report. Days without use are left out; members come in the order of what they were charged."""
    days = sorted(_summed(rows, lambda row: (row.day, row.day)), key=lambda row: row.key)
    members = sorted(
        _summed(rows, lambda row: (row.member_key(scope), row.name)),
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


def _summed(rows: Iterable[MemberDay], name: Callable[[MemberDay], tuple[str, str]]) -> list[UsageRow]:
    sums: dict[str, tuple[str, int, int, int]] = {}
    for row in rows:
        key, label = name(row)
        old_label, charged, jobs, pixels = sums.get(key, ("", 0, 0, 0))
        sums[key] = (label or old_label, charged + row.charged_nanousd, jobs + row.jobs, pixels + row.pixels)
    return [
        UsageRow(key, label, charged, jobs, _megapixels(pixels)) for key, (label, charged, jobs, pixels) in sums.items()
    ]


def _megapixels(pixels: int) -> float:
    return round(pixels / PIXELS_PER_MEGAPIXEL, 2)
