"""One batch of ledger calls in one transaction: read what they need, decide in memory, write what changed.

Jobs at once: those who have nothing running go first, then small jobs, then who came first; after five minutes only
that counts. A waiting job is passed by a later one only where the later one does not need what the earlier one waits
for: a member with three jobs running does not keep others of the server waiting.
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
from core.storage.ledger import reserve as decide
from core.storage.ledger import rows
from core.storage.ledger.rules import NOW, Bound, balance_key
from core.storage.ledger.unit_of_work import OPEN, Hold, LedgerSnapshot
from core.storage.tables import jobs

log = structlog.get_logger(__name__)

_OF_THESE = select(jobs.c.id, jobs.c.owner).where(jobs.c.id.in_(bindparam("keys", expanding=True)))
_OWNERS = _OF_THESE.order_by(jobs.c.id).with_for_update(read=True)

_LONG_WAIT_S = 300.0
_SMALL_PX = 20_000_000
"""A phone's picture twice as large is more than this."""


@dataclass(frozen=True, slots=True)
class Ask:
    """A job asks for its turn; with a `request` it asks for its money too, should it not have it."""

    key: str
    request: HoldRequest | None = None


@dataclass(frozen=True, slots=True)
class Change:
    """Something is done with a job's hold, if it has one."""

    key: str
    work: Callable[[LedgerSnapshot], object]
    owner: str | None = None
    """The token that the job's row must carry, where its run is bound to one (`core.ports.ownership`)."""


@dataclass(slots=True)
class Line:
    """One walk along the line; slots kept for those ahead are remembered on the way."""

    book: LedgerSnapshot
    _kept: Counter[str] = field(default_factory=Counter)
    _behind: Counter[str] = field(default_factory=Counter)
    _joined: dict[str, MustWait] = field(default_factory=dict)

    def walk(self, waiting: Sequence[Hold], asked: Iterable[str]) -> dict[str, HoldAnswer]:
        """Admit what fits, in order. Answers those who asked now; keeps slots for others who ask regularly.

        One that has not asked for `patience_s` (its process died) keeps its place, but no slot is kept for it.
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
                self.book.move(hold, "running")
                answers[hold.key] = Granted(decide.left(self.book, hold))
                continue
            if hold.key in asking:
                answers[hold.key] = MustWait(ahead)
            if fits and self.book.now - hold.asked_at <= self.book.settings.patience_s:
                self._kept.update(bound.counter for bound in slots)
            self._behind.update({bound.counter for bound in slots})
        return answers

    def join(self, request: HoldRequest) -> HoldAnswer:
        """A new job, behind everybody walked past so far. Raises what `Ledger.hold` raises."""
        slots = self.book.rules.plan(request.requester, request.model).slots if request.enforce else ()
        fits, ahead = self._fits(slots), self._ahead(slots)
        hold = decide.place(self.book, request, must_wait=not fits)
        if fits:
            return Granted(decide.left(self.book, hold))
        self._behind.update({bound.counter for bound in slots})
        self._joined[hold.key] = MustWait(ahead)
        return self._joined[hold.key]

    def again(self, hold: Hold) -> HoldAnswer:
        return self._joined.get(hold.key) or Granted(decide.left(self.book, hold))

    def _turn(self, hold: Hold) -> tuple[bool, bool, int]:
        if self.book.now - hold.held_at >= _LONG_WAIT_S:
            return False, False, hold.seq or 0
        everywhere = self.book.rules.keys.personal(hold.requester)[0]
        has_running = self.book.balance(everywhere, NOW).running > 0
        return has_running, hold.amount_px > _SMALL_PX, hold.seq or 0

    def _slots(self, hold: Hold) -> tuple[Bound, ...]:
        # A limit counts a hold only if the hold counts on its counter: role pots may be newer than the hold.
        found = self.book.rules.plan(hold.requester, hold.model).slots
        return tuple(bound for bound in found if bound.counter in hold.slots)

    def _fits(self, slots: Sequence[Bound]) -> bool:
        return all(
            self.book.balance(bound.counter, NOW).running + self._kept[bound.counter] < bound.limit.amount
            for bound in slots
        )

    def _ahead(self, slots: Sequence[Bound]) -> int:
        return max((self._behind[bound.counter] for bound in slots), default=0)


def run(connection: Connection, book: LedgerSnapshot, ops: Sequence[Ask | Change]) -> list[object]:
    """The answers in the order of the calls; an answer may be an exception to raise. Changes are not yet committed."""
    asks = {index: op for index, op in enumerate(ops) if isinstance(op, Ask)}
    changes = {index: op for index, op in enumerate(ops) if isinstance(op, Change)}
    book.holds = rows.read_holds(connection, {op.key for op in ops})
    book.balances = rows.read_balances(connection, _needed(book, asks.values()))
    waiting = _line(connection, book, asks.values())
    # Slots and money that are given back in this batch are there for those who ask in it.
    lost = _lost(connection, changes)
    answers = {index: NotOwner() if index in lost else op.work(book) for index, op in changes.items()}
    answers |= _ask(book, asks, waiting)
    rows.write(connection, book)
    return [answers[index] for index in range(len(ops))]


def _lost(connection: Connection, changes: Mapping[int, Change]) -> set[int]:
    """Which calls come from a process that no longer owns its job. The rows stay as they are until the commit."""
    bound = {index: op for index, op in changes.items() if op.owner is not None}
    if not bound:
        return set()
    keys = {op.key for op in bound.values()}
    owners = {row.id: row.owner for row in connection.execute(_OWNERS, {"keys": sorted(keys)})}
    return {index for index, op in bound.items() if owners.get(op.key) != op.owner}


def _asked(book: LedgerSnapshot, asks: Collection[Ask]) -> list[Hold | HoldRequest]:
    return [one for ask in asks for one in (book.holds.get(ask.key), ask.request) if one is not None]


def _needed(book: LedgerSnapshot, asks: Collection[Ask]) -> set[str]:
    found: set[str] = set()
    for asked in _asked(book, asks):
        plans = decide.plans(book, asked.requester, asked.model)
        for plan in plans:
            found.update(key for bound in plan.bounds for key in book.rows_of(bound))
        found.update(balance_key(bound.counter, NOW) for bound in plans[-1].slots)
        found.add(balance_key(book.rules.keys.personal(asked.requester)[0], NOW))
    return found


def _line(connection: Connection, book: LedgerSnapshot, asks: Collection[Ask]) -> list[Hold]:
    """The waiting jobs that matter to those who ask; usually nobody waits, and nothing is read."""
    asked = _asked(book, asks)
    slots = {bound for one in asked for bound in book.rules.plan(one.requester, one.model).slots}
    members = {book.rules.keys.person(one.requester) for one in asked}
    waiting = {key: hold for key, hold in book.holds.items() if hold.state == "waiting"}
    if any(book.balance(bound.counter, NOW).waiting for bound in slots):
        personal = all(bound.limit.scope.kind is ScopeKind.USER for bound in slots)
        for hold in rows.read_line(connection, members if personal else None):
            waiting.setdefault(hold.key, hold)
            book.holds.setdefault(hold.key, hold)
    names = {
        balance_key(bound.counter, NOW)
        for hold in waiting.values()
        for bound in book.rules.plan(hold.requester, hold.model).slots
    } | {balance_key(book.rules.keys.personal(hold.requester)[0], NOW) for hold in waiting.values()}
    book.balances |= rows.read_balances(connection, names - book.balances.keys())
    return list(waiting.values())


def _ask(book: LedgerSnapshot, asks: Mapping[int, Ask], waiting: Sequence[Hold]) -> dict[int, object]:
    line = Line(book)
    new = {index: request for index, ask in asks.items() if (request := _to_make(book, ask)) is not None}
    turns = line.walk(waiting, [ask.key for index, ask in asks.items() if index not in new])
    answers = {index: _repeat(book, ask.key, turns) for index, ask in asks.items() if index not in new}
    return answers | {index: _join(book, line, request) for index, request in new.items()}


def _to_make(book: LedgerSnapshot, ask: Ask) -> HoldRequest | None:
    """What has to be held anew: a new job's money, or that of a waiting job whose hold expired meanwhile."""
    hold = book.holds.get(ask.key)
    if ask.request is not None:
        return ask.request if hold is None or hold.state not in (*OPEN, "settled") else None
    if hold is None or hold.state != "expired":
        return None
    megapixels = hold.amount_px // PIXELS_PER_MEGAPIXEL
    return HoldRequest(hold.key, hold.requester, hold.amount_nanousd, megapixels, enforce=not hold.play)


def _repeat(book: LedgerSnapshot, key: str, turns: dict[str, HoldAnswer]) -> object:
    hold = book.holds.get(key)
    if hold is None or hold.state not in (*OPEN, "settled"):
        log.warning("admit_without_hold", job=key)
        return LedgerUnavailable()
    if hold.state in OPEN and book.now - hold.asked_at >= book.settings.patience_s / 3:  # not at every single question
        hold.asked_at = book.now
        hold.expires_at = book.now + book.settings.hold_ttl_s
        book.changed[hold.key] = hold
    if hold.state == "waiting":
        return turns.get(key, MustWait(len(turns)))
    return Granted(decide.left(book, hold))


def _join(book: LedgerSnapshot, line: Line, request: HoldRequest) -> object:
    hold = book.holds.get(request.key)
    if hold is not None and hold.state in OPEN:  # the same job twice in one batch
        return line.again(hold)
    try:
        return line.join(request)
    except BudgetError as refusal:
        return refusal
