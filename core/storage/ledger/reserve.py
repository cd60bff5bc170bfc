"""The ledger's decisions, as plain functions on a snapshot: hold, settle, release, correct.

Every function is idempotent. None waits or accesses the database.
"""

import dataclasses
import math
from decimal import Decimal
from typing import Literal

from core.budgets.fit import failing, reached
from core.domain.errors import Paused, TooManyWaiting
from core.domain.job import Requester
from core.domain.limits import SUMMED_WINDOWS, LimitStatus
from core.domain.money import PIXELS_PER_MEGAPIXEL
from core.ports import HoldRequest
from core.storage.ledger.rules import NOW, Plan
from core.storage.ledger.unit_of_work import OPEN, Balance, Hold, HoldState, LedgerSnapshot

_MAX_NAME = 100


def payment_plans(snapshot: LedgerSnapshot, who: Requester, model: str | None) -> tuple[Plan, ...]:
    """Return the ways to pay, in the order in which they are tried: sponsors of the channel, then the member."""
    rules = snapshot.rules
    sponsored = [rules.sponsored(who, sponsor, model) for sponsor in rules.sponsors_of(who, snapshot.now)]
    return (*sponsored, rules.plan(who, model))


def create_hold(snapshot: LedgerSnapshot, request: HoldRequest, *, must_wait: bool) -> Hold:
    """Hold the money of a new job, or of one whose earlier hold was released. Raises what `Ledger.hold` raises."""
    who = request.requester
    by = snapshot.rules.paused(who)
    if by is not None:
        raise Paused(by=by, platform=who.platform)
    if not request.enforce:
        return _add_hold(snapshot, request, Plan((), (), (), ()), "running")
    plan = _affordable_plan(snapshot, request)
    if must_wait and snapshot.settings.user_waiting is not None:
        everywhere = snapshot.rules.keys.personal(who)[0]
        if snapshot.balance(everywhere, NOW).waiting >= snapshot.settings.user_waiting:
            raise TooManyWaiting(limit=snapshot.settings.user_waiting)
    return _add_hold(snapshot, request, plan, "waiting" if must_wait else "running")


def _affordable_plan(snapshot: LedgerSnapshot, request: HoldRequest) -> Plan:
    """Return the first plan within its limits. If only the sponsor's budget is exceeded, the next plan is tried."""
    asked = (request.amount_nanousd, request.megapixels)
    *sponsored, own = payment_plans(snapshot, request.requester, request.model)
    for plan in sponsored:
        failed = failing(map(snapshot.status, plan.bounds), *asked)
        if not failed:
            return plan
        if all(status.limit.source != "sponsor" for status in failed):
            raise reached(failed, *asked)
    if failed := failing(map(snapshot.status, own.bounds), *asked):
        raise reached(failed, *asked)
    return own


def _add_hold(snapshot: LedgerSnapshot, request: HoldRequest, plan: Plan, state: HoldState) -> Hold:
    who = request.requester
    old = snapshot.holds.get(request.key)
    hold = Hold(
        key=request.key,
        requester=dataclasses.replace(who, user_name=who.user_name[:_MAX_NAME]),
        state="released",
        held_at=snapshot.now,
        asked_at=snapshot.now,
        expires_at=snapshot.now + snapshot.settings.hold_ttl_s,
        day=snapshot.day,
        amount_nanousd=request.amount_nanousd,
        amount_px=request.megapixels * PIXELS_PER_MEGAPIXEL,
        play=not request.enforce,
        member=snapshot.rules.keys.person(who),
        counters=plan.counters,
        slots=plan.slot_counters,
        windows=tuple((span.key, span.ends_at) for span in snapshot.spans if span.window in SUMMED_WINDOWS),
        sponsor_id=plan.sponsor_id,
        model=request.model,
        round=old.round + 1 if old else 1,
        adjustments=old.adjustments if old else 0,
        seq=old.seq if old else None,
    )
    snapshot.holds[hold.key] = hold
    snapshot.set_state(hold, state)
    change = Balance(held_nanousd=hold.amount_nanousd, held_px=hold.amount_px, held_jobs=1)
    snapshot.record(hold, "hold", f"hold:{hold.round}", change)
    return hold


def settle(snapshot: LedgerSnapshot, key: str, amount_nanousd: int, megapixels: Decimal, *, real: bool) -> bool:
    """Turn a hold into a charge, also after its release or expiry, since it was billed. False without a hold."""
    hold = snapshot.holds.get(key)
    if hold is None:
        return False
    if hold.state == "settled":
        return True
    pixels = math.ceil(megapixels * PIXELS_PER_MEGAPIXEL)
    change = _hold_reversal(hold)
    if real or hold.play:
        change.add(Balance(used_nanousd=amount_nanousd, used_px=pixels, used_jobs=1))
        hold.charged_nanousd, hold.charged_px = amount_nanousd, pixels
    snapshot.set_state(hold, "settled")
    snapshot.record(hold, "settle", f"settle:{hold.round}", change)
    return True


def release(snapshot: LedgerSnapshot, key: str, kind: Literal["release", "expire"]) -> bool:
    hold = snapshot.holds.get(key)
    if hold is None or hold.state not in OPEN:
        return False
    change = _hold_reversal(hold)
    snapshot.set_state(hold, "expired" if kind == "expire" else "released")
    snapshot.record(hold, kind, f"{kind}:{hold.round}", change)
    return True


def correct(snapshot: LedgerSnapshot, key: str, amount_nanousd: int, megapixels: Decimal | None, note: str) -> int:
    """Make the charge this much, by an `adjust` entry or, after a release, a settlement; returns the difference."""
    hold = snapshot.holds.get(key)
    if hold is None or hold.state in OPEN:
        return 0
    if hold.state != "settled":
        return amount_nanousd if settle(snapshot, key, amount_nanousd, megapixels or Decimal(0), real=True) else 0
    pixels = hold.charged_px if megapixels is None else math.ceil(megapixels * PIXELS_PER_MEGAPIXEL)
    change = Balance(used_nanousd=amount_nanousd - hold.charged_nanousd, used_px=pixels - hold.charged_px)
    if change == Balance():
        return 0
    hold.charged_nanousd, hold.charged_px = amount_nanousd, pixels
    hold.adjustments += 1
    snapshot.record(hold, "adjust", f"adjust:{hold.round}:{hold.adjustments}", change, note)
    return change.used_nanousd


def _hold_reversal(hold: Hold) -> Balance:
    if hold.state not in OPEN:
        return Balance()
    return Balance(held_nanousd=-hold.amount_nanousd, held_px=-hold.amount_px, held_jobs=-1)


def statuses_of(snapshot: LedgerSnapshot, hold: Hold) -> tuple[LimitStatus, ...]:
    if hold.play:
        return ()
    ways = payment_plans(snapshot, hold.requester, hold.model)
    paid = next((plan for plan in ways if plan.sponsor_id == hold.sponsor_id), ways[-1])
    return tuple(map(snapshot.status, paid.bounds))
