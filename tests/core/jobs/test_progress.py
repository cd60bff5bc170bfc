"""Progress edits: throttled, only the newest, never in the way of the final edit; and many followers of one job."""

import asyncio
import dataclasses
import itertools
import weakref
from collections import Counter
from collections.abc import AsyncIterator, Mapping
from pathlib import Path
from typing import Any, cast

import pytest

from core.domain.errors import DeliveryRefused, DeliveryUnavailable
from core.domain.job import Job, JobState, Progress, ReplyAddress, Source
from core.domain.parameters.spec import Parameters
from core.jobs.event_bus import EventBus
from core.jobs.progress import ProgressLoop
from core.ports import NotOwner
from tests.core.jobs.pipeline_kit import ANN, world
from tests.core.storage.ledger_kit import HandClock
from tests.fakes.chat import FakeAdapter, FakeMessage
from tests.fakes.core import FakeClock, settle
from tests.fakes.loop_turns import counted_turns

INTERVAL_S = 2.0
JOB = Job(
    "0123456789ab", "fake:1", JobState.RUNNING, ANN, Source("link"), ReplyAddress("fake", {"message": "m"}),
    Parameters(), 0.0, 0.0,
)  # fmt: skip


class Notes:
    async def load(self) -> dict[str, Any]:
        return {}

    async def remove_later(self, message: Mapping[str, Any]) -> None:
        """Nothing is left here."""

    async def save(self, **values: Any) -> None:
        """Forgotten."""


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock(auto=False)


@pytest.fixture
def adapter(clock: FakeClock) -> FakeAdapter:
    return FakeAdapter(clock)


@dataclasses.dataclass
class Shown:
    """A job's progress loop and its message."""

    loop: ProgressLoop
    clock: FakeClock
    adapter: FakeAdapter

    def __call__(self, percent: float) -> None:
        progress = Progress("upscaling", percent=percent)
        self.loop.show(dataclasses.replace(JOB, progress=progress), progress)

    @property
    def message(self) -> FakeMessage:
        return self.adapter.messages["m"]


@pytest.fixture
async def show(clock: FakeClock, adapter: FakeAdapter) -> AsyncIterator[Shown]:
    loop = ProgressLoop(adapter.reply(JOB.reply, cast(Any, Notes())), clock, min_interval_s=INTERVAL_S)
    yield Shown(loop, clock, adapter)
    await loop.stop()


async def test_the_first_edit_comes_at_once_and_the_next_not_before_the_interval(show: Shown) -> None:
    for percent in range(10):
        show(percent)
        await settle()
    assert [p.percent for p in show.message.progress] == [0]
    await show.clock.advance(INTERVAL_S - 0.1)
    assert len(show.message.progress) == 1
    await show.clock.advance(0.1)
    assert [p.percent for p in show.message.progress] == [0, 9]


async def test_over_a_long_job_no_two_edits_are_closer_than_the_interval(show: Shown) -> None:
    for percent in range(300):
        show(percent / 3)
        await show.clock.advance(0.1)
    times = [state.at for state in show.message.shown]
    assert 14 <= len(times) <= 16
    assert min(later - earlier for earlier, later in itertools.pairwise(times)) >= INTERVAL_S - 1e-6
    await show.clock.advance(INTERVAL_S)
    assert show.message.progress[-1].percent == pytest.approx(299 / 3)


async def test_a_quiet_job_makes_no_edits_and_no_timers(show: Shown) -> None:
    show(1)
    await show.clock.advance(3600)
    assert len(show.message.shown) == 1
    assert show.clock.sleepers == 0


async def test_nothing_is_shown_after_stop_and_stop_does_not_wait_for_the_interval(show: Shown) -> None:
    show(1)
    await settle()
    show(2)
    async with asyncio.timeout(30):
        await show.loop.stop()
    show(3)
    await show.clock.advance(60)
    assert [p.percent for p in show.message.progress] == [1]


async def test_an_edit_that_hangs_holds_the_end_back_for_a_moment_only(show: Shown) -> None:
    show.adapter.gates["progress"] = asyncio.Event()
    show(1)
    await settle()
    async with asyncio.timeout(30):
        assert await show.loop.stop(), "it may still come"
    show.adapter.gates["progress"].set()
    await settle()
    assert show.message.shown == []


async def test_an_edit_that_is_nearly_done_may_end_before_the_final_answer(show: Shown) -> None:
    gate = show.adapter.gates["progress"] = asyncio.Event()
    show(1)
    await settle()
    asyncio.get_running_loop().call_later(0.01, gate.set)
    assert not await show.loop.stop()
    assert len(show.message.shown) == 1


@pytest.mark.parametrize("frozen_s", [0.5, 30.0])
async def test_an_edit_of_a_process_that_was_stopped_in_it_is_reported_when_the_job_is_another_s(
    clock: FakeClock, adapter: FakeAdapter, frozen_s: float
) -> None:
    owned, late = asyncio.Event(), list[Job]()

    async def check_owner() -> None:
        if owned.is_set():
            raise NotOwner

    async def report(job: Job) -> None:
        late.append(job)

    reply = adapter.reply(JOB.reply, cast(Any, Notes()))
    loop = ProgressLoop(reply, clock, min_interval_s=INTERVAL_S, check_owner=check_owner, late=report)
    gate = adapter.gates["progress"] = asyncio.Event()
    progress = Progress("upscaling", percent=1)
    loop.show(dataclasses.replace(JOB, progress=progress), progress)
    await settle()
    await clock.advance(frozen_s)
    owned.set()
    gate.set()
    await settle()
    assert [job.id for job in late] == ([JOB.id] if frozen_s > INTERVAL_S else [])
    await loop.stop()


async def test_an_edit_that_fails_is_dropped_and_the_next_one_tried(show: Shown) -> None:
    show.adapter.faults["progress"].append(DeliveryUnavailable())
    show(1)
    await show.clock.advance(INTERVAL_S)
    show(2)
    await show.clock.advance(INTERVAL_S)
    assert [p.percent for p in show.message.progress] == [2]


async def test_a_message_that_is_gone_is_not_edited_again(show: Shown) -> None:
    show.adapter.faults["progress"].append(DeliveryRefused(reason="gone"))
    for percent in range(5):
        show(percent)
        await show.clock.advance(INTERVAL_S)
    assert show.adapter.calls["progress"] == 1


async def test_a_process_that_ends_leaves_no_edit_behind_that_would_find_the_database_closed(tmp_path: Path) -> None:
    async with world(tmp_path) as w:
        w.ctx.running.show(await w.ask(), Progress("upscaling"))
        await w.pipeline.hand_over()
        assert not [task for task in asyncio.all_tasks() if task.get_name().startswith("progress-")]


def test_the_events_of_a_job_are_forgotten_a_minute_after_its_end(clock: FakeClock) -> None:
    bus = EventBus(clock)
    bus.publish(JOB)
    bus.publish(dataclasses.replace(JOB, state=JobState.SUCCEEDED))
    other = dataclasses.replace(JOB, id="other")
    for seconds, kept in ((59, 2), (2, 0)):
        clock.at += seconds
        bus.publish(other)
        assert len(bus.recent(JOB.id, 0)) == kept
    assert len(bus.recent(other.id, 0)) == 2


def test_a_flood_of_jobs_leaves_a_bounded_number_of_events(clock: FakeClock) -> None:
    bus = EventBus(clock)
    for number in range(1_000):
        job = dataclasses.replace(JOB, id=str(number))
        for _ in range(100):
            bus.publish(job)
        bus.publish(dataclasses.replace(job, state=JobState.FAILED))
    kept = [len(bus.recent(str(number), 0)) for number in range(1_000)]
    assert (sum(map(bool, kept)), max(kept), kept[-1]) == (200, 16, 16)


class _Brief:
    """A reply whose message becomes final while its job runs; `until` may be renewed."""

    def __init__(self, reply: Any, until: float) -> None:
        self.progress, self.until = reply.progress, until

    async def last_edit_at(self, job: Job) -> float:
        return self.until


async def test_a_message_that_becomes_final_is_edited_once_more_in_time(clock: FakeClock, adapter: FakeAdapter) -> None:
    began = clock.now()
    reply = _Brief(adapter.reply(JOB.reply, cast(Any, Notes())), began + 50)
    loop = ProgressLoop(cast(Any, reply), clock, min_interval_s=INTERVAL_S)
    loop.show(JOB, Progress("waiting", position=3))
    await clock.advance(49)
    shown = adapter.messages["m"].shown
    assert len(shown) == 1
    reply.until += 30  # by a click on the message
    await clock.advance(1)
    assert len(shown) == 2
    await clock.advance(29)
    assert len(shown) == 2
    await clock.advance(3600)
    assert [state.at - began for state in shown] == [0, 50, 80]
    assert clock.sleepers == 0
    loop.show(JOB, Progress("waiting", position=2))
    reply.until += 7200
    await clock.advance(INTERVAL_S)
    await loop.stop()
    await clock.advance(9000)
    assert len(shown) == 4
    ended = weakref.ref(loop)
    del loop
    assert ended() is None  # no cycle keeps it


async def test_of_many_that_follow_a_silent_job_a_few_look_at_its_row_in_each_turn_of_the_loop() -> None:
    bus, looked = EventBus(HandClock()), Counter[int]()

    async with counted_turns() as turn:

        async def follow() -> None:
            async for _ in bus.follow("a job", 0, idle_s=0.01):
                looked[turn()] += 1
                return

        await asyncio.gather(*(follow() for _ in range(100)))
    assert max(looked.values()) <= 8
