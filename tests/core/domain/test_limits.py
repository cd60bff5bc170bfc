"""Windows, the limits that apply to a person, and the largest factor within them."""

from datetime import datetime
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.budgets.fit import megapixels_left, reached, refusal, with_offer
from core.budgets.rules import RuleSet
from core.domain import money
from core.domain.errors import LimitReached
from core.domain.limits import SUMMED_WINDOWS, Limit, LimitStatus, Measure, Rule, Scope, ScopeKind, Window, span
from core.domain.money import factor_within
from tests.core.storage.ledger_kit import USD, day_usd, member

BERLIN = ZoneInfo("Europe/Berlin")
HOUR_S = 3600


def at(text: str, zone: ZoneInfo, fold: int = 0) -> float:
    return datetime.fromisoformat(text).replace(tzinfo=zone, fold=fold).timestamp()


def test_a_day_in_which_the_clock_goes_back_has_25_hours_and_one_in_which_it_goes_ahead_23() -> None:
    autumn = span(Window.DAY, at("2026-10-25T12:00", BERLIN), BERLIN)
    spring = span(Window.DAY, at("2026-03-29T12:00", BERLIN), BERLIN)
    assert autumn.ends_at is not None
    assert spring.ends_at is not None
    assert (autumn.ends_at - autumn.starts_at) / HOUR_S == 25
    assert (spring.ends_at - spring.starts_at) / HOUR_S == 23


def test_the_hour_that_autumn_repeats_is_two_windows() -> None:
    first = span(Window.HOUR, at("2026-10-25T02:30", BERLIN), BERLIN)
    second = span(Window.HOUR, at("2026-10-25T02:30", BERLIN, fold=1), BERLIN)
    assert first.ends_at == second.starts_at
    assert first.key != second.key


def test_where_midnight_is_skipped_the_day_begins_with_the_skip() -> None:
    cairo = ZoneInfo("Africa/Cairo")  # 2026-04-24 begins at 01:00
    day = span(Window.DAY, at("2026-04-24T12:00", cairo), cairo)
    before = span(Window.DAY, at("2026-04-23T12:00", cairo), cairo)
    assert before.ends_at == day.starts_at
    assert datetime.fromtimestamp(day.starts_at, cairo).hour == 1


def test_hours_follow_the_wall_clock_in_zones_of_half_hours() -> None:
    kolkata = ZoneInfo("Asia/Kolkata")
    hour = span(Window.HOUR, at("2026-11-23T10:45", kolkata), kolkata)
    assert datetime.fromtimestamp(hour.starts_at, kolkata).strftime("%H:%M") == "10:00"


def test_weeks_begin_on_monday_and_months_on_the_first() -> None:
    sunday = at("2026-11-29T23:59", BERLIN)
    week, month = span(Window.WEEK, sunday, BERLIN), span(Window.MONTH, sunday, BERLIN)
    assert datetime.fromtimestamp(week.starts_at, BERLIN).isoformat() == "2026-11-23T00:00:00+01:00"
    assert week.ends_at == at("2026-11-30T00:00", BERLIN)
    assert (month.key, month.ends_at) == ("m2026-11", at("2026-12-01T00:00", BERLIN))


@given(
    st.floats(0, 4_000_000_000),
    st.sampled_from(
        ["UTC", "Europe/Berlin", "America/Havana", "Australia/Lord_Howe", "Asia/Kathmandu", "Africa/Cairo"]
    ),
)
def test_every_instant_lies_in_its_window_and_the_next_window_begins_where_it_ends(instant: float, name: str) -> None:
    zone = ZoneInfo(name)
    for window in SUMMED_WINDOWS:
        here = span(window, instant, zone)
        assert here.starts_at <= instant
        if here.ends_at is not None:
            assert instant < here.ends_at
            if window is not Window.HOUR:
                assert span(window, here.ends_at, zone).starts_at == here.ends_at
            assert span(window, here.ends_at, zone).key != here.key


def amounts(rules: tuple[Rule, ...], moderators: tuple[Rule, ...] = (), **who: object) -> list[tuple[str, float]]:
    book = RuleSet(rules, {("discord", "w1"): moderators})
    return [(limit.scope.kind.value, limit.amount / USD) for limit in book.limits_for(member(**who))]  # type: ignore[arg-type]


def test_the_most_specific_rule_of_one_source_wins() -> None:
    rules = (
        day_usd(ScopeKind.USER, 5),
        day_usd(ScopeKind.USER, 4, platform="discord"),
        day_usd(ScopeKind.USER, 3, platform="discord", workspace_id="w1"),
        day_usd(ScopeKind.USER, 9, platform="discord", id="bob"),
    )
    assert amounts(rules) == [("user", 3)]
    assert amounts(rules, workspace="w2") == [("user", 4)]
    assert amounts(rules, user="bob") == [("user", 9)]


def test_a_rule_for_a_workspace_counts_what_is_done_there_and_any_other_counts_everywhere() -> None:
    here = RuleSet((day_usd(ScopeKind.USER, 3, platform="discord", workspace_id="w1"),)).limits_for(member())
    everywhere = RuleSet((day_usd(ScopeKind.USER, 3),)).limits_for(member())
    assert [limit.scope.workspace_id for limit in (*here, *everywhere)] == ["w1", ""]


def test_a_rule_without_amount_removes_the_default() -> None:
    lifted = Rule(ScopeKind.USER, Measure.USD, Window.DAY, None, "file", "discord", "", "bob")
    assert amounts((day_usd(ScopeKind.USER, 5), lifted), user="bob") == []


def test_limits_of_the_operator_and_of_moderators_both_apply() -> None:
    own = Rule(ScopeKind.USER, Measure.USD, Window.DAY, 8 * USD, "moderator", "discord", "w1")
    assert amounts((day_usd(ScopeKind.USER, 5),), (own,)) == [("user", 5), ("user", 8)]
    assert amounts((day_usd(ScopeKind.USER, 5),), (own,), workspace="w2") == [("user", 5)]


def test_of_several_roles_the_most_generous_allowance_replaces_the_default() -> None:
    rules = (
        day_usd(ScopeKind.USER, 5),
        day_usd(ScopeKind.ROLE, 20, platform="discord", workspace_id="w1", id="gold"),
        day_usd(ScopeKind.ROLE, 10, platform="discord", workspace_id="w1", id="silver"),
        day_usd(ScopeKind.USER, 1, platform="discord", id="eve"),
    )
    assert amounts(rules, roles=("silver", "gold")) == [("user", 20)]
    assert amounts(rules, roles=("silver",)) == [("user", 10)]
    assert amounts(rules, roles=("silver", "gold"), user="eve") == [("user", 1)], "the person beats the role"


def test_a_shared_allowance_of_a_role_counts_in_addition_to_the_members_own() -> None:
    pot = day_usd(ScopeKind.ROLE, 50, platform="discord", id="art", counts="shared")
    assert amounts((day_usd(ScopeKind.USER, 5), pot), roles=("art",)) == [("user", 5), ("role", 50)]


def test_in_direct_messages_no_limit_of_a_workspace_applies() -> None:
    rules = (day_usd(ScopeKind.USER, 5), day_usd(ScopeKind.WORKSPACE, 25), day_usd(ScopeKind.CHANNEL, 2))
    assert amounts(rules, workspace="", channel="") == [("user", 5)]


def status(measure: Measure, amount: int, used: int) -> LimitStatus:
    return LimitStatus(Limit(Scope(ScopeKind.USER), measure, Window.DAY, amount), used, 0, None)


def test_the_largest_factor_that_fits_is_found_over_all_limits() -> None:
    asked = money.quote(2000, 1000, 4, USD // 10)
    tight = status(Measure.MEGAPIXELS, 20, 8)
    error = LimitReached(status=status(Measure.USD, 3 * USD, 0), needed=asked.estimate_nanousd)
    room = megapixels_left([tight, error.status], asked.unit_price_nanousd)
    offer = with_offer(error, room, asked).largest_factor
    assert offer == 2.44
    assert money.quote(2000, 1000, offer, 1).megapixels <= 12
    assert money.quote(2000, 1000, offer + 0.01, 1).megapixels > 12


@pytest.mark.parametrize(
    "full", [status(Measure.JOBS, 3, 3), status(Measure.USD, USD, USD), status(Measure.MEGAPIXELS, 5, 9)]
)
def test_nothing_is_offered_where_nothing_fits(full: LimitStatus) -> None:
    asked = money.quote(2000, 1000, 2, USD // 10)
    assert megapixels_left([full], asked.unit_price_nanousd) == 0
    assert with_offer(LimitReached(status=full, needed=1), 0, asked).largest_factor is None


@given(st.integers(16, 9000), st.integers(16, 9000), st.integers(1, 300))
def test_what_is_offered_always_fits(width: int, height: int, megapixels: int) -> None:
    factor = factor_within(width, height, megapixels, below=4)
    if factor is not None:
        assert 1 <= factor <= 4
        assert money.quote(width, height, factor, 1).megapixels <= megapixels


def test_before_asking_for_consent_the_limits_are_looked_at_and_running_jobs_refuse_nobody() -> None:
    asked = money.quote(2000, 1000, 2, USD // 10)
    busy = LimitStatus(Limit(Scope(ScopeKind.USER), Measure.RUNNING, Window.NOW, 3), 3, 0, None)
    assert refusal(asked, [busy, status(Measure.USD, USD, 0)]) is None
    refused = refusal(asked, [status(Measure.USD, USD // 2, 0), status(Measure.MEGAPIXELS, 90, 0)])
    assert refused is not None
    assert refused.needed == asked.estimate_nanousd


def test_a_limit_that_is_too_small_as_a_whole_is_named_before_one_that_opens_later() -> None:
    """At the moment that the month's names, the day's would refuse the job again."""
    day, month = (
        LimitStatus(Limit(Scope(kind), Measure.USD, window, amount * USD), used * USD, 0, opens_at)
        for kind, window, amount, used, opens_at in (
            (ScopeKind.USER, Window.DAY, 5, 0, 10.0),
            (ScopeKind.WORKSPACE, Window.MONTH, 100, 97, 99.0),
        )
    )
    assert reached([day, month], 6 * USD, 60).status is day
    assert reached([day, month], 4 * USD, 40).status is month
