"""A full collection blocks the event loop, so under load each one examines only new objects."""

import asyncio
import gc

import pytest

from bot.observability.garbage import garbage_task

STAYS = 1_000_000
"""Objects, of those that were put aside."""
UNSEEN, ALONE, PUT_ASIDE, EVERYTHING = ["freeze"], ["collect"], ["collect", "freeze"], ["unfreeze", "collect", "freeze"]


@pytest.mark.parametrize(
    ("looks", "stays", "done"),
    [
        ([(0, 11)], STAYS, []),
        ([(0, 12)] * 50, STAYS, ALONE * 50),
        ([(1000, 0)], STAYS, []),
        ([(1000, 5)] * 4 + [(0, 12)], STAYS, UNSEEN + PUT_ASIDE * 3 + EVERYTHING),
        ([(1000, 5)] * 3 + [(0, 12)], STAYS, UNSEEN + PUT_ASIDE * 2 + ALONE),
        ([(1000, 5)] * 29, STAYS, UNSEEN + PUT_ASIDE * 27 + EVERYTHING),
        ([(1000, 140), (0, 12), (0, 12)], STAYS, PUT_ASIDE + EVERYTHING + ALONE),
        ([(1000, 5)] * 29 + [(0, 12)], 90_000, UNSEEN + PUT_ASIDE * 28 + ALONE),
        ([(1000, 1)] * 40, STAYS, UNSEEN + PUT_ASIDE * 39),
    ],
    ids=[
        "calm",
        "often",
        "little",
        "after a flood",
        "after a small one",
        "a long flood",
        "once",
        "all freed",
        "little by little",
    ],
)
async def test_in_a_flood_only_what_is_new_is_looked_through_and_everything_where_much_of_it_stays(
    monkeypatch: pytest.MonkeyPatch, looks: list[tuple[int, int]], stays: int, done: list[str]
) -> None:
    before, jobs, calls = gc.get_threshold(), 0, list[str]()
    try:
        task = garbage_task(lambda: jobs)
        assert gc.get_freeze_count() > 0
        with monkeypatch.context() as patch:
            count = gc.get_freeze_count() + stays
            patch.setattr(gc, "get_freeze_count", lambda: count)
            for name in ("collect", "freeze", "unfreeze"):
                patch.setattr(gc, name, lambda name=name: calls.append(name))
            for here, piled_up in looks:
                jobs = here
                patch.setattr(gc, "get_count", lambda piled_up=piled_up: (0, 0, piled_up))
                await task.work()
    finally:
        gc.set_threshold(*before)
        gc.unfreeze()
    assert calls == done


async def test_many_requests_that_are_being_taken_are_a_flood_and_what_stays_open_is_none(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    before, calls, over = gc.get_threshold(), list[str](), asyncio.Event()
    try:
        task = garbage_task(lambda: 0)
        with monkeypatch.context() as patch:
            for name in ("collect", "freeze", "unfreeze"):
                patch.setattr(gc, name, lambda name=name: calls.append(name))
            patch.setattr(gc, "get_count", lambda: (0, 0, 11))
            await task.work()
            assert calls == []
            async with asyncio.TaskGroup() as group:
                for _ in range(100):
                    group.create_task(over.wait())
                for _ in range(3):
                    await task.work()
                assert calls == UNSEEN + PUT_ASIDE * 2
                for _ in range(100):
                    await task.work()
                calls.clear()
                await task.work()
                assert calls == []
                over.set()
            await task.work()
            assert calls == []
    finally:
        gc.set_threshold(*before)
        gc.unfreeze()
