"""The two books side by side, day by day; and putting right what was charged on a guess.

The comparison itself is `core.budgets.billing_differences`; this asks the provider, adds up days,
and corrects charges by entries of their own. Only a charge on an estimate is corrected unasked.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Protocol
from zoneinfo import ZoneInfo

from core.budgets.billing_differences import Charge, Difference, compare
from core.budgets.reports import ChargedJob
from core.domain.errors import JobNotFound
from core.domain.job import Job
from core.domain.windows import local_day
from core.ports import BillingEvent

_CHUNK = 50
"""Request ids per question: an address line has room for about this many."""

EventsOf = Callable[[Sequence[str]], Awaitable[Sequence[BillingEvent]]]


@dataclass(frozen=True, slots=True)
class DayBalance:
    """One day in both books. Days are of the quota time zone, by the instant of the job's hold."""

    day: str
    jobs: int
    ledger_nanousd: int
    provider_nanousd: int


@dataclass(frozen=True, slots=True)
class Reconciliation:
    """The comparison of a period; `days` stand as they are after corrections, `differences` as they were before.

    `corrected` names the jobs whose charge was put right. `answered` False: the provider gave no events at all (no
    admin key).
    """

    days: tuple[DayBalance, ...]
    differences: tuple[Difference, ...]
    corrected: frozenset[str] = frozenset()
    answered: bool = True


class Corrector(Protocol):
    """The ledger's way of changing a charge."""

    async def correct(self, key: str, *, amount_nanousd: int, note: str, megapixels: Decimal | None = None) -> int:
        """Make the charge this much; the difference in nano-dollars."""


class JobRows(Protocol):
    """What is needed of the jobs."""

    async def get(self, job_id: str) -> Job | None:
        """One job."""

    async def update(self, job_id: str, **changes: object) -> Job:
        """Change its row."""


async def reconcile(
    jobs: Sequence[ChargedJob],
    events_of: EventsOf,
    ledger: Corrector,
    store: JobRows,
    *,
    now: float,
    zone: ZoneInfo,
    correct_all: bool = False,
    erased: Mapping[str, str] | None = None,
) -> Reconciliation:
    """Ask for the billing events of these jobs and compare. Raises what the provider raises.

    A job whose charge was an estimate (basis `unknown`) is corrected by an `adjust` entry, and its receipt with it;
    with `correct_all` every other amount that was billed as well. `erased` names the requests of jobs whose rows are
    gone, by job id.
    """
    gone = erased or {}
    charges = [
        Charge(job.job_id, request_id, job.at, job.charged_nanousd)
        for job in jobs
        if not job.play and (request_id := job.request_id or gone.get(job.job_id, ""))
    ]
    events: list[BillingEvent] = []
    for start in range(0, len(charges), _CHUNK):
        events += await events_of([charge.request_id for charge in charges[start : start + _CHUNK]])
    if charges and not events:
        return Reconciliation(day_balances(charges, (), zone), (), answered=False)
    found = compare(charges, events, now=now)
    corrected: dict[str, int] = {}
    for difference in found.differences:
        if await _put_right(difference, ledger, store, correct_all=correct_all):
            corrected[difference.job_id] = difference.theirs_nanousd or 0
    after = [
        dataclasses.replace(charge, charged_nanousd=corrected.get(charge.job_id, charge.charged_nanousd))
        for charge in charges
    ]
    return Reconciliation(day_balances(after, events, zone), found.differences, frozenset(corrected))


def day_balances(charges: Iterable[Charge], events: Iterable[BillingEvent], zone: ZoneInfo) -> tuple[DayBalance, ...]:
    """Both books by day, oldest first. An event counts on the day of its job, so that midnight makes no difference."""
    sums: dict[str, tuple[int, int, int]] = {}
    days: dict[str, str] = {}

    def add(day: str, jobs: int, ledger: int, provider: int) -> None:
        old = sums.get(day, (0, 0, 0))
        sums[day] = (old[0] + jobs, old[1] + ledger, old[2] + provider)

    for charge in charges:
        days[charge.request_id] = day = str(local_day(charge.at, zone))
        add(day, 1, charge.charged_nanousd, 0)
    for event in events:
        add(days.get(event.request_id) or str(local_day(event.at, zone)), 0, 0, event.cost_nanousd)
    return tuple(DayBalance(day, *sums[day]) for day in sorted(sums))


async def _put_right(difference: Difference, ledger: Corrector, store: JobRows, *, correct_all: bool) -> bool:
    if difference.theirs_nanousd is None or not difference.job_id:
        return False
    job = await store.get(difference.job_id)
    receipt = job.receipt if job is not None else None
    if not correct_all and (receipt is None or receipt.basis != "unknown"):
        return False
    amount, units = difference.theirs_nanousd, difference.units
    await ledger.correct(difference.job_id, amount_nanousd=amount, note="provider's billing event", megapixels=units)
    if receipt is not None:
        receipt = dataclasses.replace(receipt, charged_nanousd=amount, basis="units", units=units)
        try:
            await store.update(difference.job_id, receipt=receipt)
        except JobNotFound:  # erased by its owner meanwhile; the ledger is right all the same
            return True
    return True
