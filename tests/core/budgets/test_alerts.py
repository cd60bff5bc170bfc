"""Alerts at 50, 80 and 100 %: once each, with the day on which the money runs out."""

import asyncio
import dataclasses
from datetime import datetime

import pytest
from structlog.testing import capture_logs

from core.budgets.alerts import level_of, runs_out_at, send_alerts, send_weekly_reports
from core.domain.errors import DeliveryRefused, NotAllowed
from core.domain.limits import AlertPlace, Limit, LimitStatus, Measure, Rule, Scope, ScopeKind, Window, span
from core.presentation import Notice
from core.storage.state import SqlAppState
from tests.core.budgets.kit import DAY_S, MODERATOR, Make, spend
from tests.core.storage.ledger_kit import (
    NOON,
    USD,
    UTC,
    HandClock,
    day_usd,
    member,
)

BUDGETS = (day_usd(ScopeKind.WORKSPACE, 10), day_usd(ScopeKind.EVERYTHING, 20))
OPERATOR = dataclasses.replace(MODERATOR, is_operator=True)


class Channel:
    """A channel for alerts that refuses the first `broken` of them."""

    def __init__(self, broken: int = 0, error: Exception | None = None) -> None:
        self.error = error or ConnectionError("the channel is gone")
        self.got: list[tuple[str, str]] = []
        self.notices: list[Notice] = []
        self.broken = broken

    async def __call__(self, place: AlertPlace, notice: Notice) -> None:
        if self.broken:
            self.broken -= 1
            raise self.error
        self.got.append((place.channel_id, notice.text))
        self.notices.append(notice)


async def test_each_level_is_told_once_in_its_window_and_again_in_the_next(
    make: Make, clock: HandClock, state: SqlAppState
) -> None:
    budget, channel = make(*BUDGETS), Channel()
    await budget.limits.set_alert_channel(MODERATOR, "money")
    told = []
    for number, usd in enumerate((4.9, 0.2, 0.1, 3, 0.2, 1.6)):
        await spend(budget, f"j{number}", usd)
        for _ in range(2):
            await send_alerts(budget, state, channel)
        told.append(len(channel.got))
    assert told == [0, 1, 1, 2, 2, 3]
    assert [text.split(":")[0] for _, text in channel.got] == [
        "50% of the budget of this server is used",
        "80% of the budget of this server is used",
        "The budget of this server is used up",
    ]
    assert channel.notices[-1].opens_at == NOON + DAY_S / 2
    clock.at += DAY_S
    await spend(budget, "next", 5)
    await send_alerts(budget, state, channel)
    assert len(channel.got) == 4


async def test_a_leap_tells_only_the_highest_level(make: Make, state: SqlAppState) -> None:
    budget, channel = make(*BUDGETS), Channel()
    await budget.limits.set_alert_channel(MODERATOR, "money")
    await spend(budget, "a", 8.5)
    await send_alerts(budget, state, channel)
    await send_alerts(budget, state, channel)
    assert [text[:3] for _, text in channel.got] == ["80%"]


async def test_two_processes_tell_it_once(make: Make, state: SqlAppState) -> None:
    one, other, channel = make(*BUDGETS), make(*BUDGETS), Channel()
    await one.limits.set_alert_channel(MODERATOR, "money")
    await spend(one, "a", 6)
    await asyncio.gather(send_alerts(one, state, channel), send_alerts(other, state, channel))
    assert len(channel.got) == 1


@pytest.mark.parametrize(
    ("error", "level"), [(ValueError("a bug"), "error"), (DeliveryRefused(reason="gone"), "warning")]
)
async def test_an_alert_that_could_not_be_sent_is_sent_later(
    make: Make, clock: HandClock, state: SqlAppState, error: Exception, level: str
) -> None:
    budget, channel = make(*BUDGETS), Channel(broken=1, error=error)
    await budget.limits.set_alert_channel(MODERATOR, "money")
    await spend(budget, "a", 6)
    with capture_logs() as logs:
        assert await send_alerts(budget, state, channel) == 0
    [told] = [entry for entry in logs if entry["event"] == "not_told"]
    assert (told["log_level"], "exc_info" in told) == (level, level == "error"), "a deleted channel is no bug"
    clock.at += 301
    assert await send_alerts(budget, state, channel) == 1
    assert len(channel.got) == 1


async def test_the_weeks_report_is_sent_by_another_process_where_one_died_at_it(
    make: Make, clock: HandClock, state: SqlAppState, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def dies(*_: object) -> None:
        raise asyncio.CancelledError

    budget, channel = make(), Channel()
    await budget.limits.set_alert_channel(MODERATOR, "money")
    await spend(budget, "a", 6)
    clock.at = datetime(2026, 11, 30, 9, tzinfo=UTC).timestamp()
    with pytest.raises(asyncio.CancelledError):
        await send_weekly_reports(budget, state, dies)
    assert await send_weekly_reports(budget, state, channel) == 0
    clock.at += 3600
    assert await send_weekly_reports(budget, state, channel) == 1
    monkeypatch.setattr(budget, "usage", None)  # what was sent is not read again, hour by hour
    assert await send_weekly_reports(budget, state, channel) == 0


async def test_the_whole_bots_budget_is_told_only_where_the_operator_asked_for_it(
    make: Make, state: SqlAppState
) -> None:
    budget, channel = make(*BUDGETS), Channel()
    await budget.limits.set_alert_channel(MODERATOR, "money")
    await budget.limits.set_alert_channel(dataclasses.replace(OPERATOR, workspace_id="w2"), "office")
    await spend(budget, "a", 6, member(workspace="w3"))
    await spend(budget, "b", 5, member(workspace="w4"))
    await send_alerts(budget, state, channel)
    assert [(where, text.split(":")[0]) for where, text in channel.got] == [
        ("office", "50% of the budget of the whole bot is used")
    ]
    with pytest.raises(NotAllowed):
        await budget.limits.set_alert_channel(member(), "money")


async def test_no_channel_no_alert(make: Make, state: SqlAppState) -> None:
    budget, channel = make(*BUDGETS), Channel()
    await budget.limits.set_alert_channel(MODERATOR, "money")
    await budget.limits.set_alert_channel(MODERATOR, None)
    await spend(budget, "a", 9)
    assert await send_alerts(budget, state, channel) == 0


async def test_an_alert_for_the_budget_of_a_model_says_that_only_that_model_is_refused(
    make: Make, state: SqlAppState
) -> None:
    budget, channel = make(day_usd(ScopeKind.WORKSPACE, 2, model="flux")), Channel()
    await budget.limits.set_alert_channel(MODERATOR, "money")
    await spend(budget, "a", 2)
    await send_alerts(budget, state, channel)
    assert channel.notices[0].advice == "New upscales with flux are refused until it resets or is raised."


async def test_a_sponsors_budget_is_told_as_well(make: Make, state: SqlAppState) -> None:
    budget, channel = make(day_usd(ScopeKind.EVERYTHING, 100)), Channel()
    await budget.limits.set_alert_channel(MODERATOR, "money")
    await budget.limits.sponsor(MODERATOR, "c1", 10 * USD, 3)
    await spend(budget, "a", 8)
    await send_alerts(budget, state, channel)
    await spend(budget, "b", 2)
    await send_alerts(budget, state, channel)
    assert [text.partition(":")[0] for _, text in channel.got] == [
        "80% of the budget of channel c1 is used",
        "The budget of channel c1 is used up",
    ]
    assert channel.got[-1][1].endswith("Images there count against members' own limits again.")


async def test_the_forecast_names_the_hour_of_today_or_the_day_of_the_week(make: Make, state: SqlAppState) -> None:
    month = Rule(ScopeKind.WORKSPACE, Measure.USD, Window.MONTH, 10 * USD, "file")
    budget, channel = make(day_usd(ScopeKind.WORKSPACE, 12), month), Channel()
    await budget.limits.set_alert_channel(MODERATOR, "money")
    await spend(budget, "a", 8.2)
    await send_alerts(budget, state, channel)
    texts = sorted(text for _, text in channel.got)
    assert texts[0].startswith("50%")
    assert "runs out today at about 5:33\u202fPM UTC." in texts[0]
    assert "At this pace it runs out on Saturday." in texts[1]


def status(used: float, amount: float, window: Window = Window.DAY) -> LimitStatus:
    limit = Limit(Scope(ScopeKind.WORKSPACE), Measure.USD, window, round(amount * USD))
    return LimitStatus(limit, round(used * USD), 0, None)


def test_a_budget_is_used_up_when_not_even_the_smallest_job_fits() -> None:
    assert [level_of(status(used, 10), USD // 10) for used in (4.9, 5, 8, 9.9, 9.95)] == [None, 50, 80, 80, 100]


def test_a_pace_that_lasts_until_the_window_ends_has_no_day_of_running_out() -> None:
    day = span(Window.DAY, NOON, UTC)
    assert runs_out_at(status(5, 10), day, NOON) is None
    assert runs_out_at(status(8, 10), day, NOON) == datetime(2026, 11, 23, 15, tzinfo=UTC).timestamp()
    assert runs_out_at(status(8, 10, Window.TOTAL), span(Window.TOTAL, NOON, UTC), NOON) is None
