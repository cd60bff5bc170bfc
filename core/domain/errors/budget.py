"""A limit, a pause, or the ledger says no."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Literal

from core.domain.errors.base import UpscaleError
from core.domain.limits import LimitStatus


class BudgetError(UpscaleError):
    """A limit, a pause, or the ledger says no. Nothing was charged."""

    code = "budget"


@dataclass(eq=False, kw_only=True)
class LimitReached(BudgetError):
    """The first limit that does not hold the job, with what was asked of it, in its own unit."""

    code: ClassVar[str] = "limit_reached"
    status: LimitStatus
    needed: int
    largest_factor: float | None = None


@dataclass(eq=False, kw_only=True)
class TooManyWaiting(BudgetError):
    """The member already has the allowed number of jobs waiting their turn."""

    code: ClassVar[str] = "too_many_waiting"
    limit: int


@dataclass(eq=False, kw_only=True)
class Paused(BudgetError):
    """New jobs are paused. `by` is `operator` or `moderator`."""

    code: ClassVar[str] = "paused"
    by: Literal["operator", "moderator"]


@dataclass(eq=False, kw_only=True)
class LedgerUnavailable(BudgetError):
    """The ledger does not answer, so nothing may be spent."""

    code: ClassVar[str] = "ledger_unavailable"
