"""When a budget is half, four fifths or wholly used: which alert is due, and when it runs out at this pace. Pure.

An alert is due once per window and level; that it was sent is remembered by the ledger's tables, not here.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal, TypeAlias

from core.domain.limits import LimitStatus, Measure, ScopeKind
from core.domain.windows import Span

Level: TypeAlias = Literal[50, 80, 100]
LEVELS: tuple[Level, ...] = (50, 80, 100)


@dataclass(frozen=True, slots=True)
class AlertPlace:
    """A channel that wants a workspace's alerts; `everything`: the whole bot's as well."""

    platform: str
    workspace_id: str
    channel_id: str
    everything: bool
    locale: str = "en"


@dataclass(frozen=True, slots=True)
class Alert:
    """One alert to send. `key` names the budget in its window at this place; `runs_out_at` is None where it lasts, or
    has no window.
    """

    place: AlertPlace
    key: str
    level: Level
    status: LimitStatus
    runs_out_at: float | None


def watched(statuses: Iterable[LimitStatus], place: AlertPlace) -> list[LimitStatus]:
    """The budgets that this place is told about: the workspace's own, the bot's where wanted, and sponsors'."""
    kinds = {ScopeKind.WORKSPACE, ScopeKind.EVERYTHING} if place.everything else {ScopeKind.WORKSPACE}
    return [
        status
        for status in statuses
        if status.limit.measure is not Measure.RUNNING
        and status.limit.amount > 0
        and (status.limit.scope.kind in kinds or status.limit.source == "sponsor")
    ]


def level_of(status: LimitStatus, smallest_job_nanousd: int) -> Level | None:
    """The highest level reached. Wholly used: not even the smallest job fits, for budgets rarely come out even."""
    limit, used = status.limit, status.used
    smallest = smallest_job_nanousd if limit.measure is Measure.USD else 1
    if used + smallest > limit.amount:
        return 100
    share = 100 * used / limit.amount
    return 80 if share >= 80 else 50 if share >= 50 else None


def runs_out_at(status: LimitStatus, span: Span, now: float) -> float | None:
    """When the limit is used up if use goes on as since its window began; None if it lasts until the window's end."""
    if span.ends_at is None or status.used <= 0:
        return None
    elapsed = max(now - span.starts_at, 1.0)
    at = span.starts_at + elapsed * status.limit.amount / status.used
    return max(at, now) if at < span.ends_at else None


def budget_key(status: LimitStatus, span: Span, place: AlertPlace) -> str:
    """One name per budget, window and place, the same for every process."""
    limit = status.limit
    window = span.key if limit.source != "sponsor" else f"until{status.opens_at:.0f}"
    parts = (place.platform, place.workspace_id, limit.scope.kind, limit.scope.id, limit.source, limit.measure, window)
    return "|".join(str(part) for part in (*parts, *filter(None, (limit.model,))))
