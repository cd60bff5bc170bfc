"""The rate limiter: keeps Slack's tiers, prefers final answers to progress, and shares turns among members."""

import asyncio
import contextlib
import random

import pytest

from adapters.slack.outbound.errors import SlackUnavailable
from adapters.slack.outbound.rate_limit import BURST_EVERY_S, POST, RateLimiter
from tests.emulators.slack.limits import RateLimits
from tests.fakes.clock import HandClock
from tests.fakes.core import FakeClock


async def test_posts_into_one_channel_go_about_one_a_second() -> None:
    clock = HandClock(1000.0)
    limiter = RateLimiter(clock)
    for _ in range(5):
        await limiter.wait_turn("T1", "chat.postMessage", channel="C1", progress=False, max_wait_s=60)
    assert clock.at - 1000 >= 3.0


async def test_a_final_answer_may_follow_a_progress_post_at_once() -> None:
    clock = HandClock(1000.0)
    limiter = RateLimiter(clock)
    clock.at += BURST_EVERY_S
    await limiter.wait_turn("T1", POST, channel="C1", progress=True, max_wait_s=60)
    await limiter.wait_turn("T1", POST, channel="C1", progress=False, max_wait_s=0)
    assert clock.at == 1000 + BURST_EVERY_S
    await limiter.wait_turn("T1", POST, channel="C1", progress=True, max_wait_s=60)
    assert clock.at >= 1002 + BURST_EVERY_S


async def test_a_final_answer_finds_room_where_progress_must_wait() -> None:
    clock = HandClock(1000.0)
    limiter = RateLimiter(clock)
    for _ in range(28):
        await limiter.wait_turn("T1", "chat.update", progress=True, max_wait_s=5)
    with pytest.raises(SlackUnavailable):
        await limiter.wait_turn("T1", "chat.update", progress=True, max_wait_s=5)
    before = clock.at
    await limiter.wait_turn("T1", "chat.update", progress=False, max_wait_s=0)
    assert clock.at == before


async def test_a_post_that_is_tried_again_goes_before_those_of_younger_jobs() -> None:
    """The core gives a progress call ten seconds; with 60 jobs in one channel a post needs several calls."""
    clock = FakeClock(1000.0, auto=False)
    limiter, order = RateLimiter(clock), []

    async def post(since: float, max_wait_s: float) -> None:
        await limiter.wait_turn("T1", POST, channel="C1", progress=True, max_wait_s=max_wait_s, since=since)
        order.append(since)

    await post(900, 0)
    waiting = [asyncio.create_task(post(since, 60)) for since in (970, 980, 990)]
    await clock.advance(0.5)
    waiting.append(asyncio.create_task(post(950, 7)))
    await clock.advance(10)
    await asyncio.gather(*waiting)
    assert order == [900, 950, 970, 980, 990]


async def test_workspaces_do_not_share_a_budget() -> None:
    clock = HandClock(1000.0)
    limiter = RateLimiter(clock)
    for team in ("T1", "T2"):
        for _ in range(18):
            await limiter.wait_turn(team, "chat.startStream", progress=False, max_wait_s=0)
    assert clock.at == 1000.0


@pytest.mark.parametrize(("method", "tier"), [("chat.update", 50), ("chat.startStream", 20), ("files.info", 100)])
async def test_no_window_of_a_minute_ever_holds_more_than_the_tier(method: str, tier: int) -> None:
    clock = HandClock(1000.0)
    limiter = RateLimiter(clock)
    times = []
    for _ in range(tier * 3):
        await limiter.wait_turn("T1", method, progress=False, max_wait_s=600)
        times.append(clock.at)
    assert max(sum(1 for x in times if at <= x < at + 60) for at in times) <= tier


@pytest.mark.parametrize("method", ["files.info", "chat.update", "users.info"])
async def test_ten_members_with_many_calls_leave_room_for_the_next_ones(method: str) -> None:
    clock = HandClock(1000.0)
    limiter = RateLimiter(clock)
    refused = 0
    for number in range(500):
        with contextlib.suppress(SlackUnavailable):
            await limiter.wait_turn("T1", method, member=f"U{number % 10}", progress=False, max_wait_s=0)
            continue
        refused += 1
    assert refused > 400
    for newcomer in ("A", "B", "C"):
        await limiter.wait_turn("T1", method, member=newcomer, progress=False, max_wait_s=0)
    assert clock.at == 1000


class Channel:
    """A channel of Slack, and members who post into it through the limiters of several processes."""

    def __init__(self, processes: int = 1, *, late_s: float = 0.4) -> None:
        self.clock = FakeClock(1000.0)
        self.limits = RateLimits()
        self.limiters = [RateLimiter(self.clock) for _ in range(processes)]
        self.chance = random.Random(7)
        self.late_s = late_s
        self.met = 0

    async def post(self, member: str, *, progress: bool = False, process: int = 0) -> float:
        """How long a post takes, with retries after 429; a request takes up to `late_s` to arrive."""
        asked, limiter = self.clock.now(), self.limiters[process]
        while True:
            await limiter.wait_turn("T1", POST, channel="C1", member=member, progress=progress, max_wait_s=900)
            await self.clock.sleep(self.chance.uniform(0, self.late_s))
            wait_s = self.limits.check(POST, "T1", self.clock.now(), "C1")
            if wait_s is None:
                return self.clock.now() - asked
            self.met += 1
            limiter.on_rate_limited("T1", POST, wait_s, "C1")

    async def flood(self, posts: int, members: int = 4, processes: int = 1) -> None:
        await asyncio.gather(*(self.post(f"U{n % members}", process=n % processes) for n in range(posts)))


@pytest.mark.parametrize("members", [1, 4, 40])
async def test_a_flood_of_posts_into_one_channel_meets_no_429(members: int) -> None:
    channel = Channel()
    await channel.flood(40, members)
    assert channel.met == 0
    assert channel.clock.now() - 1000 < 40 * 1.3, "and loses no time"


@pytest.mark.parametrize("progress", [True, False])
async def test_another_members_message_goes_out_within_seconds_beside_a_flood_and_meets_no_429(progress: bool) -> None:
    channel = Channel()
    flood = asyncio.create_task(channel.flood(40))
    await channel.clock.sleep(5)
    for newcomer in "ABC":
        took_s = await channel.post(newcomer, progress=progress)
        assert took_s < 6
        assert await channel.post(newcomer) < 6, "and what follows it"
    assert await asyncio.gather(*(channel.post(f"N{n}", progress=progress) for n in range(3))) < [6] * 3
    await flood
    assert channel.met == 0


async def test_a_process_that_begins_anew_right_after_a_burst_meets_no_429() -> None:
    channel = Channel()
    for _ in range(10):
        await channel.clock.sleep(20)
        for _ in range(2):
            await asyncio.gather(*(channel.post("U") for _ in range(2)))
            channel.limiters = [RateLimiter(channel.clock)]  # killed, and started again
            await channel.clock.sleep(1.5)
    assert channel.met == 0


@pytest.mark.parametrize("processes", [2, 3])
async def test_processes_that_share_a_channel_learn_it_from_a_few_429s(processes: int) -> None:
    channel = Channel(processes)
    await channel.flood(80, 8, processes)
    assert channel.met <= 3 * processes
    assert channel.clock.now() - 1000 < 80 * 2


async def test_a_429_for_one_channel_stops_no_other_one_but_those_of_several_stop_them_all() -> None:
    clock = HandClock(1000.0)
    limiter = RateLimiter(clock)
    limiter.on_rate_limited("T1", POST, 30, "C1")
    with pytest.raises(SlackUnavailable):
        await limiter.wait_turn("T1", POST, channel="C1", member="A", progress=False, max_wait_s=20)
    await limiter.wait_turn("T1", POST, channel="C2", member="A", progress=False, max_wait_s=0)
    limiter.on_rate_limited("T1", POST, 30, "C2")
    with pytest.raises(SlackUnavailable):
        await limiter.wait_turn("T1", POST, channel="C3", member="A", progress=False, max_wait_s=20)
    await limiter.wait_turn("T2", POST, channel="C1", member="A", progress=False, max_wait_s=0)


async def test_who_waits_in_vain_or_no_longer_wants_to_takes_no_turn() -> None:
    channel = Channel()
    limiter, clock = channel.limiters[0], channel.clock
    waiting = [asyncio.create_task(channel.post("U")) for _ in range(5)]
    await asyncio.sleep(0)
    with pytest.raises(SlackUnavailable) as away:
        await limiter.wait_turn("T1", POST, channel="C1", member="U", progress=False, max_wait_s=3)
    assert 5 < (away.value.retry_after_s or 0) < 8
    for task in waiting[1:]:
        task.cancel()
    await waiting[0]
    await limiter.wait_turn("T1", POST, channel="C1", member="U", progress=False, max_wait_s=2)
    assert clock.now() < 1003


async def test_after_a_429_nobody_in_the_workspace_calls_before_its_time() -> None:
    clock = HandClock(1000.0)
    limiter = RateLimiter(clock)
    limiter.on_rate_limited("T1", "chat.update", 30)
    await limiter.wait_turn("T1", "chat.update", progress=False, max_wait_s=60)
    assert clock.at >= 1030


async def test_one_429_costs_its_own_time_and_only_a_second_one_within_a_minute_half_the_speed() -> None:
    clock = HandClock(1000.0)
    limiter = RateLimiter(clock)

    async def calls_at_once() -> int:
        """How many calls are granted at once."""
        for given in range(50):
            try:
                await limiter.wait_turn("T1", "chat.update", progress=False, max_wait_s=0.5)
            except SlackUnavailable:
                return given
        return 50

    limiter.on_rate_limited("T1", "chat.update", 1)
    clock.at += 1
    assert await calls_at_once() == 47
    clock.at += 58
    limiter.on_rate_limited("T1", "chat.update", 1)
    clock.at += 55
    assert await calls_at_once() == 23
    clock.at += 130
    assert await calls_at_once() == 47


async def test_what_was_not_used_for_a_minute_is_forgotten_and_what_waits_or_is_blocked_is_not() -> None:
    clock = FakeClock(1000.0, auto=False)
    limiter = RateLimiter(clock)
    for number in range(300):
        await limiter.wait_turn(f"T{number}", POST, channel=f"C{number}", progress=False, max_wait_s=0)
        await limiter.wait_turn("T", POST, channel=f"C{number % 100}", progress=True, max_wait_s=0)
        await clock.advance(1)
    limiter.on_rate_limited("T1", "chat.update", 200)
    limiter.on_rate_limited("T", POST, 200, "C2")
    limiter.on_rate_limited("T3", "chat.delete", 200)
    waiting = asyncio.create_task(limiter.wait_turn("T3", "chat.delete", progress=False, max_wait_s=500))
    await clock.advance(130)
    await limiter.wait_turn("T0", "users.info", progress=False, max_wait_s=0)
    kept = {(*key, name) for key, queue in limiter._queues.items() for name in queue.channels or [None]}
    assert kept == {("T1", "chat.update", None), ("T", POST, "C2"), ("T3", "chat.delete", ""), ("T0", "users.info", "")}
    with pytest.raises(SlackUnavailable):
        await limiter.wait_turn("T1", "chat.update", progress=False, max_wait_s=50)
    await clock.advance(100)
    await waiting
