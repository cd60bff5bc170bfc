"""Compares the ledger with what the provider says it billed, job by job. Corrects only what was charged on a guess.

The provider's events may appear minutes after the job; a job whose event is missing is listed as such, and is no
difference in money until it is older than a day.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Literal, Protocol, TypeAlias

from core.errors import JobNotFound
from core.jobs import Job
from core.ports import BillingEvent
from core.reports import ChargedJob

_CHUNK = 50
"""Request ids per question: an address line has room for about this many."""

Kind: TypeAlias = Literal["amount", "missing_at_provider", "no_request", "estimate"]


@dataclass(frozen=True, slots=True)
class Difference:
    """One job on which the two disagree; None = the provider has no event. `corrected` tells whether it was put right.

    `kind`: another amount; no event at the provider; no request id stored here; or charged on an estimate.
    """

    job_id: str
    day: str
    kind: Kind
    ledger_nanousd: int
    provider_nanousd: int | None
    corrected: bool = False


@dataclass(frozen=True, slots=True)
class DayBalance:
    """One day in both books, after corrections. Days are of the quota time zone, by the instant of the hold."""

    day: str
    jobs: int
    ledger_nanousd: int
    provider_nanousd: int

    @property
    def agrees(self) -> bool:
        """Whether both books say the same."""
        return self.ledger_nanousd == self.provider_nanousd


@dataclass(frozen=True, slots=True)
class Reconciliation:
    """The comparison of a period. `answered` False: the provider gave no events at all (no admin key)."""

    days: tuple[DayBalance, ...]
    differences: tuple[Difference, ...]
    answered: bool = True

    @property
    def ledger_nanousd(self) -> int:
        """All days of the ledger."""
        return sum(day.ledger_nanousd for day in self.days)

    @property
    def provider_nanousd(self) -> int:
        """All days of the provider."""
        return sum(day.provider_nanousd for day in self.days)


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
    events_of: Callable[[Sequence[str]], Awaitable[Sequence[BillingEvent]]],
    ledger: Corrector,
    store: JobRows,
    *,
    correct_all: bool = False,
) -> Reconciliation:
    """Ask for the billing events of these jobs and compare. Raises what the provider raises.

    A job whose charge was an estimate (basis `unknown`) is corrected by an `adjust` entry, and its receipt with it;
    with `correct_all` every other amount as well.
    """
    real = [job for job in jobs if not job.play]
    billed = await _billed([job.request_id for job in real if job.request_id], events_of)
    differences: list[Difference] = []
    corrected: dict[str, int] = {}
    for job in real:
        difference = _compare(job, billed)
        if difference is None:
            continue
        if difference.provider_nanousd is not None:
            difference = await _put_right(job, difference, billed[job.request_id], ledger, store, correct_all)
            if difference.corrected and difference.provider_nanousd is not None:
                corrected[job.job_id] = difference.provider_nanousd
        differences.append(difference)
    answered = bool(billed) or not any(job.request_id for job in real)
    return Reconciliation(_days(real, billed, corrected), tuple(differences), answered)


async def _billed(
    request_ids: Sequence[str], events_of: Callable[[Sequence[str]], Awaitable[Sequence[BillingEvent]]]
) -> Mapping[str, BillingEvent]:
    """One event per request; several events of one request are added up."""
    found: dict[str, BillingEvent] = {}
    for start in range(0, len(request_ids), _CHUNK):
        for event in await events_of(request_ids[start : start + _CHUNK]):
            earlier = found.get(event.request_id)
            if earlier is not None:
                event = dataclasses.replace(
                    event, units=event.units + earlier.units, cost_nanousd=event.cost_nanousd + earlier.cost_nanousd
                )
            found[event.request_id] = event
    return found


def _compare(job: ChargedJob, billed: Mapping[str, BillingEvent]) -> Difference | None:
    if not job.request_id:
        return Difference(job.job_id, job.day, "no_request", job.charged_nanousd, None) if job.charged_nanousd else None
    event = billed.get(job.request_id)
    if event is None:
        if not job.charged_nanousd:
            return None
        return Difference(job.job_id, job.day, "missing_at_provider", job.charged_nanousd, None)
    if event.cost_nanousd == job.charged_nanousd:
        return None
    return Difference(job.job_id, job.day, "amount", job.charged_nanousd, event.cost_nanousd)


async def _put_right(
    job: ChargedJob,
    difference: Difference,
    event: BillingEvent,
    ledger: Corrector,
    store: JobRows,
    correct_all: bool,
) -> Difference:
    row = await store.get(job.job_id)
    estimated = row is not None and row.receipt is not None and row.receipt.basis == "unknown"
    if not estimated and not correct_all:
        return difference
    await ledger.correct(
        job.job_id, amount_nanousd=event.cost_nanousd, note="provider's billing event", megapixels=event.units
    )
    if row is not None and row.receipt is not None:
        receipt = dataclasses.replace(row.receipt, charged_nanousd=event.cost_nanousd, basis="units", units=event.units)
        try:
            await store.update(job.job_id, receipt=receipt)
        except JobNotFound:  # erased by its owner meanwhile; the ledger is right all the same
            return dataclasses.replace(difference, corrected=True)
    return dataclasses.replace(difference, kind="estimate" if estimated else "amount", corrected=True)


def _days(
    jobs: Sequence[ChargedJob], billed: Mapping[str, BillingEvent], corrected: Mapping[str, int]
) -> tuple[DayBalance, ...]:
    sums: dict[str, tuple[int, int, int]] = {}
    for job in jobs:
        count, ledger, provider = sums.get(job.day, (0, 0, 0))
        event = billed.get(job.request_id)
        sums[job.day] = (
            count + 1,
            ledger + corrected.get(job.job_id, job.charged_nanousd),
            provider + (event.cost_nanousd if event is not None else 0),
        )
    return tuple(DayBalance(day, *sums[day]) for day in sorted(sums))
