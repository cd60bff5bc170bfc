"""Any sequence of holds, settlements, retries, crashes, clock moves, sweeps and changes of limits is correct.

A small model in plain Python runs beside the real ledger. After every step: sums of entries equal balances, use and
holds equal the model's, and no limit is exceeded by more than settlements exceeded their own holds.
"""

import asyncio
from collections import defaultdict
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import strategies as st
from hypothesis.stateful import invariant, precondition, rule

from core.domain.errors import LimitReached, TooManyWaiting
from core.domain.limits import Measure, Rule, ScopeKind, Window, span
from core.ports import Granted, MustWait
from core.storage.ledger import SqlLedger
from core.storage.ledger.rule_store import SqlRules
from tests.core.storage.ledger_audit import audit
from tests.core.storage.ledger_kit import NOON, USD, UTC, job, make_ledger, member, running
from tests.core.storage.ledger_steps import BOTH, LedgerSteps, try_steps

MEMBERS = ("ann", "bob", "eve")
CENTS = (0, 10, 40, 100, 160, 300)
USER_DAY, WORKSPACE_DAY, USER_RUNNING, USER_WAITING = 5 * USD, 9 * USD, 2, 3
RULES = (
    Rule(ScopeKind.USER, Measure.USD, Window.DAY, USER_DAY, "default"),
    Rule(ScopeKind.WORKSPACE, Measure.USD, Window.DAY, WORKSPACE_DAY, "default"),
    running(ScopeKind.USER, USER_RUNNING),
)


@dataclass
class Model:
    """The expected content of the ledger."""

    state: dict[str, str] = field(default_factory=dict)
    owner: dict[str, str] = field(default_factory=dict)
    amount: dict[str, int] = field(default_factory=dict)
    day: dict[str, str] = field(default_factory=dict)
    charged: dict[str, int] = field(default_factory=dict)
    excess: dict[str, int] = field(default_factory=lambda: defaultdict(int))
    moderator_day: int | None = None

    def keys(self, *states: str) -> list[str]:
        return sorted(key for key, state in self.state.items() if state in states)

    def total(self, day: str, who: str | None) -> int:
        """Return used and held of one day, for one member or for all."""
        mine = [key for key in self.state if self.day[key] == day and (who is None or self.owner[key] == who)]
        return sum(
            self.amount[key] if self.state[key] in ("waiting", "running") else self.charged.get(key, 0) for key in mine
        )

    def running(self, who: str) -> int:
        return sum(1 for key in self.keys("running") if self.owner[key] == who)

    def waiting(self, who: str) -> list[str]:
        return [key for key, state in self.state.items() if state == "waiting" and self.owner[key] == who]


class LedgerMachine(LedgerSteps):
    def __init__(self) -> None:
        super().__init__()
        self.model = Model()
        self.went_back = False
        self.crash()

    @property
    def today(self) -> str:
        return span(Window.DAY, self.clock.now(), UTC).key

    @rule()
    def crash(self) -> None:
        """The process dies; another one opens the same database."""
        self.ledger: SqlLedger = make_ledger(self.database, self.clock, *RULES, user_waiting=USER_WAITING)

    @rule(jobs=st.lists(st.tuples(st.sampled_from(MEMBERS), st.sampled_from(CENTS)), min_size=1, max_size=4))
    def hold(self, jobs: list[tuple[str, int]]) -> None:
        """One job, or several at the same time."""
        new = []
        for who, cents in jobs:
            self.number += 1
            new.append((f"j{self.number:03}", who, cents * USD // 100))
        self._hold(new)

    @precondition(lambda self: self.model.keys("waiting", "running", "settled"))
    @rule(data=st.data())
    def hold_again(self, data: st.DataObject) -> None:
        """The same job asks again: after a crash, or twice concurrently."""
        key = data.draw(st.sampled_from(self.model.keys("waiting", "running", "settled")))
        before = self.model.state[key]
        answer = self.run(self.ledger.hold(self._request(key)))
        assert isinstance(answer, Granted) or before == "waiting"
        self._admitted(key, answer)

    @precondition(lambda self: self.model.keys("released", "expired"))
    @rule(data=st.data())
    def hold_after_release(self, data: st.DataObject) -> None:
        key = data.draw(st.sampled_from(self.model.keys("released", "expired")))
        self._hold([(key, self.model.owner[key], self.model.amount[key])])

    def _request(self, key: str) -> Any:
        return job(key, self.model.amount[key] / USD, member(self.model.owner[key]))

    def _hold(self, jobs: list[tuple[str, str, int]]) -> None:
        async def ask() -> list[Any]:
            requests = [job(key, amount / USD, member(who)) for key, who, amount in jobs]
            return await asyncio.gather(*map(self.ledger.hold, requests), return_exceptions=True)

        for (key, who, amount), answer in zip(jobs, self.run(ask()), strict=True):
            self._judge(key, who, amount, answer)

    def _judge(self, key: str, who: str, amount: int, answer: Any) -> None:
        """Check this answer and apply it to the model."""
        m = self.model
        limits: list[tuple[int, str | None]] = [(USER_DAY, who), (WORKSPACE_DAY, None)]
        if m.moderator_day is not None:
            limits.append((m.moderator_day, who))
        fits = all(amount <= max(0, limit - m.total(self.today, owner)) for limit, owner in limits)
        # A free slot may be kept for one who waits, or not, if that one has not asked for a while.
        must_wait = m.running(who) >= USER_RUNNING or (bool(m.waiting(who)) and isinstance(answer, MustWait))
        if isinstance(answer, LimitReached):
            assert not fits, "refused though there is room"
        elif isinstance(answer, TooManyWaiting):
            assert len(m.waiting(who)) >= USER_WAITING
        else:
            assert fits, "granted though a limit is reached"
            assert isinstance(answer, MustWait if must_wait else Granted), answer
            m.owner[key], m.amount[key], m.day[key] = who, amount, self.today
            m.charged.pop(key, None)
            m.state.pop(key, None)
            m.state[key] = "waiting" if must_wait else "running"

    def _admitted(self, key: str, answer: Any) -> None:
        if self.model.state[key] != "waiting":
            assert isinstance(answer, Granted)
        elif isinstance(answer, Granted):
            assert self.model.running(self.model.owner[key]) < USER_RUNNING
            self.model.state[key] = "running"

    @precondition(lambda self: self.model.keys("waiting"))
    @rule()
    def everybody_asks_for_the_turn(self) -> None:
        keys = self.model.keys("waiting")

        async def ask() -> list[Any]:
            return await asyncio.gather(*(self.ledger.admit(key) for key in keys))

        for key, answer in zip(keys, self.run(ask()), strict=True):
            self._admitted(key, answer)
        for who in MEMBERS:
            stuck = self.model.running(who) < USER_RUNNING and self.model.waiting(who)
            assert not stuck, "a slot is free and nobody of those who ask gets it"

    @precondition(lambda self: self.model.state)
    @rule(data=st.data(), cents=st.integers(0, 400), times=st.integers(1, 2))
    def settle(self, data: st.DataObject, cents: int, times: int) -> None:
        key = data.draw(st.sampled_from(sorted(self.model.state)))
        amount = cents * USD // 100
        for _ in range(times):
            self.run(self.ledger.settle(key, amount_nanousd=amount, megapixels=Decimal(cents) / 10))
        if self.model.state[key] != "settled":
            held = self.model.amount[key] if self.model.state[key] in ("waiting", "running") else 0
            self.model.excess[self.model.day[key]] += max(0, amount - held)
            self.model.charged[key] = amount
            self.model.state[key] = "settled"

    @precondition(lambda self: self.model.state)
    @rule(data=st.data())
    def release(self, data: st.DataObject) -> None:
        key = data.draw(st.sampled_from(sorted(self.model.state)))
        self.run(self.ledger.release(key))
        if self.model.state[key] in ("waiting", "running"):
            self.model.state[key] = "released"

    @precondition(lambda self: self.model.keys("settled"))
    @rule(data=st.data(), cents=st.integers(0, 400))
    def correct(self, data: st.DataObject, cents: int) -> None:
        key, amount = data.draw(st.sampled_from(self.model.keys("settled"))), cents * USD // 100
        difference = self.run(self.ledger.correct(key, amount_nanousd=amount, note="billed"))
        assert difference == amount - self.model.charged[key]
        self.model.excess[self.model.day[key]] += max(0, difference)
        self.model.charged[key] = amount

    @rule(data=st.data())
    def sweep(self, data: st.DataObject) -> None:
        alive = set(data.draw(st.lists(st.sampled_from(self.model.keys("waiting", "running") or ["none"]))))

        async def is_alive(key: str) -> bool:
            return key in alive

        self.clock.at += 200
        self.run(self.ledger.sweep(is_alive))
        for key in self.model.keys("waiting", "running"):
            if key not in alive:
                given_back = self._has(key, "released", "expired")
                assert given_back or self.went_back, "a dead job's hold leaked"
                if given_back:
                    self.model.state[key] = "released"

    def _has(self, key: str, *states: str) -> bool:
        from sqlalchemy import select

        from core.storage import tables_ledger as t

        async def look() -> str:
            async with self.database.read() as connection:
                return str(await connection.scalar(select(t.holds.c.state).where(t.holds.c.key == key)))

        return self.run(look()) in states

    @rule(seconds=st.sampled_from([1, 40, 3_600, 13 * 3_600, 86_400, -3_600]))
    def clock_moves(self, seconds: int) -> None:
        self.went_back = self.went_back or seconds < 0
        self.clock.at = max(NOON, self.clock.at + seconds)

    @rule(dollars=st.sampled_from([None, 1, 3, 50]))
    def a_moderator_changes_the_limit(self, dollars: int | None) -> None:
        amount = None if dollars is None else dollars * USD
        limit = Rule(ScopeKind.USER, Measure.USD, Window.DAY, amount, "moderator", "discord", "w1")
        self.run(SqlRules(self.ledger).set_limit(member("mod"), limit))
        self.model.moderator_day = amount

    @invariant()
    def the_books_agree(self) -> None:
        assert self.run(audit(self.ledger.database)) == []
        m = self.model
        for who in MEMBERS:
            statuses = self.run(self.ledger.statuses(member(who)))
            daily = next(s for s in statuses if s.limit.scope.kind is ScopeKind.USER and s.limit.source == "default")
            assert daily.used + daily.held == m.total(self.today, who)
            assert m.running(who) <= USER_RUNNING
            slots = next(s for s in statuses if s.limit.measure is Measure.RUNNING)
            assert slots.used == m.running(who)
        for day in set(m.day.values()):
            assert m.total(day, None) <= WORKSPACE_DAY + m.excess[day]
            for who in MEMBERS:
                assert m.total(day, who) <= USER_DAY + m.excess[day]


@BOTH
@pytest.mark.timeout(300)
def test_no_sequence_of_steps_breaks_the_books(request: pytest.FixtureRequest, on: str) -> None:
    try_steps(LedgerMachine, request, on, (20, 6))
