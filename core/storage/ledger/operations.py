"""One batch of ledger calls in one transaction: read what they need, decide in memory, write what changed."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Literal, TypeAlias, assert_never

import structlog
from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncConnection

from core.domain.errors import BudgetError, LedgerUnavailable
from core.domain.job import Requester
from core.domain.limits import ScopeKind
from core.domain.money import PIXELS_PER_MEGAPIXEL
from core.ports import Granted, HoldAnswer, HoldRequest, MustWait, NotOwner
from core.storage.ledger import reserve as decide
from core.storage.ledger import rows
from core.storage.ledger.admission import Line
from core.storage.ledger.keys import NOW, balance_key
from core.storage.ledger.rules import Bound
from core.storage.ledger.unit_of_work import OPEN, Hold, LedgerSnapshot
from core.storage.tables import jobs

log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class HoldOp:
    """Hold money for a job."""

    request: HoldRequest


@dataclass(frozen=True, slots=True)
class AdmitOp:
    """A waiting job asks for its turn."""

    key: str


@dataclass(frozen=True, slots=True)
class SettleOp:
    """Turn a hold into a charge."""

    key: str
    amount_nanousd: int
    megapixels: Decimal
    real: bool
    owner: str | None = None
    """The token that the job's row must carry, where its run is bound to one (`core.ports.ownership`)."""


@dataclass(frozen=True, slots=True)
class ReleaseOp:
    """Give a hold back."""

    key: str
    kind: Literal["release", "expire"]
    owner: str | None = None


@dataclass(frozen=True, slots=True)
class CorrectOp:
    """Change a charge to what was really billed."""

    key: str
    amount_nanousd: int
    megapixels: Decimal | None
    note: str


@dataclass(frozen=True, slots=True)
class TouchOp:
    """Extend holds whose jobs are alive."""

    keys: tuple[str, ...]


Op: TypeAlias = HoldOp | AdmitOp | SettleOp | ReleaseOp | CorrectOp | TouchOp
Answer: TypeAlias = object


async def run(connection: AsyncConnection, book: LedgerSnapshot, ops: Sequence[Op]) -> list[Answer]:
    """The answers in the order of the calls; an answer may be a BudgetError to raise. Changes are not yet committed."""
    book.holds = await rows.read_holds(connection, {key for op in ops for key in _keys(op)})
    book.balances = await rows.read_balances(connection, _needed(book, ops))
    waiting = await _line(connection, book, ops)
    # Slots and money that are given back in this batch are there for those who ask in it.
    lost = await _lost(connection, ops)
    answers: dict[int, Answer] = {
        index: NotOwner() if index in lost else _finish(book, op)
        for index, op in enumerate(ops)
        if not isinstance(op, HoldOp | AdmitOp)
    }
    answers |= _ask(book, ops, waiting)
    await rows.write(connection, book)
    return [answers[index] for index in range(len(ops))]


async def _lost(connection: AsyncConnection, ops: Sequence[Op]) -> set[int]:
    """Which calls come from a process that no longer owns its job. The rows stay as they are until the commit."""
    bound = {i: op for i, op in enumerate(ops) if isinstance(op, SettleOp | ReleaseOp) and op.owner is not None}
    if not bound:
        return set()
    keys = {op.key for op in bound.values()}
    query = select(jobs.c.id, jobs.c.owner).where(jobs.c.id.in_(keys)).order_by(jobs.c.id).with_for_update(read=True)
    owners = {row.id: row.owner for row in await connection.execute(query)}
    return {index for index, op in bound.items() if owners.get(op.key) != op.owner}


def _keys(op: Op) -> Iterable[str]:
    match op:
        case HoldOp(request):
            return (request.key,)
        case TouchOp():
            return ()
        case _:
            return (op.key,)


def _needed(book: LedgerSnapshot, ops: Sequence[Op]) -> set[str]:
    """Names of the balances that the decisions will look at."""
    found: set[str] = set()
    for op in ops:
        if not isinstance(op, HoldOp | AdmitOp):
            continue
        key = op.request.key if isinstance(op, HoldOp) else op.key
        asked = book.holds.get(key) or (op.request if isinstance(op, HoldOp) else None)
        if asked is None:
            continue
        who, plans = asked.requester, decide.plans(book, asked.requester, asked.model)
        for plan in plans:
            found.update(key for bound in plan.bounds for key in book.rows_of(bound))
        found.update(balance_key(bound.counter, NOW) for bound in plans[-1].slots)
        found.add(balance_key(book.rules.keys.personal(who)[0], NOW))
    return found


async def _line(connection: AsyncConnection, book: LedgerSnapshot, ops: Sequence[Op]) -> list[Hold]:
    """The waiting jobs that matter to those who ask; usually nobody waits, and nothing is read."""
    slots: set[Bound] = set()
    members: set[str] = set()
    for who, model in _askers(book, ops):
        slots.update(book.rules.plan(who, model).slots)
        members.add(book.rules.keys.person(who))
    waiting = {key: hold for key, hold in book.holds.items() if hold.state == "waiting"}
    if any(book.balance(bound.counter, NOW).waiting for bound in slots):
        personal = all(bound.limit.scope.kind is ScopeKind.USER for bound in slots)
        for hold in await rows.read_line(connection, members if personal else None):
            waiting.setdefault(hold.key, hold)
            book.holds.setdefault(hold.key, hold)
    names = {
        balance_key(bound.counter, NOW)
        for hold in waiting.values()
        for bound in book.rules.plan(hold.requester, hold.model).slots
    } | {balance_key(book.rules.keys.personal(hold.requester)[0], NOW) for hold in waiting.values()}
    book.balances |= await rows.read_balances(connection, names - book.balances.keys())
    return list(waiting.values())


def _askers(book: LedgerSnapshot, ops: Sequence[Op]) -> Iterable[tuple[Requester, str]]:
    for op in ops:
        if isinstance(op, HoldOp):
            yield op.request.requester, op.request.model
        elif isinstance(op, AdmitOp) and op.key in book.holds:
            yield book.holds[op.key].requester, book.holds[op.key].model


def _finish(book: LedgerSnapshot, op: SettleOp | ReleaseOp | CorrectOp | TouchOp) -> Answer:
    match op:
        case SettleOp(key, amount_nanousd, megapixels, real, _):
            if not decide.settle(book, key, amount_nanousd, megapixels, real=real):
                log.warning("settle_without_hold", job=key)
            return None
        case ReleaseOp(key, kind, _):
            return decide.release(book, key, kind)
        case CorrectOp(key, amount_nanousd, corrected, note):
            return decide.correct(book, key, amount_nanousd, corrected, note)
        case TouchOp(keys):
            book.touched.update(keys)
            return None
    assert_never(op)


def _ask(book: LedgerSnapshot, ops: Sequence[Op], waiting: Sequence[Hold]) -> dict[int, Answer]:
    line = Line(book)
    asked: dict[int, str] = {}
    new: dict[int, HoldRequest] = {}
    for index, op in enumerate(ops):
        if isinstance(op, HoldOp | AdmitOp):
            request = _to_make(book, op)
            if request is not None:
                new[index] = request
            else:
                asked[index] = op.request.key if isinstance(op, HoldOp) else op.key
    turns = line.walk(waiting, asked.values())
    answers: dict[int, Answer] = {index: _repeat(book, key, turns) for index, key in asked.items()}
    for index, request in new.items():
        answers[index] = _join(book, line, request)
    return answers


def _to_make(book: LedgerSnapshot, op: HoldOp | AdmitOp) -> HoldRequest | None:
    """What has to be held anew: a new job's money, or that of a waiting job whose hold expired meanwhile."""
    hold = book.holds.get(op.request.key if isinstance(op, HoldOp) else op.key)
    if isinstance(op, HoldOp):
        return op.request if hold is None or hold.state not in (*OPEN, "settled") else None
    if hold is None or hold.state != "expired":
        return None
    megapixels = hold.amount_px // PIXELS_PER_MEGAPIXEL
    return HoldRequest(hold.key, hold.requester, hold.amount_nanousd, megapixels, enforce=not hold.play)


def _repeat(book: LedgerSnapshot, key: str, turns: dict[str, HoldAnswer]) -> Answer:
    """The answer to somebody who has held before."""
    hold = book.holds.get(key)
    if hold is None or hold.state not in (*OPEN, "settled"):
        log.warning("admit_without_hold", job=key)
        return LedgerUnavailable()
    if hold.state in OPEN:
        _extend(book, hold)
    if hold.state == "waiting":
        return turns.get(key, MustWait(len(turns)))
    return Granted(decide.left(book, hold))


def _extend(book: LedgerSnapshot, hold: Hold) -> None:
    """Write the new expiry, but not at every single question of a waiting job."""
    if book.now - hold.asked_at >= book.patience_s / 3:
        hold.asked_at = book.now
        hold.expires_at = book.now + book.hold_ttl_s
        book.changed[hold.key] = hold


def _join(book: LedgerSnapshot, line: Line, request: HoldRequest) -> Answer:
    hold = book.holds.get(request.key)
    if hold is not None and hold.state in OPEN:  # the same job twice in one batch
        return line.again(hold)
    try:
        return line.join(request)
    except BudgetError as refusal:
        return refusal
