"""What the core tells the operator, and nobody else. Implemented in `bot`."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol, TypeAlias

import structlog

from core.domain.identity import Place

if TYPE_CHECKING:
    from core.budgets.billing_differences import Difference

log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class UnclearBill:
    """The provider's bill for this job is out of range; the estimate was charged."""

    job_id: str
    charged_nanousd: int


@dataclass(frozen=True, slots=True)
class UnclearPrice:
    """The provider's price per megapixel is out of range; this one still counts."""

    kept_nanousd: int


@dataclass(frozen=True, slots=True)
class PlaceAsks:
    """Somebody (`by`) wants to use the bot in a place that is not admitted."""

    place: Place
    name: str
    by: str


@dataclass(frozen=True, slots=True)
class BooksDiffer:
    """New differences between our books and the provider's bill."""

    differences: tuple[Difference, ...]


@dataclass(frozen=True, slots=True)
class StuckJobs:
    """So many unfinished jobs are older than a job can be."""

    count: int
    oldest_id: str


@dataclass(frozen=True, slots=True)
class FewConnectsLeft:
    """The platform lets us connect only so often until `until_at` (unix seconds), and most of it is used up."""

    platform: str
    left: int
    total: int
    until_at: float


OperatorNews: TypeAlias = UnclearBill | UnclearPrice | BooksDiffer | StuckJobs | PlaceAsks | FewConnectsLeft


class OperatorAlerts(Protocol):
    """Takes news for the operator. Never waits and never raises, so that no job depends on it."""

    def tell(self, news: OperatorNews) -> None:
        """Pass it on soon, seldom enough not to be a flood."""


class LogOnly:
    """Where there is nobody to tell but the log."""

    def tell(self, news: OperatorNews) -> None:
        """Write it down."""
        log.warning("operator_news", news=repr(news))
