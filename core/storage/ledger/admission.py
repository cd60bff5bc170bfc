"""Jobs at once: who may run now. Pure.

Those who have nothing running go first, then small jobs, then who came first; after five minutes only that counts.

A waiting job is passed by a later one only where the later one does not need what the earlier one waits for: a member
with three jobs running does not keep others of the server waiting.
"""

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from core.ports import Granted, HoldAnswer, HoldRequest, MustWait
from core.storage.ledger import reserve as decide
from core.storage.ledger.keys import NOW
from core.storage.ledger.rules import Bound
from core.storage.ledger.unit_of_work import Hold, LedgerSnapshot

_LONG_WAIT_S = 300.0
_SMALL_PX = 20_000_000
"""A phone's picture twice as large is more than this."""


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
            if fits and self.book.now - hold.asked_at <= self.book.patience_s:
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
        """The answer once more to a job that joined in this batch."""
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
