"""Spending limits as data: scope × measure × window. Pure; touches no clock, database or platform.

A limit says how much of one measure one scope may use inside one window. Windows are calendar windows of a
stated time zone and are *computed* from an instant, never reset by a timer, so daylight-saving changes and
restarts cannot shift them.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class ScopeKind(StrEnum):
    """Who or what a limit applies to, from widest to narrowest."""

    EVERYTHING = "everything"
    PLATFORM = "platform"
    WORKSPACE = "workspace"
    CHANNEL = "channel"
    ROLE = "role"
    USER = "user"


class Measure(StrEnum):
    """What a limit counts. Amounts are nano-dollars, whole megapixels, jobs, and jobs running now."""

    USD = "usd"
    MEGAPIXELS = "megapixels"
    JOBS = "jobs"
    RUNNING = "running"


class Window(StrEnum):
    """The calendar window a limit counts over; `NOW` belongs to `Measure.RUNNING` alone."""

    HOUR = "hour"
    DAY = "day"
    WEEK = "week"
    MONTH = "month"
    TOTAL = "total"
    NOW = "now"


@dataclass(frozen=True, slots=True)
class Scope:
    """One concrete scope. Ids are the platform's own; `id` is empty for a kind's default."""

    kind: ScopeKind
    platform: str = ""
    workspace_id: str = ""
    id: str = ""


@dataclass(frozen=True, slots=True)
class Limit:
    """`amount` is in the measure's unit (nano-dollars for USD). `source` is `default`, `file` or `moderator`."""

    scope: Scope
    measure: Measure
    window: Window
    amount: int
    source: str = "default"


@dataclass(frozen=True, slots=True)
class LimitStatus:
    """A limit with what is used and held of it now, and when its window ends (unix seconds, None = never)."""

    limit: Limit
    used: int
    held: int
    opens_at: float | None

    @property
    def left(self) -> int:
        """What may still be held, in the measure's unit; never negative."""
        return max(0, self.limit.amount - self.used - self.held)
