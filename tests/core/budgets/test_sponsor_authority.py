"""A sponsor's budget pays for members' default daily money, and lifts none of the operator's rules."""

import dataclasses
from collections import Counter
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import strategies as st
from hypothesis.stateful import invariant, rule

from core.domain.errors import LimitReached, NotAllowed
from core.domain.limits import Measure, Rule, ScopeKind, Window
from core.ports import Granted
from tests.core.budgets.kit import DAY_S, MODERATOR, Make, budgets, spend, usd_a_day
from tests.core.storage.ledger_audit import audit
from tests.core.storage.ledger_kit import USD, HandClock, day_usd, default_money, job, member, running
from tests.core.storage.ledger_steps import BOTH, LedgerSteps, try_steps


def by_person(measure: Measure, amount: int, **where: Any) -> Rule:
    return Rule(ScopeKind.USER, measure, Window.DAY, amount, "file", **where)


@pytest.mark.parametrize(
    ("own", "jobs"),
    [
        (by_person(Measure.USD, 0, platform="discord", id="ann"), 0),
        (by_person(Measure.USD, 5 * USD), 5),
        (by_person(Measure.JOBS, 3), 3),
        (by_person(Measure.MEGAPIXELS, 20), 2),
        (day_usd(ScopeKind.ROLE, 4, platform="discord", id="art"), 4),
        (day_usd(ScopeKind.ROLE, 4, platform="discord", id="art", counts="shared"), 4),
        (day_usd(ScopeKind.CHANNEL, 3, platform="discord", id="c1"), 3),
    ],
    ids=["banned", "money", "jobs", "megapixels", "role", "pot", "channel"],
)
async def test_a_sponsor_in_ones_own_server_lifts_no_rule_of_the_operator(make: Make, own: Rule, jobs: int) -> None:
    who = member(roles=("art",))
    budget = make(default_money(5), day_usd(ScopeKind.WORKSPACE, 25), own)
    await budget.limits.sponsor(MODERATOR, "c1", 1000 * USD, 1)
    held = 0
    for n in range(30):
        try:
            await budget.ledger.hold(job(f"j{n}", 1, who))
            held += 1
        except LimitReached:
            break
    assert held == jobs
    assert await audit(budget.ledger.database) == []


async def test_the_budget_of_a_sponsor_is_no_reason_to_refuse_beside_a_limit_that_is(make: Make) -> None:
    budget = make(default_money(5), day_usd(ScopeKind.WORKSPACE, 3))
    await budget.limits.sponsor(MODERATOR, "c1", USD, 7)
    with pytest.raises(LimitReached) as refused:
        await budget.ledger.hold(job("a", 4))
    assert refused.value.status.limit.scope.kind is ScopeKind.WORKSPACE


async def test_a_ban_by_a_moderator_stays_where_a_sponsor_pays(make: Make) -> None:
    budget = make(default_money(5))
    await budget.limits.sponsor(MODERATOR, "c1", 1000 * USD, 1)
    await budget.limits.set_limit(MODERATOR, usd_a_day(ScopeKind.USER, "ann", 0))
    with pytest.raises(LimitReached):
        await budget.ledger.hold(job("a", 1))


async def test_a_sponsor_pays_for_the_channel_and_members_keep_their_own_budget(make: Make, clock: HandClock) -> None:
    budget = make(default_money(2), day_usd(ScopeKind.WORKSPACE, 100))
    await budget.limits.sponsor(MODERATOR, "c1", 20 * USD, 6)
    (running_budget,) = await budget.limits.rules.sponsors(MODERATOR.platform, MODERATOR.workspace_id)
    assert running_budget.amount_nanousd == 20 * USD
    await spend(budget, "a", 15)
    statuses = await budget.ledger.statuses(member())
    assert [(s.limit.source, s.left // USD) for s in statuses] == [("sponsor", 5), ("file", 85)]
    assert statuses[0].opens_at == clock.at + 6 * DAY_S
    elsewhere = await budget.ledger.statuses(member(channel="c2"))
    assert elsewhere[0].left == 2 * USD, "the member's own budget was not touched"


async def test_when_the_sponsors_budget_does_not_suffice_the_members_own_limits_decide(make: Make) -> None:
    budget = make(default_money(2))
    await budget.limits.sponsor(MODERATOR, "c1", 3 * USD, 1)
    await spend(budget, "a", 2.5)
    await spend(budget, "b", 1.5)
    with pytest.raises(LimitReached) as refused:
        await budget.ledger.hold(job("c", 1))
    assert refused.value.status.limit.scope.kind is ScopeKind.USER
    assert await audit(budget.ledger.database) == []


async def test_a_sponsor_ends_with_its_time_or_when_it_is_ended(make: Make, clock: HandClock) -> None:
    budget = make(default_money(2))
    await budget.limits.sponsor(MODERATOR, "c1", 20 * USD, 1)
    here = MODERATOR.platform, MODERATOR.workspace_id
    await budget.limits.sponsor(MODERATOR, "c1", 30 * USD, 1)
    assert len(await budget.limits.rules.sponsors(*here)) == 1, "a new one replaces the old one"
    await budget.limits.sponsor(MODERATOR, "c1", None)
    assert await budget.limits.rules.sponsors(*here) == []
    with pytest.raises(LimitReached):
        await budget.ledger.hold(job("a", 3))
    await budget.limits.sponsor(MODERATOR, "c1", 20 * USD, 1)
    clock.at += DAY_S
    with pytest.raises(LimitReached):
        await budget.ledger.hold(job("b", 3))
    for days, kept in ((0, 1), (9_999, 366)):  # at least a day, at most a year
        await budget.limits.sponsor(MODERATOR, "c1", 20 * USD, days)
        assert (await budget.limits.rules.sponsors(*here))[0].ends_at == clock.at + kept * DAY_S
    with pytest.raises(NotAllowed):
        await budget.limits.sponsor(member(), "c1", 20 * USD, 1)


async def test_jobs_at_once_are_limited_where_a_sponsor_pays_as_well(make: Make) -> None:
    budget = make(running(ScopeKind.USER, 1))
    await budget.limits.sponsor(MODERATOR, "c1", 20 * USD, 1)
    await budget.ledger.hold(job("a"))
    assert not isinstance(await budget.ledger.hold(job("b")), Granted)


OWN, JOBS, WORKSPACE = 6 * USD, 7, 9 * USD


class SponsorMachine(LedgerSteps):
    """Members hold, settle and release in sponsored and other channels of two servers, sponsors come and go."""

    def __init__(self) -> None:
        super().__init__()
        rules = (by_person(Measure.USD, OWN, platform="discord"), by_person(Measure.JOBS, JOBS))
        self.budget = budgets(self.database, self.clock, *rules, day_usd(ScopeKind.WORKSPACE, 9))
        self.spent: Counter[str] = Counter()
        self.jobs: Counter[str] = Counter()
        self.places: Counter[str] = Counter()
        self.open_jobs: list[tuple[str, str, str, int]] = []

    @rule(place=st.sampled_from(["w1", "w2"]), dollars=st.sampled_from([None, 3, 500]))
    def a_moderator_sponsors(self, place: str, dollars: int | None) -> None:
        moderator = dataclasses.replace(member("mod", workspace=place), is_moderator=True)
        amount = None if dollars is None else dollars * USD
        self.run(self.budget.limits.sponsor(moderator, "c1", amount, 1))

    @rule(
        who=st.sampled_from(["ann", "bob"]),
        place=st.sampled_from(["w1", "w2"]),
        channel=st.sampled_from(["c1", "c2"]),
        dollars=st.integers(1, 3),
    )
    def hold(self, who: str, place: str, channel: str, dollars: int) -> None:
        self.number += 1
        key, amount = f"j{self.number}", dollars * USD
        try:
            self.run(self.budget.ledger.hold(job(key, dollars, member(who, workspace=place, channel=channel))))
        except LimitReached:
            return
        self.spent[who] += amount
        self.jobs[who] += 1
        self.places[place] += amount
        self.open_jobs.append((key, who, place, amount))

    @rule(data=st.data(), charged=st.booleans())
    def end(self, data: st.DataObject, charged: bool) -> None:
        if not self.open_jobs:
            return
        one = data.draw(st.sampled_from(self.open_jobs))
        self.open_jobs.remove(one)
        key, who, place, amount = one
        if charged:
            self.run(self.budget.ledger.settle(key, amount_nanousd=amount, megapixels=Decimal(1)))
            return
        self.run(self.budget.ledger.release(key))
        self.spent[who] -= amount
        self.jobs[who] -= 1
        self.places[place] -= amount

    @invariant()
    def no_rule_of_the_operator_is_passed(self) -> None:
        assert all(amount <= OWN for amount in self.spent.values())
        assert all(number <= JOBS for number in self.jobs.values())
        assert all(amount <= WORKSPACE for amount in self.places.values())
        assert self.run(audit(self.budget.ledger.database)) == []


@BOTH
def test_no_sequence_of_sponsors_lifts_a_rule(request: pytest.FixtureRequest, on: str) -> None:
    try_steps(SponsorMachine, request, on, (15, 4))
