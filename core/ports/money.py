"""What the core needs of the ledger. Implemented in `core.storage`."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Protocol, TypeAlias

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


class Ledger(Protocol):
    """Holds, settlements and releases, correct under repeats and races. Raises LedgerUnavailable when it is away."""

    async def hold(self, request: HoldRequest) -> HoldAnswer:
        """Check and hold all limits that apply in one transaction, or none.

        Raises LimitReached, TooManyWaiting, Paused.
        """

    async def admit(self, key: str) -> HoldAnswer:
        """Ask again for a waiting hold's turn, first come first served. Extends its expiry."""

    async def touch(self, keys: Sequence[str]) -> None:
        """Extend the expiry of these holds: their jobs are alive."""

    async def settle(self, key: str, *, amount_nanousd: int, megapixels: Decimal, real: bool = True) -> None:
        """Turn the hold into this charge, up or down. Settling again, or an unknown key, records nothing twice."""

    async def release(self, key: str) -> None:
        """Give the hold back in full. Repeats do nothing; a settled hold stays settled."""

    async def statuses(self, requester: Requester, model: str | None = None) -> tuple[LimitStatus, ...]:
        """Every limit that applies to this person here, with use and holds, narrowest first.

        With `model` those that jobs of this model are measured on; without, also those of single models.
        """
