"""Few things begin in one turn of the event loop, by client in turn."""

import asyncio

from core.net.turns import Turns


async def test_a_crowd_delays_itself_and_not_others() -> None:
    turns, begun = Turns(at_once=2), []
    for number in range(4):
        turns.add("crowd", lambda number=number: begun.append(f"crowd {number}"))  # type: ignore[misc]
    for other in ("one", "two"):
        turns.add(other, lambda other=other: begun.append(other))  # type: ignore[misc]
    assert begun == ["crowd 0", "crowd 1"], "at once, as many as may begin in one turn of the loop"
    await asyncio.sleep(0)
    assert begun[2:] == ["crowd 2", "one"]
    await asyncio.wait_for(turns.wait("three"), 10)
    assert begun[4:6] == ["two", "crowd 3"]
