"""A full collection stops everything for as long as it takes, so that in a flood each one looks only at what is new."""

import gc

import pytest

from bot.observability.garbage import spare_the_loop

STAYS = 1_000_000
"""Objects, of those that were put aside."""
ALONE, PUT_ASIDE, EVERYTHING = ["collect"], ["collect", "freeze"], ["unfreeze", "collect", "freeze"]


@pytest.mark.parametrize(
    ("looks", "stays", "done"),
    [
        ([(0, 11)], STAYS, []),
        ([(0, 12)] * 50, STAYS, ALONE * 50),
        ([(1000, 0)], STAYS, []),
        ([(1000, 5)] * 4 + [(0, 12)], STAYS, PUT_ASIDE * 4 + EVERYTHING),
        ([(1000, 5)] * 3 + [(0, 12)], STAYS, PUT_ASIDE * 3 + ALONE),
        ([(1000, 5)] * 29, STAYS, PUT_ASIDE * 28 + EVERYTHING),
        ([(1000, 140), (0, 12), (0, 12)], STAYS, PUT_ASIDE + EVERYTHING + ALONE),
        ([(1000, 5)] * 29 + [(0, 12)], 90_000, PUT_ASIDE * 29 + ALONE),
        ([(1000, 1)] * 40, STAYS, PUT_ASIDE * 40),
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
        task = spare_the_loop(lambda: jobs)
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
