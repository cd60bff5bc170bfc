"""Reconciles the ledger with the provider's billing events.

`core.budgets.billing_differences` compares; this module reads both sides, adds up days, and corrects charges by entries
of their own. Without `correct_all` it corrects only charges of an estimate, or of no units at all for a result that was
delivered, and only by a plausible bill.
"""

import dataclasses
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from decimal import Decimal
from functools import partial
from zoneinfo import ZoneInfo

import structlog

from core.budgets.billing_differences import Charge, Comparison, Difference, compare
from core.domain.errors import JobNotFound, UpscaleError
from core.domain.job import Receipt
from core.domain.limits import local_day
from core.domain.money import NANOUSD_PER_USD, is_plausible_bill
from core.ports import AppState, BillingEvent, Metrics, OperatorAlerts, SentRequest, TypedState, Upscaler
from core.presentation.texts import operator_texts
from core.storage.jobs import SqlJobStore
from core.storage.ledger import SqlLedger

log = structlog.get_logger(__name__)

_OVERLAP_S = 8 * 3600.0
"""Longer than fal may queue a request: its billing event may appear that late."""

_FIRST_PERIOD_S, _MAX_PERIOD_S = 7 * 86_400.0, 89 * 86_400.0
_TOLD_S = 100 * 86_400.0


@dataclass(frozen=True, slots=True)
class ErasedRequest:
    """A request whose job was erased; it is still reconciled. `at` is when it was sent (unix seconds)."""

    request_id: str
    at: float


def erased_requests(state: AppState) -> TypedState[ErasedRequest]:
    """By job id, for longer than fal lists billing events (90 days)."""
    return TypedState(state, "erased_requests", ErasedRequest, ttl_s=_TOLD_S)


@dataclass(frozen=True, slots=True)
class DayBalance:
    """One day on both sides, in the quota time zone, by the time of the job's hold."""

    day: str
    ledger_nanousd: int
    provider_nanousd: int


@dataclass(frozen=True, slots=True)
class Reconciliation:
    """`days` are after the corrections, `found` is before them; `corrected` are the ids of corrected jobs.

    `answered` False: the provider lists no events (no admin key).
    """

    days: tuple[DayBalance, ...]
    found: Comparison
    corrected: frozenset[str] = frozenset()
    answered: bool = True


class Reconciler:
    def __init__(self, store: SqlJobStore, ledger: SqlLedger, upscaler: Upscaler, state: AppState) -> None:
        self._store = store
        self._ledger = ledger
        self._upscaler = upscaler
        self._state = state
        self._compared_until = TypedState(state, "books", float)
        self._erased = erased_requests(state)

    async def compare(self, since: float, *, correct_all: bool = False) -> Reconciliation:
        """With `correct_all` every charge becomes what was billed, or zero; nothing does by an empty bill.

        Raises what the provider raises.
        """
        now, zone = self._ledger.clock.now(), self._ledger.settings.zone
        sent = [request async for request in self._store.sent_requests(since)]
        erased = await self._erased.items()
        gone = [SentRequest(job_id, one.request_id, one.at, one.at, ended=True) for job_id, one in erased.items()]
        sent += [one for one in gone if one.made_at >= since]
        listed = await self._upscaler.billing_events(since, now)
        events = listed or ()
        known = {one.request_id for one in sent}
        others = [event.request_id for event in events if event.request_id and event.request_id not in known]
        sent += await self._store.by_request_ids(others)
        sent += [one for one in gone if one.request_id in others]
        charges = await self._charges(sent)
        if listed is None:
            return Reconciliation(day_balances(charges, (), zone), compare([], [], now=now), answered=False)
        found = compare(charges, events, now=now)
        corrected = {
            difference.job_id: difference.theirs_nanousd or 0
            for difference in found.differences
            if await self._correct(difference, correct_all=correct_all and bool(events))
        }
        after = [
            dataclasses.replace(charge, charged_nanousd=corrected.get(charge.job_id, charge.charged_nanousd))
            for charge in charges
        ]
        return Reconciliation(day_balances(after, events, zone), found, frozenset(corrected))

    async def reconcile_new(self, metrics: Metrics, operator: OperatorAlerts) -> None:
        """Reconcile the time since the last call, and alert the operator to each difference once."""
        now = self._ledger.clock.now()
        last = await self._compared_until.get("compared_until")
        since = max(now - _MAX_PERIOD_S, (last or now - _FIRST_PERIOD_S) - _OVERLAP_S)
        try:
            found = await self.compare(since)
        except UpscaleError as error:
            log.info("reconcile_not_possible", error=error.code)
            return
        if not found.answered:
            return
        await self._compared_until.put("compared_until", now)
        open_ones = [one for one in found.found.differences if one.job_id not in found.corrected]
        total = sum(abs((one.ours_nanousd or 0) - (one.theirs_nanousd or 0)) for one in open_ones)
        metrics.gauge("reconcile_difference_usd", total / NANOUSD_PER_USD)
        new = [one for one in open_ones if await self._state.claim("books_told", one.request_id, ttl_s=_TOLD_S)]
        for one in new:
            log.warning("reconcile_difference", job=one.job_id, request=one.request_id, kind=one.kind,
                        ledger_nanousd=one.ours_nanousd, fal_nanousd=one.theirs_nanousd)  # fmt: skip
        if new:
            operator.tell(f"books:{new[0].request_id}", partial(operator_texts.billing_differences, tuple(new)))

    async def _charges(self, sent: Sequence[SentRequest]) -> list[Charge]:
        """From the ledger, which is authoritative for money, not from the jobs."""
        holds = await self._ledger.holds([one.job_id for one in sent])
        play = not self._upscaler.real_money
        charges = []
        for one in sent:
            hold = holds.get(one.job_id)
            if hold is None or hold.play == play:
                charged, settled = (hold.charged_nanousd, hold.state == "settled") if hold is not None else (0, False)
                at, ended_at = hold.held_at if hold is not None else one.made_at, one.ended_at or one.made_at
                charges.append(Charge(one.job_id, one.request_id, at, charged, settled or one.ended, ended_at))
        return charges

    async def _correct(self, difference: Difference, *, correct_all: bool) -> bool:
        job = await self._store.get(difference.job_id) if difference.job_id else None
        receipt = job.receipt if job is not None else None
        if not difference.job_id or difference.kind == "unreadable":
            return False
        if not (correct_all or _is_certain(difference, receipt)):
            return False
        amount, units = difference.theirs_nanousd or 0, difference.units or None
        if not await self._ledger.correct(
            difference.job_id, amount_nanousd=amount, note="provider's billing event", megapixels=units
        ):
            return False  # its hold is kept no longer
        if receipt is not None:
            receipt = dataclasses.replace(receipt, charged_nanousd=amount, basis="units", units=difference.units)
            try:
                await self._store.update(difference.job_id, receipt=receipt)
            except JobNotFound:  # erased by its owner meanwhile; the ledger is right all the same
                log.info("corrected_without_job", job=difference.job_id)
        return True


def _is_certain(difference: Difference, receipt: Receipt | None) -> bool:
    theirs = difference.theirs_nanousd
    if theirs is None or receipt is None:
        return False
    no_units = receipt.basis == "units" and not receipt.charged_nanousd
    return (receipt.basis == "unknown" or no_units) and is_plausible_bill(Decimal(1), theirs, receipt.estimate_nanousd)


def day_balances(charges: Sequence[Charge], events: Iterable[BillingEvent], zone: ZoneInfo) -> tuple[DayBalance, ...]:
    """Sums of both sides by day, oldest first. An event counts on the day of its job."""
    days = {charge.request_id: str(local_day(charge.at, zone)) for charge in charges}
    ledger, provider = Counter[str](), Counter[str]()
    for charge in charges:
        ledger[days[charge.request_id]] += charge.charged_nanousd
    for event in events:
        provider[days.get(event.request_id) or str(local_day(event.at, zone))] += event.cost_nanousd or 0
    return tuple(DayBalance(day, ledger[day], provider[day]) for day in sorted(ledger.keys() | provider.keys()))
