"""Run one batch of ledger calls in one transaction: read what they need, decide in memory, write what changed.

Order of waiting jobs: first those of members without a running job, then small ones, then by age; after five minutes
only by age. A later job overtakes an earlier one only if it does not need a slot that the earlier one waits for: a
member with three running jobs does not block the other members of the server.
"""

from collections import Counter
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field

import structlog
from sqlalchemy import Connection, bindparam, select

from core.domain.errors import BudgetError, LedgerUnavailable
from core.domain.limits import ScopeKind
from core.domain.money import PIXELS_PER_MEGAPIXEL
from core.ports import Granted, HoldAnswer, HoldRequest, MustWait, NotOwner
from core.storage.ledger import reserve, rows
from core.storage.ledger.rules import NOW, BoundLimit, balance_key
from core.storage.ledger.unit_of_work import OPEN, Hold, LedgerSnapshot
from core.storage.tables import jobs

log = structlog.get_logger(__name__)

_OF_THESE = select(jobs.c.id, jobs.c.owner).where(jobs.c.id.in_(bindparam("keys", expanding=True)))
_OWNERS = _OF_THESE.order_by(jobs.c.id).with_for_update(read=True)

_LONG_WAIT_S = 300.0
_SMALL_PX = 20_000_000
"""A phone's picture enlarged twofold has more."""


@dataclass(frozen=True, slots=True)
class AdmitCall:
    """Ask for a slot for a waiting job. With a `request`, also hold its money if that is not held yet."""

    key: str
    request: HoldRequest | None = None


@dataclass(frozen=True, slots=True)
class HoldCall:
    """Change a job's hold, if it has one."""

    key: str
    work: Callable[[LedgerSnapshot], object]
    owner: str | None = None
    """The token that the job's row must carry, inside `core.ports.ownership.owning`."""


@dataclass(slots=True)
class WaitingQueue:
    """One pass over the waiting holds, in order, keeping slots free for those ahead."""

    snapshot: LedgerSnapshot
    _kept: Counter[str] = field(default_factory=Counter)
    _behind: Counter[str] = field(default_factory=Counter)
    _joined: dict[str, MustWait] = field(default_factory=dict)

    def admit(self, waiting: Sequence[Hold], asked: Iterable[str]) -> dict[str, HoldAnswer]:
        """Admit what fits, in order. Returns answers for the keys `asked`; keeps slots for others that poll.

        A hold that was not polled for `patience_s` (its process died) keeps its place, but no slot is kept for it.
        """
        asking = set(asked)
        answers: dict[str, HoldAnswer] = {}
        for hold in sorted(waiting, key=self._turn):
            if hold.state != "waiting":
                continue
            slots = self._slots(hold)
            ahead = self._ahead(slots)
            fits = self._fits(slots)
            if hold.key in asking and fits:
                self.snapshot.set_state(hold, "running")
                answers[hold.key] = Granted(reserve.statuses_of(self.snapshot, hold))
                continue
            if hold.key in asking:
                answers[hold.key] = MustWait(ahead)
            if fits and self.snapshot.now - hold.asked_at <= self.snapshot.settings.patience_s:
                self._kept.update(bound.counter for bound in slots)
            self._behind.update({bound.counter for bound in slots})
        return answers

    def add(self, request: HoldRequest) -> HoldAnswer:
        """Add a new job behind all that were passed so far. Raises what `Ledger.hold` raises."""
        slots = self.snapshot.rules.plan(request.requester, request.model).slots if request.enforce else ()
        fits, ahead = self._fits(slots), self._ahead(slots)
        hold = reserve.create_hold(self.snapshot, request, must_wait=not fits)
        if fits:
            return Granted(reserve.statuses_of(self.snapshot, hold))
        self._behind.update({bound.counter for bound in slots})
        self._joined[hold.key] = MustWait(ahead)
        return self._joined[hold.key]

    def repeat(self, hold: Hold) -> HoldAnswer:
        return self._joined.get(hold.key) or Granted(reserve.statuses_of(self.snapshot, hold))

    def _turn(self, hold: Hold) -> tuple[bool, bool, int]:
        if self.snapshot.now - hold.held_at >= _LONG_WAIT_S:
            return False, False, hold.seq or 0
        everywhere = self.snapshot.rules.keys.personal(hold.requester)[0]
        has_running = self.snapshot.balance(everywhere, NOW).running > 0
        return has_running, hold.amount_px > _SMALL_PX, hold.seq or 0

    def _slots(self, hold: Hold) -> tuple[BoundLimit, ...]:
        # A limit whose counter the hold does not have does not apply to it: role limits may be newer than the hold.
        found = self.snapshot.rules.plan(hold.requester, hold.model).slots
        return tuple(bound for bound in found if bound.counter in hold.slots)

    def _fits(self, slots: Sequence[BoundLimit]) -> bool:
        return all(
            self.snapshot.balance(bound.counter, NOW).running + self._kept[bound.counter] < bound.limit.amount
            for bound in slots
        )

    def _ahead(self, slots: Sequence[BoundLimit]) -> int:
        return max((self._behind[bound.counter] for bound in slots), default=0)


def run(connection: Connection, snapshot: LedgerSnapshot, ops: Sequence[AdmitCall | HoldCall]) -> list[object]:
    """Return one answer for each call, in order; an answer may be an exception to raise. Commits nothing."""
    asks = {index: op for index, op in enumerate(ops) if isinstance(op, AdmitCall)}
    changes = {index: op for index, op in enumerate(ops) if isinstance(op, HoldCall)}
    snapshot.holds = rows.read_holds(connection, {op.key for op in ops})
    snapshot.balances = rows.read_balances(connection, _balance_keys(snapshot, asks.values()))
    waiting = _read_waiting(connection, snapshot, asks.values())
    # Slots and money that this batch releases are available to its other calls.
    lost = _not_owned(connection, changes)
    answers = {index: NotOwner() if index in lost else op.work(snapshot) for index, op in changes.items()}
    answers |= _admit(snapshot, asks, waiting)
    rows.write(connection, snapshot)
    return [answers[index] for index in range(len(ops))]


def _not_owned(connection: Connection, changes: Mapping[int, HoldCall]) -> set[int]:
    """Return the calls from processes that no longer own their job. Locks the jobs' rows until the commit."""
    bound = {index: op for index, op in changes.items() if op.owner is not None}
    if not bound:
        return set()
    keys = {op.key for op in bound.values()}
    owners = {row.id: row.owner for row in connection.execute(_OWNERS, {"keys": sorted(keys)})}
    return {index for index, op in bound.items() if owners.get(op.key) != op.owner}


def _requests(snapshot: LedgerSnapshot, asks: Collection[AdmitCall]) -> list[Hold | HoldRequest]:
    return [one for ask in asks for one in (snapshot.holds.get(ask.key), ask.request) if one is not None]


def _balance_keys(snapshot: LedgerSnapshot, asks: Collection[AdmitCall]) -> set[str]:
    found: set[str] = set()
    for asked in _requests(snapshot, asks):
        plans = reserve.payment_plans(snapshot, asked.requester, asked.model)
        for plan in plans:
            found.update(key for bound in plan.bounds for key in snapshot.balance_keys(bound))
        found.update(balance_key(bound.counter, NOW) for bound in plans[-1].slots)
        found.add(balance_key(snapshot.rules.keys.personal(asked.requester)[0], NOW))
    return found


def _read_waiting(connection: Connection, snapshot: LedgerSnapshot, asks: Collection[AdmitCall]) -> list[Hold]:
    """Read the waiting holds that can affect these calls; usually nobody waits, and nothing is read."""
    asked = _requests(snapshot, asks)
    slots = {bound for one in asked for bound in snapshot.rules.plan(one.requester, one.model).slots}
    members = {snapshot.rules.keys.person(one.requester) for one in asked}
    waiting = {key: hold for key, hold in snapshot.holds.items() if hold.state == "waiting"}
    if any(snapshot.balance(bound.counter, NOW).waiting for bound in slots):
        personal = all(bound.limit.scope.kind is ScopeKind.USER for bound in slots)
        for hold in rows.read_waiting(connection, members if personal else None):
            waiting.setdefault(hold.key, hold)
            snapshot.holds.setdefault(hold.key, hold)
    names = {
        balance_key(bound.counter, NOW)
        for hold in waiting.values()
        for bound in snapshot.rules.plan(hold.requester, hold.model).slots
    } | {balance_key(snapshot.rules.keys.personal(hold.requester)[0], NOW) for hold in waiting.values()}
    snapshot.balances |= rows.read_balances(connection, names - snapshot.balances.keys())
    return list(waiting.values())


def _admit(snapshot: LedgerSnapshot, asks: Mapping[int, AdmitCall], waiting: Sequence[Hold]) -> dict[int, object]:
    queue = WaitingQueue(snapshot)
    new = {index: request for index, ask in asks.items() if (request := _new_request(snapshot, ask)) is not None}
    turns = queue.admit(waiting, [ask.key for index, ask in asks.items() if index not in new])
    answers = {index: _answer_existing(snapshot, ask.key, turns) for index, ask in asks.items() if index not in new}
    return answers | {index: _add_new(snapshot, queue, request) for index, request in new.items()}


def _new_request(snapshot: LedgerSnapshot, ask: AdmitCall) -> HoldRequest | None:
    """Return what must be held: a new job's money, or that of a waiting job whose hold expired."""
    hold = snapshot.holds.get(ask.key)
    if ask.request is not None:
        return ask.request if hold is None or hold.state not in (*OPEN, "settled") else None
    if hold is None or hold.state != "expired":
        return None
    megapixels = hold.amount_px // PIXELS_PER_MEGAPIXEL
    return HoldRequest(hold.key, hold.requester, hold.amount_nanousd, megapixels, hold.model, enforce=not hold.play)


def _answer_existing(snapshot: LedgerSnapshot, key: str, turns: dict[str, HoldAnswer]) -> object:
    hold = snapshot.holds.get(key)
    if hold is None or hold.state not in (*OPEN, "settled"):
        log.warning("admit_without_hold", job=key)
        return LedgerUnavailable()
    if hold.state in OPEN and snapshot.now - hold.asked_at >= snapshot.settings.patience_s / 3:  # not at every poll
        hold.asked_at = snapshot.now
        hold.expires_at = snapshot.now + snapshot.settings.hold_ttl_s
        snapshot.changed[hold.key] = hold
    if hold.state == "waiting":
        return turns.get(key, MustWait(len(turns)))
    return Granted(reserve.statuses_of(snapshot, hold))


def _add_new(snapshot: LedgerSnapshot, queue: WaitingQueue, request: HoldRequest) -> object:
    hold = snapshot.holds.get(request.key)
    if hold is not None and hold.state in OPEN:  # the same job twice in one batch
        return queue.repeat(hold)
    try:
        return queue.add(request)
    except BudgetError as refusal:
        return refusal
