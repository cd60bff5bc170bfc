"""Usage totals, charts, CSV and reconciliation: what was spent, by whom, when. Reads; never changes money."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class UsageRow:
    """One line of a report: a day (`2026-11-23`) or a member, with what was charged and done."""

    key: str
    label: str
    charged_nanousd: int
    jobs: int
    megapixels: float


@dataclass(frozen=True, slots=True)
class UsageReport:
    """What one person, or one workspace, used in a period. Days are days of `timezone`.

    `scope` is `user`, `workspace` or `everything`; `members` is empty for a single person.
    `budget_day_nanousd` is the money limit per day that applies to the scope, None where there is none.
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
