"""What the ledger is asked, and what it answers."""

from dataclasses import dataclass
from typing import TypeAlias

from core.domain.job import Requester
from core.domain.limits import LimitStatus
from core.domain.models import DEFAULT_MODEL


@dataclass(frozen=True, slots=True)
class HoldRequest:
    """Money asked for before spending. The same `key` again gives the same answer, never a second hold."""

    key: str
    requester: Requester
    amount_nanousd: int
    megapixels: int
    model: str = DEFAULT_MODEL
    enforce: bool = True
    """False for play money: recorded, never refused."""


@dataclass(frozen=True, slots=True)
class Granted:
    """Held, and the job may run now."""

    left: tuple[LimitStatus, ...] = ()


@dataclass(frozen=True, slots=True)
class MustWait:
    """Held, but as many jobs as allowed are running; `ahead` counts those before this one in the same line."""

    ahead: int


HoldAnswer: TypeAlias = Granted | MustWait
