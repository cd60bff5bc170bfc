"""The budget of calls: Slack's tiers are kept, final answers go before progress, and nobody's flood delays others."""

import contextlib

import pytest

from adapters.slack.outbound.errors import SlackAway
from adapters.slack.outbound.rate_limit import Budget
from tests.fakes.clock import HandClock


async def test_posts_into_one_channel_go_about_one_a_second() -> None:
    clock = HandClock(1000.0)
    budget = Budget(clock)
    for _ in range(5):
        await budget.take("T1", "chat.postMessage", channel="C1", progress=False, max_wait_s=60)
    assert clock.at - 1000 >= 3.0


async def test_a_final_answer_may_follow_a_progress_post_at_once() -> None:
    clock = HandClock(1000.0)
    budget = Budget(clock)
    await budget.take("T1", "chat.postMessage", channel="C1", progress=True, max_wait_s=60)
    await budget.take("T1", "chat.postMessage", channel="C1", progress=False, max_wait_s=0)
    assert clock.at == 1000
    await budget.take("T1", "chat.postMessage", channel="C1", progress=True, max_wait_s=60)
    assert clock.at >= 1002


async def test_a_final_answer_finds_room_where_progress_must_wait() -> None:
    clock = HandClock(1000.0)
    budget = Budget(clock)
    for _ in range(28):
        await budget.take("T1", "chat.update", progress=True, max_wait_s=5)
    with pytest.raises(SlackAway):
        await budget.take("T1", "chat.update", progress=True, max_wait_s=5)
    before = clock.at
    await budget.take("T1", "chat.update", progress=False, max_wait_s=0)
    assert clock.at == before


async def test_workspaces_do_not_share_a_budget() -> None:
    clock = HandClock(1000.0)
    budget = Budget(clock)
    for team in ("T1", "T2"):
        for _ in range(18):
            await budget.take(team, "chat.startStream", progress=False, max_wait_s=0)
    assert clock.at == 1000.0


@pytest.mark.parametrize(("method", "tier"), [("chat.update", 50), ("chat.startStream", 20), ("files.info", 100)])
async def test_no_window_of_a_minute_ever_holds_more_than_the_tier(method: str, tier: int) -> None:
    clock = HandClock(1000.0)
    budget = Budget(clock)
    times = []
    for _ in range(tier * 3):
        await budget.take("T1", method, progress=False, max_wait_s=600)
        times.append(clock.at)
    assert max(sum(1 for x in times if at <= x < at + 60) for at in times) <= tier


@pytest.mark.parametrize("method", ["files.info", "chat.update", "users.info"])
async def test_ten_members_with_many_calls_leave_room_for_the_next_ones(method: str) -> None:
    clock = HandClock(1000.0)
    budget = Budget(clock)
    refused = 0
    for number in range(500):
        with contextlib.suppress(SlackAway):
            await budget.take("T1", method, member=f"U{number % 10}", progress=False, max_wait_s=0)
            continue
        refused += 1
    assert refused > 400
    for newcomer in ("A", "B", "C"):
        await budget.take("T1", method, member=newcomer, progress=False, max_wait_s=0)
    assert clock.at == 1000


class StandingClock(HandClock):
    """Sleeping takes no time, as for callers who all wait at once; how long each would have slept is in `slept`."""

    def __init__(self) -> None:
        super().__init__(1000.0)
        self.slept: list[float] = []

    async def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)


async def test_a_members_first_post_goes_before_the_further_ones_of_others() -> None:
    clock = StandingClock()
    budget = Budget(clock)
    for number in range(40):
        member = f"U{number % 4}"
        await budget.take("T1", "chat.postMessage", channel="C1", member=member, progress=False, max_wait_s=90)
    assert max(clock.slept) > 35
    clock.at += 3
    clock.slept.clear()
    for newcomer in ("A", "B", "C"):
        await budget.take("T1", "chat.postMessage", channel="C1", member=newcomer, progress=False, max_wait_s=5)
    assert max(clock.slept) <= 3


async def test_after_a_429_nobody_in_the_workspace_calls_before_its_time() -> None:
    clock = HandClock(1000.0)
    budget = Budget(clock)
    budget.limited("T1", "chat.update", 30)
    await budget.take("T1", "chat.update", progress=False, max_wait_s=60)
    assert clock.at >= 1030
