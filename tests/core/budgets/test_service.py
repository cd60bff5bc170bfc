"""Usage reports and changes of rules: permissions, pauses, sponsors, roles, and the history."""

import csv
import dataclasses
import io
from decimal import Decimal
from typing import Any

import pytest

from adapters.web.inbound.account_routes import usage_json
from core.budgets.reports.chart_spec import drawing
from core.budgets.service import Budgets
from core.domain.errors import InvalidParameters, LimitReached, NotAllowed, Paused
from core.domain.job import Requester
from core.domain.limits import Measure, ScopeKind, WantedLimit, Window
from core.ports import Granted
from core.storage.ledger.history import forget_member
from tests.core.budgets.kit import DAY_S, MODERATOR, OPERATOR, Make, spend, usd_a_day
from tests.core.storage.ledger_audit import audit
from tests.core.storage.ledger_kit import (
    USD,
    HandClock,
    day_usd,
    job,
    member,
)


async def test_a_report_for_moderators_names_the_models(make: Make) -> None:
    budget = make()
    await spend(budget, "a", 2)
    await spend(budget, "b", 1, model="seedvr2")
    report = await budget.usage(MODERATOR)
    assert [(row["key"], row["charged"]) for row in usage_json(report, "en")["models"]] == [
        ("flux", "$2.00"),
        ("seedvr2", "$1.00"),
    ]
    assert [line.rsplit(",", 1)[1] for line in (await budget.usage_csv(MODERATOR)).splitlines()] == [
        "model",
        "flux",
        "seedvr2",
    ]


async def set_day(budget: Budgets, usd: float | None, scope: ScopeKind = ScopeKind.USER, scope_id: str = "") -> Any:
    amount = None if usd is None else round(usd * USD)
    return await budget.limits.set_limit(MODERATOR, usd_a_day(scope, scope_id, amount))


async def test_a_moderators_limit_counts_at_once_in_every_process_and_also_what_was_spent_before(make: Make) -> None:
    budget, elsewhere = make(), make()
    await spend(elsewhere, "a", 1.5)
    await set_day(budget, 2)
    with pytest.raises(LimitReached) as refused:
        await elsewhere.ledger.hold(job("b", 1))
    assert (refused.value.status.left, refused.value.status.limit.source) == (USD // 2, "moderator")
    await elsewhere.ledger.hold(job("c", 1, member(workspace="w2")))  # another workspace is not concerned
    await set_day(budget, None)
    await elsewhere.ledger.hold(job("b", 1))


async def test_every_change_is_kept_with_who_when_and_what(make: Make, clock: HandClock) -> None:
    budget = make()
    await set_day(budget, 2)
    clock.at += 60
    await set_day(budget, 3)
    await budget.limits.pause(MODERATOR, True)
    newest = await budget.limits.limit_changes(MODERATOR)
    assert [(change.action, change.old, change.new, change.actor_id) for change in newest] == [
        ("pause", "open", "paused", "mod"),
        ("limit", str(2 * USD), str(3 * USD), "mod"),
        ("limit", "", str(2 * USD), "mod"),
    ]
    assert newest[1].at - newest[2].at == 60


@pytest.mark.parametrize(
    ("actor", "scope", "scope_id"),
    [
        (member("ann"), ScopeKind.USER, ""),
        (MODERATOR, ScopeKind.EVERYTHING, ""),
        (MODERATOR, ScopeKind.PLATFORM, ""),
        (MODERATOR, ScopeKind.WORKSPACE, "w2"),
        (dataclasses.replace(MODERATOR, workspace_id=""), ScopeKind.USER, ""),
    ],
)
async def test_nobody_changes_limits_beyond_the_own_place(
    make: Make, actor: Requester, scope: ScopeKind, scope_id: str
) -> None:
    with pytest.raises(NotAllowed):
        await make().limits.set_limit(actor, usd_a_day(scope, scope_id, USD))


@pytest.mark.parametrize(
    ("scope", "measure", "window", "amount"),
    [
        (ScopeKind.USER, Measure.RUNNING, Window.DAY, 3),
        (ScopeKind.USER, Measure.RUNNING, Window.NOW, 0),
        (ScopeKind.USER, Measure.USD, Window.NOW, USD),
        (ScopeKind.USER, Measure.USD, Window.DAY, -1),
        (ScopeKind.USER, Measure.USD, Window.DAY, 10**19),
        (ScopeKind.ROLE, Measure.USD, Window.DAY, USD),
    ],
)
async def test_limits_that_mean_nothing_are_refused(
    make: Make, scope: ScopeKind, measure: Measure, window: Window, amount: int
) -> None:
    with pytest.raises(InvalidParameters):
        await make().limits.set_limit(MODERATOR, WantedLimit(scope, "", measure, window, amount))


async def test_a_moderator_sees_the_limits_of_the_workspace_with_their_use(make: Make) -> None:
    budget = make(day_usd(ScopeKind.WORKSPACE, 25), day_usd(ScopeKind.EVERYTHING, 100))
    await spend(budget, "a", 1.5)
    await set_day(budget, 4, ScopeKind.USER, "ann")
    shown = await set_day(budget, 9, ScopeKind.ROLE, "gold")
    assert [(s.limit.scope.kind.value, s.limit.scope.id, s.limit.amount // USD, s.used / USD) for s in shown] == [
        ("workspace", "w1", 25, 1.5),
        ("role", "gold", 9, 0),
        ("user", "ann", 4, 1.5),
    ]


async def test_a_moderators_pause_stops_the_own_workspace_only(make: Make) -> None:
    budget = make()
    await budget.limits.pause(MODERATOR, True)
    with pytest.raises(Paused) as cheap:
        await budget.check_open(member())
    with pytest.raises(Paused):
        await make().ledger.hold(job("a"))
    assert cheap.value.by == "moderator"
    await budget.check_open(member(workspace="w2"))
    await budget.limits.pause(MODERATOR, False)
    await budget.check_open(member())
    await budget.ledger.hold(job("a"))


async def test_an_operators_pause_stops_everything_play_money_too_but_no_running_job(make: Make) -> None:
    budget = make()
    await budget.ledger.hold(job("running"))
    await budget.limits.pause(OPERATOR, True)
    for request in (job("a"), job("b", enforce=False)):
        with pytest.raises(Paused) as refused:
            await budget.ledger.hold(request)
        assert refused.value.by == "operator"
    assert isinstance(await budget.ledger.hold(job("running")), Granted)
    await budget.ledger.settle("running", amount_nanousd=USD, megapixels=Decimal(10))
    with pytest.raises(NotAllowed):
        await budget.limits.pause(member(), False)
    await budget.limits.pause(OPERATOR, False)
    await budget.ledger.hold(job("a"))


async def test_a_shared_pot_is_emptied_by_all_members_of_the_role_together(make: Make) -> None:
    pot = day_usd(ScopeKind.ROLE, 3, platform="discord", id="art", counts="shared")
    budget = make(pot)
    await spend(budget, "a", 2, member("ann", roles=("art",)))
    await spend(budget, "x", 9, member("eve"))
    with pytest.raises(LimitReached) as refused:
        await budget.ledger.hold(job("b", 2, member("bob", roles=("art",))))
    assert (refused.value.status.limit.scope.kind, refused.value.status.left) == (ScopeKind.ROLE, USD)


async def test_usage_shows_members_themselves_moderators_their_workspace_and_the_operator_everything(
    make: Make, clock: HandClock
) -> None:
    budget = make(day_usd(ScopeKind.USER, 5), day_usd(ScopeKind.WORKSPACE, 25))
    await spend(budget, "a", 1, member("ann"))
    clock.at += DAY_S
    await spend(budget, "b", 2, member("bob"))
    await spend(budget, "c", 3, member("ann", workspace="w2"))
    await budget.ledger.hold(job("d", 0.5, member("bob")))
    own = await budget.usage(member("ann"))
    assert (own.scope, own.charged_nanousd, own.members, own.budget_day_nanousd) == ("user", 4 * USD, (), 5 * USD)
    place = await budget.usage(MODERATOR)
    assert [(row.key, row.label, row.charged_nanousd // USD) for row in place.members] == [
        ("bob", "Bob", 2),
        ("ann", "Ann", 1),
    ]
    assert (place.scope, place.charged_nanousd, place.held_nanousd) == ("workspace", 3 * USD, USD // 2)
    assert [(row.key, row.charged_nanousd // USD) for row in place.days] == [("2026-11-23", 1), ("2026-11-24", 2)]
    assert (await budget.usage(MODERATOR, member_id="ann")).charged_nanousd == USD, "the own workspace only"
    assert (await budget.usage(MODERATOR, period="day")).charged_nanousd == 2 * USD
    everything = await budget.usage(OPERATOR, period="2026-11-23..2026-11-24")
    assert (everything.scope, everything.charged_nanousd) == ("everything", 6 * USD)
    with pytest.raises(NotAllowed):
        await budget.usage(member("ann"), member_id="bob")


async def test_play_money_is_shown_by_itself(make: Make) -> None:
    sandbox = make(play_money=True)
    await sandbox.ledger.hold(job("p", 2, enforce=False))
    await sandbox.ledger.settle("p", amount_nanousd=2 * USD, megapixels=Decimal(20), real=False)
    await spend(make(), "r", 1)
    assert (await sandbox.usage(member())).charged_nanousd == 2 * USD
    assert (await make().usage(member())).charged_nanousd == USD


async def test_corrections_count_in_reports_and_no_job_twice(make: Make) -> None:
    budget = make()
    await spend(budget, "a", 2)
    await budget.ledger.correct("a", amount_nanousd=USD, note="billed")
    report = await budget.usage(member())
    assert (report.charged_nanousd, report.jobs) == (USD, 1)


async def test_after_erasure_no_name_is_left_and_the_limits_of_today_still_hold(make: Make) -> None:
    budget = make(day_usd(ScopeKind.USER, 5))
    await spend(budget, "a", 4)
    assert len((await budget.export(member()))["ledger"]) == 2
    assert await forget_member(budget.ledger.database, member()) == 2
    assert not any((await budget.export(member())).values())
    with pytest.raises(LimitReached):
        await budget.ledger.hold(job("b", 2))
    report = await budget.usage(MODERATOR)
    assert report.charged_nanousd == 4 * USD
    assert all(row.key.startswith("erased:") and not row.label for row in report.members)
    assert await audit(budget.ledger.database) == []


async def test_report_chart_and_table_of_a_month_tell_the_same_sum(make: Make, clock: HandClock) -> None:
    budget = make(day_usd(ScopeKind.WORKSPACE, 25))
    clock.at -= 22 * DAY_S
    for number in range(60):
        clock.at += 0.36 * DAY_S
        await spend(budget, f"j{number:02}", (number % 16 + 1) / 10, member(f"user{number % 7}"))
    report = await budget.usage(MODERATOR)
    lines = list(csv.DictReader(io.StringIO(await budget.usage_csv(MODERATOR))))
    picture = drawing(report, "en", dark=True)
    assert len(lines) == report.jobs == 60
    assert [line["job"] for line in lines] == sorted(line["job"] for line in lines), "oldest first"
    assert sum(Decimal(line["charged_usd"]) for line in lines) * USD == report.charged_nanousd
    assert round(sum(map(sum, picture.values)), 6) == report.charged_nanousd / USD
    assert (len(picture.values), len(picture.words.names)) == (23, 6)
    by_day = {line["day"] for line in lines}
    assert by_day == {row.key for row in report.days}
    assert len((await budget.usage_csv(member("user3"))).splitlines()) - 1 == sum(1 for n in range(60) if n % 7 == 3)


@pytest.mark.parametrize("kind", ["everything", "platform", "workspace", "channel", "user"])
async def test_the_operators_limit_holds_at_run_time_and_no_moderator_lifts_it(make: Make, kind: str) -> None:
    budget, elsewhere = make(day_usd(ScopeKind.EVERYTHING, 100)), make()
    who = dataclasses.replace(member("ann"), channel_id="c1")
    place = f"{who.platform}:{who.workspace_id}"
    address = {"everything": "", "platform": "Discord", "workspace": place, "channel": f"{place}:c1"}
    told = address.get(kind, f"{who.platform}:ann")
    shown = await budget.limits.set_limit(OPERATOR, usd_a_day(ScopeKind(kind), told, 2 * USD))
    assert [s.limit.amount for s in shown if s.limit.source == "operator"] == [2 * USD]
    moderated = ScopeKind(kind) if kind not in ("everything", "platform") else ScopeKind.WORKSPACE
    await budget.limits.set_limit(MODERATOR, usd_a_day(moderated, "", 50 * USD))
    with pytest.raises(LimitReached) as refused:
        await elsewhere.ledger.hold(job("a", 3, who))
    assert refused.value.status.limit.amount == 2 * USD
    await budget.limits.set_limit(OPERATOR, usd_a_day(ScopeKind(kind), told, None))
    assert isinstance(await elsewhere.ledger.hold(job("b", 3, who)), Granted)
