"""What is spent in a thread is spent in its channel, in whatever order things happen."""

import asyncio
import dataclasses
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import strategies as st
from hypothesis.stateful import invariant, precondition, rule

from core.budgets.rules import RuleSet
from core.domain.errors import LimitReached
from core.domain.job import Requester
from core.domain.limits import Measure, Rule, ScopeKind, Window
from core.ports import Granted, MustWait
from core.storage.database import Database
from core.storage.ledger import SqlLedger
from core.storage.ledger.rule_store import SqlRules
from core.storage.ledger.rules import CounterNames, Rules
from tests.core.storage.ledger_audit import audit
from tests.core.storage.ledger_kit import USD, HandClock, day_usd, default_money, job, make_ledger, member, running
from tests.core.storage.ledger_steps import BOTH, LedgerSteps, try_steps

PLACES = {"art": "", "sketches": "art", "finals": "art", "music": "", "songs": "music"}
"""Channels, and threads with their channel."""
EACH_DAY, ART_DAY, SKETCHES_DAY, RUNNING = 6 * USD, 4 * USD, 2 * USD, 2
RULES = (
    day_usd(ScopeKind.CHANNEL, 6),
    day_usd(ScopeKind.CHANNEL, 4, id="art"),
    day_usd(ScopeKind.CHANNEL, 2, id="sketches"),
    running(ScopeKind.CHANNEL, RUNNING),
)
CAPS = {"art": ART_DAY, "sketches": SKETCHES_DAY, "music": EACH_DAY}


def there(place: str, user: str = "ann") -> Requester:
    return member(user, channel=place, parent=PLACES.get(place, ""))


class ThreadMachine(LedgerSteps):
    """`jobs` are the place, state and nano-dollars of each job."""

    def __init__(self) -> None:
        super().__init__()
        self.jobs: dict[str, tuple[str, str, int]] = {}
        self.excess = 0
        self.crash()

    @rule()
    def crash(self) -> None:
        self.ledger: SqlLedger = make_ledger(self.database, self.clock, *RULES)

    def _sum(self, place: str) -> int:
        """Used and held in a place, with its threads."""
        return sum(amount for at, _, amount in self.jobs.values() if place in (at, PLACES[at]))

    def _running(self, place: str) -> int:
        return sum(state == "running" and place in (at, PLACES[at]) for at, state, _ in self.jobs.values())

    @rule(place=st.sampled_from(sorted(PLACES)), cents=st.sampled_from((10, 60, 150, 250)))
    def hold(self, place: str, cents: int) -> None:
        self.number += 1
        key, amount = f"j{self.number:03}", cents * USD // 100
        over = [one for one, cap in CAPS.items() if one in (place, PLACES[place]) and self._sum(one) + amount > cap]
        request = job(key, cents / 100, there(place, user=key))

        async def ask() -> Any:
            return (await asyncio.gather(self.ledger.hold(request), return_exceptions=True))[0]

        answer = self.run(ask())
        if isinstance(answer, LimitReached):
            assert answer.status.limit.scope.id in over
            return
        assert not over, "granted though a limit of the thread or its channel is reached"
        state = "running" if isinstance(answer, Granted) else "waiting"
        assert state == "waiting" or self._running(PLACES[place] or place) < RUNNING
        self.jobs[key] = (place, state, amount)

    @precondition(lambda self: self._keys("waiting"))
    @rule()
    def all_ask_for_their_turn(self) -> None:
        async def ask() -> list[Any]:
            return await asyncio.gather(*(self.ledger.admit(key) for key in self._keys("waiting")))

        for key, answer in zip(self._keys("waiting"), self.run(ask()), strict=True):
            if isinstance(answer, Granted):
                place, _, amount = self.jobs[key]
                self.jobs[key] = (place, "running", amount)
        for key in self._keys("waiting"):
            place = self.jobs[key][0]
            assert self._running(PLACES[place] or place) == RUNNING, "a slot is free and nobody gets it"

    def _keys(self, state: str) -> list[str]:
        return [key for key, one in self.jobs.items() if one[1] == state]

    @precondition(lambda self: self._keys("running"))
    @rule(data=st.data(), cents=st.integers(0, 300))
    def settle(self, data: st.DataObject, cents: int) -> None:
        key = data.draw(st.sampled_from(self._keys("running")))
        place, _, held = self.jobs[key]
        amount = cents * USD // 100
        self.run(self.ledger.settle(key, amount_nanousd=amount, megapixels=Decimal(1)))
        self.excess += max(0, amount - held)
        self.jobs[key] = (place, "settled", amount)

    @precondition(lambda self: self._keys("running"))
    @rule(data=st.data())
    def release(self, data: st.DataObject) -> None:
        key = data.draw(st.sampled_from(self._keys("running")))
        self.run(self.ledger.release(key))
        del self.jobs[key]

    @invariant()
    def the_books_agree(self) -> None:
        assert self.run(audit(self.ledger.database)) == []
        for place, cap in CAPS.items():
            assert self._sum(place) <= cap + self.excess
            statuses = self.run(self.ledger.statuses(there(place)))
            own = next(s for s in statuses if s.limit.scope.id == place and s.limit.measure is Measure.USD)
            assert (own.limit.amount, own.used + own.held) == (cap, self._sum(place))
        for place in ("art", "music"):
            assert self._running(place) <= RUNNING


@BOTH
@pytest.mark.timeout(300)
def test_no_sequence_of_steps_gives_a_thread_an_allowance_of_its_own(request: pytest.FixtureRequest, on: str) -> None:
    try_steps(ThreadMachine, request, on, (20, 4))


async def test_a_rule_of_a_thread_counts_beside_its_channels_and_lifts_the_default(
    database: Database, clock: HandClock
) -> None:
    each, own = day_usd(ScopeKind.CHANNEL, 1), day_usd(ScopeKind.CHANNEL, 3, id="sketches")
    for rules, expected in (
        ((each,), {"art": USD}),
        ((each, own), {"sketches": 3 * USD}),
        ((each, own, day_usd(ScopeKind.CHANNEL, 2, id="art")), {"sketches": 3 * USD, "art": 2 * USD}),
        ((each, dataclasses.replace(own, amount=None)), {}),
    ):
        statuses = await make_ledger(database, clock, *rules).statuses(there("sketches"))
        assert {one.limit.scope.id: one.limit.amount for one in statuses} == expected


async def test_sponsors_pay_in_threads_too_a_threads_own_before_its_channels(
    database: Database, clock: HandClock
) -> None:
    ledger = make_ledger(database, clock, default_money(1))
    rules, until = SqlRules(ledger), clock.at + 86_400
    await rules.set_sponsor(member("mod"), "art", 2 * USD, until)
    await rules.set_sponsor(member("mod"), "sketches", USD, until)
    paid = []
    for number in range(4):
        answer = await ledger.hold(job(f"k{number}", 1, there("sketches")))
        assert isinstance(answer, Granted)
        paid.append(answer.left[0].limit.scope.id if answer.left[0].limit.source == "sponsor" else "ann")
    assert paid == ["sketches", "art", "art", "ann"]
    with pytest.raises(LimitReached):
        await ledger.hold(job("k5", 1, there("finals")))
    with pytest.raises(LimitReached):
        await ledger.hold(job("k6", 1, there("music")))


async def test_a_job_that_waited_before_the_upgrade_is_counted_for_its_thread_alone_and_gets_its_turn(
    database: Database, clock: HandClock
) -> None:
    ledger = make_ledger(database, clock, running(ScopeKind.CHANNEL, 1))
    old = member(channel="sketches")
    assert isinstance(await ledger.hold(job("a", 1, old)), Granted)
    assert isinstance(await ledger.hold(job("b", 1, old)), MustWait)
    assert isinstance(await ledger.hold(job("c", 1, there("sketches", "bob"))), Granted)
    [slot] = await ledger.statuses(there("art"))
    assert slot.used == 1, "the older jobs do not count for the channel"
    for ended in ("a", "c"):
        assert isinstance(await ledger.admit("b"), MustWait)
        await ledger.settle(ended, amount_nanousd=USD, megapixels=Decimal(10))
    assert isinstance(await ledger.admit("b"), Granted)


async def test_a_waiting_job_of_a_thread_keeps_its_place_after_a_restart(database: Database, clock: HandClock) -> None:
    slots = running(ScopeKind.CHANNEL, 1)
    ledger = make_ledger(database, clock, slots)
    assert isinstance(await ledger.hold(job("a", 1, there("art"))), Granted)
    assert isinstance(await ledger.hold(job("b", 1, there("sketches", "bob"))), MustWait)
    again = make_ledger(database, clock, slots)
    assert isinstance(await again.admit("b"), MustWait)
    await again.release("a")
    assert isinstance(await again.admit("b"), Granted)


async def test_a_limit_that_a_moderator_sets_on_a_channel_stops_its_threads(
    database: Database, clock: HandClock
) -> None:
    ledger = make_ledger(database, clock)
    banned = Rule(ScopeKind.CHANNEL, Measure.JOBS, Window.DAY, 0, "moderator", "discord", "w1", "art")
    await SqlRules(ledger).set_limit(member("mod"), banned)
    for place in ("art", "sketches", "finals"):
        with pytest.raises(LimitReached):
            await ledger.hold(job(place, 1, there(place)))
    assert isinstance(await ledger.hold(job("songs", 1, there("songs"))), Granted)


def test_the_limits_of_five_thousand_members_are_kept_and_not_of_everybody() -> None:
    """Each is some kilobytes, twenty with many roles."""
    rules = Rules("1", RuleSet([default_money(5)]), CounterNames("ab" * 16))
    for number in range(5_200):
        assert rules.plan(member(f"m{number}")).bounds
        assert len(rules._plans) <= 5_000
