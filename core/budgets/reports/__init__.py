"""Usage totals, charts, CSV and reconciliation: what was spent, by whom, when. Reads; never changes money."""

from dataclasses import dataclass
from datetime import date

from core.domain.models import DEFAULT_MODEL


@dataclass(frozen=True, slots=True)
class UsageRow:
    """One line of a report: a day (`2026-11-23`) or a member, with what was charged and done."""

    key: str
    label: str
    charged_nanousd: int
    jobs: int
    megapixels: float


@dataclass(frozen=True, slots=True)
class UsageFilter:
    """Which rows of the ledger a report is about; empty names match everything. Both days belong to it."""

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
        """What names the member in a report of this scope."""
        return f"{self.platform}:{self.user_id}" if scope == "everything" else self.user_id


@dataclass(frozen=True, slots=True)
class ChargedJob:
    """One charged job. `request_id` is the provider's name of it, "" where it is not stored (any more)."""

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
    models: tuple[UsageRow, ...] = ()
    """Charges by model, the dearest first."""
    shares: tuple[MemberDay, ...] = ()
    """Charges by day and member, for the chart; empty for a single person."""
    viewer: str = ""
    """Who asked, as `platform:user`: drawings take turns by it."""
