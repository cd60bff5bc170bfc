"""Many followers of one job."""

import asyncio
from collections import Counter

from core.jobs.event_bus import EventBus
from tests.core.storage.ledger_kit import HandClock
from tests.fakes.loop_turns import counted_turns


async def test_of_many_that_follow_a_silent_job_a_few_look_at_its_row_in_each_turn_of_the_loop() -> None:
    bus, looked = EventBus(HandClock()), Counter[int]()

    async with counted_turns() as turn:

        async def follow() -> None:
            async for _ in bus.follow("a job", 0, idle_s=0.01):
                looked[turn()] += 1
                return

        await asyncio.gather(*(follow() for _ in range(100)))
    assert max(looked.values()) <= 8
