"""Requests to the ledger, and its answers."""

from dataclasses import dataclass
from typing import TypeAlias

from core.domain.job import Requester
from core.domain.limits import LimitStatus
from core.domain.models import DEFAULT_MODEL


@dataclass(frozen=True, slots=True)
class HoldRequest:
    """Money to set aside before spending. `key` is the idempotency key: a repeat never makes a second hold."""

    key: str
    requester: Requester
    amount_nanousd: int
    megapixels: int
    model: str = DEFAULT_MODEL
    enforce: bool = True
    """False for play money: recorded, never refused."""


@dataclass(frozen=True, slots=True)
class Granted:
    """The money is held, and the job may run now."""

    left: tuple[LimitStatus, ...] = ()


@dataclass(frozen=True, slots=True)
class MustWait:
    """The money is held, but a limit on concurrent jobs is reached; `ahead` jobs wait in the same queue before it."""

    ahead: int


HoldAnswer: TypeAlias = Granted | MustWait
