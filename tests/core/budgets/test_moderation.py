"""Moderators' commands: extras, the history of changes, the weekly report."""

import dataclasses
from datetime import datetime
from decimal import Decimal
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from core.budgets import limits as limits_module
from core.budgets.alerts import send_weekly_reports
from core.budgets.limit_grammar import Dialect, amount_of, extra_words, limit_words, sponsor_words
from core.budgets.service import Budgets
from core.domain.errors import InvalidParameters, LimitNotSet, LimitReached, NotAllowed
from core.domain.limits import AlertPlace, LimitChange, Measure, Rule, ScopeKind, WantedLimit, Window, span
from core.domain.parameters.sizes import parse_target
from core.presentation import LANGUAGES, Notice, line_text
from core.presentation.card import Moment
from core.presentation.cards.moderation import limit_changes
from core.presentation.texts.parameter_texts import parameter_problem
from core.storage.state import SqlAppState
from tests.core.budgets.kit import MODERATOR, OPERATOR, Make, spend, usd_a_day
from tests.core.storage.ledger_kit import USD, HandClock, day_usd, default_money, member

UTC = ZoneInfo("UTC")


async def paid(budget: Budgets, prefix: str, **who: Any) -> int:
    """How many jobs of a dollar a member can run."""
    for number in range(40):
        try:
            await spend(budget, f"{prefix}{number}", 1, member(**who))
        except LimitReached:
            return number
    raise AssertionError("no limit")


async def test_an_extra_raises_one_members_default_money_here_until_the_day_ends(make: Make, clock: HandClock) -> None:
    budget, other = (make(default_money(5)) for _ in range(2))
    ends_at = span(Window.DAY, clock.at, budget.zone).ends_at
    assert ends_at is not None
    await budget.limits.add_extra(MODERATOR, "ann", 2 * USD, Window.DAY)
    assert await paid(other, "a") == 7
    assert await paid(other, "b", user="bob") == 5
    await budget.limits.add_extra(MODERATOR, "bob", USD, Window.WEEK)
    await budget.limits.add_extra(MODERATOR, "bob", USD, Window.DAY)
    assert await paid(other, "c", user="bob") == 2
    assert await paid(other, "d", user="eve", workspace="w2") == 5
    clock.at = ends_at
    assert await paid(budget, "e") == 5
    assert await paid(other, "f", user="bob") == 6, "the week's extra still runs"


async def test_a_moderator_sees_what_members_may_spend_here_whoever_set_it_and_not_the_whole_bots_limit(
    make: Make,
) -> None:
    limits = make(default_money(5), day_usd(ScopeKind.EVERYTHING, 100)).limits
    await limits.set_limit(MODERATOR, usd_a_day(ScopeKind.WORKSPACE, "", 20 * USD))
    await limits.set_limit(MODERATOR, usd_a_day(ScopeKind.USER, "", 3 * USD))
    found = [
        (s.limit.scope.kind.value, s.limit.source, s.limit.amount) for s in await limits.workspace_limits(MODERATOR)
    ]
    money = [("user", "default", 5 * USD), ("user", "moderator", 3 * USD), ("workspace", "moderator", 20 * USD)]
    assert sorted(found) == money


async def test_a_place_keeps_a_bounded_number_of_limits_extras_and_sponsors(
    make: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each change shows the use of all of them, and every process reads all of them again."""
    monkeypatch.setattr(limits_module, "MAX_RULES", 3)
    limits = make(default_money(50)).limits
    for name in ("a", "b", "c"):
        await limits.set_limit(MODERATOR, usd_a_day(ScopeKind.USER, name, USD))
        await limits.add_extra(MODERATOR, name, USD, Window.DAY)
        await limits.sponsor(MODERATOR, name, USD)
    for one_more in (
        limits.set_limit(MODERATOR, usd_a_day(ScopeKind.USER, "d", USD)),
        limits.add_extra(MODERATOR, "d", USD, Window.DAY),
        limits.sponsor(MODERATOR, "d", USD),
    ):
        with pytest.raises(InvalidParameters) as refused:
            await one_more
        (problem,) = refused.value.problems
        assert "the most allowed" in parameter_problem(problem, "en")
    await limits.set_limit(MODERATOR, usd_a_day(ScopeKind.USER, "c", 2 * USD))
    await limits.sponsor(MODERATOR, "c", 2 * USD)
    await limits.set_limit(MODERATOR, usd_a_day(ScopeKind.USER, "a", None))
    await limits.set_limit(MODERATOR, usd_a_day(ScopeKind.USER, "d", USD))
    await limits.set_limit(OPERATOR, usd_a_day(ScopeKind.USER, "discord:1", USD))


async def test_an_extra_lifts_a_moderators_limit_and_nothing_that_the_operator_ruled(make: Make) -> None:
    ban = Rule(ScopeKind.USER, Measure.USD, Window.DAY, 0, "file", "discord", "", "eve")
    budget = make(default_money(50), ban, day_usd(ScopeKind.WORKSPACE, 9))
    await budget.limits.set_limit(MODERATOR, usd_a_day(ScopeKind.USER, "", 3 * USD))
    for who in ("ann", "eve"):
        await budget.limits.add_extra(MODERATOR, who, 20 * USD, Window.DAY)
    assert await paid(budget, "e", user="eve") == 0
    assert await paid(budget, "a") == 9


@pytest.mark.parametrize(
    ("amount", "window"), [(0, Window.DAY), (-1, Window.DAY), (10**30, Window.DAY), (1, Window.TOTAL)]
)
async def test_an_extra_that_means_nothing_is_refused(make: Make, amount: int, window: Window) -> None:
    with pytest.raises(InvalidParameters):
        await make().limits.add_extra(MODERATOR, "ann", amount, window)


async def test_only_moderators_add_extras_and_see_the_history(make: Make) -> None:
    budget = make()
    for call in (budget.limits.add_extra(member(), "ann", USD, Window.DAY), budget.limits.limit_changes(member())):
        with pytest.raises(NotAllowed):
            await call


def test_an_extra_is_read_as_people_type_it() -> None:
    dialect = Dialect({}, "", lambda word: (ScopeKind.USER, word[1:]) if word.startswith("@") else None)
    assert extra_words("@ann $2 today", dialect) == ("ann", 2 * USD, Window.DAY)
    assert extra_words("$2.50 @ann week", dialect) == ("ann", 5 * USD // 2, Window.WEEK)
    for wrong in ("$2 today", "@ann today", "@ann 5 mp", "@ann $2 tomorrow"):
        with pytest.raises(InvalidParameters):
            extra_words(wrong, dialect)


@pytest.mark.parametrize(
    ("text", "measure", "window", "amount"),
    [
        ("each user $5/day", Measure.USD, Window.DAY, 5 * USD),
        ("user 500 mp / month", Measure.MEGAPIXELS, Window.MONTH, 500),
        ("20 images hourly for every user", Measure.JOBS, Window.HOUR, 20),
        ("user 3 jobs at once", Measure.RUNNING, Window.NOW, 3),
    ],
)
def test_a_limit_is_read_as_people_type_it(text: str, measure: Measure, window: Window, amount: int) -> None:
    wanted = WantedLimit(ScopeKind.USER, "", measure, window, amount)
    assert limit_words(text, Dialect({"user": ScopeKind.USER}, ""), needs_amount=True) == wanted


@pytest.mark.parametrize(
    "text", ["user $5 $6", "user $5 day week", "user $5 jobs", "user channel $5", "user @ann @bob $5"]
)
def test_words_that_contradict_each_other_are_refused_and_none_is_dropped(text: str) -> None:
    scopes = {"user": ScopeKind.USER, "channel": ScopeKind.CHANNEL}
    dialect = Dialect(scopes, "", lambda word: (ScopeKind.USER, word[1:]) if word.startswith("@") else None)
    with pytest.raises(InvalidParameters) as refused:
        limit_words(text, dialect, needs_amount=True)
    assert [problem.kind for problem in refused.value.problems] == ["duplicate"]


async def test_a_limit_that_is_not_set_is_not_said_to_be_removed(make: Make) -> None:
    budget = make(default_money(5))
    await budget.limits.set_limit(MODERATOR, usd_a_day(ScopeKind.USER, "ann", USD))
    monthly = WantedLimit(ScopeKind.USER, "ann", Measure.USD, Window.MONTH, None)
    for actor, wanted in (
        (MODERATOR, monthly),
        (MODERATOR, usd_a_day(ScopeKind.USER, "", None)),
        (OPERATOR, usd_a_day(ScopeKind.USER, "", None)),
    ):
        with pytest.raises(LimitNotSet):
            await budget.limits.set_limit(actor, wanted)
    await budget.limits.set_limit(MODERATOR, usd_a_day(ScopeKind.USER, "ann", None))
    assert await budget.limits.rules.limits("discord", "w1") == []


@pytest.mark.parametrize("number", ["1,000", "1.000", "12.500", "100,000"])
def test_what_may_be_a_thousand_or_one_is_refused_and_not_guessed(number: str) -> None:
    dialect = Dialect({"user": ScopeKind.USER}, "")
    for read in (
        lambda: amount_of(number, Measure.USD),
        lambda: limit_words(f"user ${number} day", dialect, needs_amount=True),
        lambda: sponsor_words(f"${number} 7 days"),
        lambda: sponsor_words(f"{number} usd for 7 days"),
    ):
        with pytest.raises(InvalidParameters):
            read()
    assert parse_target("max", f"${number}") is None


@pytest.mark.parametrize(
    ("said", "cents"), [("0.125", 12.5), ("2,5", 250), ("$1000", 100_000), (Decimal("1.250"), 125)]
)
def test_other_amounts_are_read_to_the_nano_dollar(said: str | Decimal, cents: float) -> None:
    assert amount_of(said, Measure.USD) == cents * USD / 100
    assert sponsor_words("$20, for 7 days") == (20 * USD, 7)
    assert sponsor_words("2,50 usd") == (5 * USD // 2, None)


async def test_the_history_tells_every_change_in_every_language(make: Make) -> None:
    budget = make()
    await budget.limits.set_limit(MODERATOR, usd_a_day(ScopeKind.USER, "ann", 3 * USD))
    await budget.limits.set_limit(MODERATOR, WantedLimit(ScopeKind.CHANNEL, "", Measure.JOBS, Window.HOUR, 4))
    await budget.limits.add_extra(MODERATOR, "ann", 2 * USD, Window.DAY)
    await budget.limits.pause(MODERATOR, True)
    await budget.limits.sponsor(MODERATOR, "c1", 9 * USD, 1)
    await budget.limits.set_alert_channel(MODERATOR, "c7")
    await budget.limits.rules.note_presets(MODERATOR, "channel c1", "", "factor=2")
    told = limit_changes(await budget.limits.limit_changes(MODERATOR), "en")
    assert len(told) == 7
    for line, words in zip(
        reversed(told),
        ("member ann · today: – → $3.00", "each channel · this hour: – → 4 images", "more for member ann: – → $2.00",
         "new upscales: open → paused", "own budget of channel c1: – → $9.00", "channel for alerts: – → c7",
         "default values of channel c1: – → factor=2"),
        strict=True,
    ):  # fmt: skip
        assert words in line_text(line)
    for locale in LANGUAGES:
        assert all(
            line_text(line).strip() for line in limit_changes(await budget.limits.limit_changes(MODERATOR), locale)
        )
    everywhere = await budget.limits.limit_changes(OPERATOR)
    assert {(one.platform, one.workspace_id) for one in everywhere} == {("discord", "w1")}


@pytest.mark.parametrize(
    ("action", "subject"), [("limit", "user ann mood day"), ("limit", "user ann usd eon"), ("blessing", "user ann")]
)
def test_a_change_that_a_newer_release_made_is_told_as_it_was_written(action: str, subject: str) -> None:
    newer = LimitChange(0.0, "mod", "{old} Mod", action, subject, "3", "4")
    (line,) = limit_changes([newer], "en")
    assert line_text(line) == f"1970-01-01 00:00 UTC, {{old}} Mod: {subject}: 3 → 4"
    assert Moment(0.0, "date_time") in line  # which each reader's client shows in their own time


async def test_the_week_is_reported_once_from_monday_on_to_the_channel_for_alerts(
    make: Make, clock: HandClock, state: SqlAppState
) -> None:
    budget = make()
    clock.at = datetime(2026, 11, 18, 12, tzinfo=UTC).timestamp()
    for workspace in ("w1", "w2"):
        moderator = dataclasses.replace(member("mod", workspace=workspace), is_moderator=True)
        await budget.limits.set_alert_channel(moderator, f"alerts-{workspace}")
    await spend(budget, "a", 2, member("ann"))
    await spend(budget, "b", 1, member("bob"), model="seedvr2")
    sent: list[tuple[AlertPlace, Notice]] = []
    broken = [True]

    async def notify(place: AlertPlace, notice: Notice) -> None:
        if broken.pop():
            raise OSError
        sent.append((place, notice))
        broken.append(False)

    # The bot does not run on Monday after nine: the report comes on Tuesday.
    for day, hour, n_sent in ((22, 12, 0), (23, 7, 0), (23, 9, 0), (24, 10, 1), (29, 11, 1), (30, 7, 1), (30, 10, 1)):
        clock.at = datetime(2026, 11, day, hour, tzinfo=UTC).timestamp()
        broken[:] = [hour == 9]
        await send_weekly_reports(budget, state, notify)
        assert len(sent) == n_sent, (day, hour)
    place, notice = sent[0]
    assert place.channel_id == "alerts-w1", "w2 had no pictures"
    assert "2 images for $3.00" in notice.what
    assert "$2.00" in notice.advice
    assert "By model: flux $2.00, seedvr2 $1.00." in notice.advice
    clock.at = datetime(2026, 11, 25, 12, tzinfo=UTC).timestamp()
    await budget.limits.set_alert_channel(dataclasses.replace(MODERATOR, workspace_id="w3"), "chosen-on-wednesday")
    await spend(budget, "c", 1, member("ann", workspace="w3"))
    for day, n_sent in ((26, 1), (30, 2)):
        clock.at = datetime(2026, 11, day, 11, tzinfo=UTC).timestamp()
        await send_weekly_reports(budget, state, notify)
        assert len(sent) == n_sent, day


async def test_a_removed_workspace_leaves_nothing_that_its_moderators_set(make: Make) -> None:
    budget = make(default_money(1))
    there = dataclasses.replace(MODERATOR, workspace_id="w2")
    for moderator in (MODERATOR, there):
        await budget.limits.set_limit(moderator, WantedLimit(ScopeKind.USER, "", Measure.JOBS, Window.DAY, 5))
        await budget.limits.add_extra(moderator, "m1", USD, Window.DAY)
        await budget.limits.sponsor(moderator, "c1", 9 * USD, 1)
        await budget.limits.set_alert_channel(moderator, "money")
    await budget.limits.rules.forget_workspace(MODERATOR.platform, MODERATOR.workspace_id)
    for moderator, left in ((MODERATOR, 0), (there, 1)):
        for kept in (budget.limits.rules.limits, budget.limits.rules.sponsors):
            assert len(await kept(moderator.platform, moderator.workspace_id)) == left
    assert [place.workspace_id for place in await budget.limits.rules.alert_places()] == ["w2"]


def test_half_a_picture_is_refused_in_a_whole_sentence() -> None:
    with pytest.raises(InvalidParameters) as refused:
        amount_of(2.5, Measure.JOBS)
    assert parameter_problem(refused.value.problems[0], "en") == "amount must be 1, 2, 3 …; you wrote 2.5."
