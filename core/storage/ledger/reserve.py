"""The ledger's decisions, as plain functions on a snapshot: hold, settle, release, correct. No waiting, no database.

Every function may be called again with the same arguments and then changes nothing.
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


def plans(book: LedgerSnapshot, who: Requester, model: str | None) -> tuple[Plan, ...]:
    """The ways to pay, in the order in which they are tried: a sponsor of the channel, then the member."""
    own = book.rules.plan(who, model)
    sponsor = book.rules.sponsor(who, book.now)
    return (own,) if sponsor is None else (book.rules.sponsored(who, sponsor, model), own)


def place(book: LedgerSnapshot, request: HoldRequest, *, must_wait: bool) -> Hold:
    """Hold the money of a new job, or of one whose earlier hold was given back. Raises what `Ledger.hold` raises."""
    who = request.requester
    by = book.rules.paused(who)
    if by is not None:
        raise Paused(by=by, platform=who.platform)
    if not request.enforce:
        return _write(book, request, Plan((), (), (), ()), "running")
    plan = _affordable(book, request)
    if must_wait and book.settings.user_waiting is not None:
        everywhere = book.rules.keys.personal(who)[0]
        if book.balance(everywhere, NOW).waiting >= book.settings.user_waiting:
            raise TooManyWaiting(limit=book.settings.user_waiting)
    return _write(book, request, plan, "waiting" if must_wait else "running")


def _affordable(book: LedgerSnapshot, request: HoldRequest) -> Plan:
    """The first way to pay that has room; a sponsor's budget that does not suffice leaves it to the member's own."""
    ways, asked = plans(book, request.requester, request.model), (request.amount_nanousd, request.megapixels)
    for plan in ways:
        failed = failing(map(book.status, plan.bounds), *asked)
        if not failed:
            return plan
        if plan is ways[-1] or any(status.limit.source != "sponsor" for status in failed):
            raise reached(failed, *asked)
    raise AssertionError("a requester always has a plan")


def _write(book: LedgerSnapshot, request: HoldRequest, plan: Plan, state: HoldState) -> Hold:
    who = request.requester
    old = book.holds.get(request.key)
    hold = Hold(
        key=request.key,
        requester=dataclasses.replace(who, user_name=who.user_name[:_MAX_NAME]),
        state="released",
        held_at=book.now,
        asked_at=book.now,
        expires_at=book.now + book.settings.hold_ttl_s,
        day=book.day,
        amount_nanousd=request.amount_nanousd,
        amount_px=request.megapixels * PIXELS_PER_MEGAPIXEL,
        play=not request.enforce,
        member=book.rules.keys.person(who),
        counters=plan.counters,
        slots=plan.slot_counters,
        windows=tuple((span.key, span.ends_at) for span in book.spans if span.window in SUMMED_WINDOWS),
        sponsor_id=plan.sponsor_id,
        model=request.model,
        round=old.round + 1 if old else 1,
        adjustments=old.adjustments if old else 0,
        seq=old.seq if old else None,
    )
    book.holds[hold.key] = hold
    book.move(hold, state)
    change = Balance(held_nanousd=hold.amount_nanousd, held_px=hold.amount_px, held_jobs=1)
    book.record(hold, "hold", f"hold:{hold.round}", change)
    return hold


def settle(book: LedgerSnapshot, key: str, amount_nanousd: int, megapixels: Decimal, *, real: bool) -> bool:
    """Turn a hold into a charge; also after its release or expiry, for what was billed is billed. False if unknown."""
    hold = book.holds.get(key)
    if hold is None:
        return False
    if hold.state == "settled":
        return True
    pixels = math.ceil(megapixels * PIXELS_PER_MEGAPIXEL)
    change = _given_back(hold)
    if real or hold.play:
        change.add(Balance(used_nanousd=amount_nanousd, used_px=pixels, used_jobs=1))
        hold.charged_nanousd, hold.charged_px = amount_nanousd, pixels
    book.move(hold, "settled")
    book.record(hold, "settle", f"settle:{hold.round}", change)
    return True


def release(book: LedgerSnapshot, key: str, kind: Literal["release", "expire"]) -> bool:
    hold = book.holds.get(key)
    if hold is None or hold.state not in OPEN:
        return False
    change = _given_back(hold)
    book.move(hold, "expired" if kind == "expire" else "released")
    book.record(hold, kind, f"{kind}:{hold.round}", change)
    return True


def correct(book: LedgerSnapshot, key: str, amount_nanousd: int, megapixels: Decimal | None, note: str) -> int:
    """Make the charge of a settled hold this much by an `adjust` entry; returns the difference in nano-dollars."""
    hold = book.holds.get(key)
    if hold is None or hold.state != "settled":
        return 0
    pixels = hold.charged_px if megapixels is None else math.ceil(megapixels * PIXELS_PER_MEGAPIXEL)
    change = Balance(used_nanousd=amount_nanousd - hold.charged_nanousd, used_px=pixels - hold.charged_px)
    if change == Balance():
        return 0
    hold.charged_nanousd, hold.charged_px = amount_nanousd, pixels
    hold.adjustments += 1
    book.record(hold, "adjust", f"adjust:{hold.round}:{hold.adjustments}", change, note)
    return change.used_nanousd


def _given_back(hold: Hold) -> Balance:
    if hold.state not in OPEN:
        return Balance()
    return Balance(held_nanousd=-hold.amount_nanousd, held_px=-hold.amount_px, held_jobs=-1)


def left(book: LedgerSnapshot, hold: Hold) -> tuple[LimitStatus, ...]:
    if hold.play:
        return ()
    ways = plans(book, hold.requester, hold.model)
    paid = next((plan for plan in ways if plan.sponsor_id == hold.sponsor_id), ways[-1])
    return tuple(map(book.status, paid.bounds))
