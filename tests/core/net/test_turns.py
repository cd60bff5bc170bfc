"""Few things start in one iteration of the event loop, by client in turn."""

import asyncio

from core.net.turns import Turns


async def test_a_crowd_delays_itself_and_not_others() -> None:
    turns, started = Turns(per_iteration=2), []
    for number in range(4):
        turns.add("crowd", lambda number=number: started.append(f"crowd {number}"))  # type: ignore[misc]
    for other in ("one", "two"):
        turns.add(other, lambda other=other: started.append(other))  # type: ignore[misc]
    assert started == ["crowd 0", "crowd 1"], "at once, as many as may start in one iteration"
    await asyncio.sleep(0)
    assert started[2:] == ["crowd 2", "one"]
    await asyncio.wait_for(turns.wait("three"), 10)
    assert started[4:6] == ["two", "crowd 3"]
