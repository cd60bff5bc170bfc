"""A full collection stops everything for as long as it takes, so it waits until little runs."""

import gc

import pytest

from bot.observability.garbage import spare_the_loop


@pytest.mark.parametrize(
    ("jobs", "piled_up", "collected"),
    [(1000, 30, False), (0, 6, True), (0, 2, False), (50, 24, False), (50, 25, True), (1000, 60, True)],
)
async def test_everything_is_looked_through_when_little_runs_or_much_has_piled_up(
    monkeypatch: pytest.MonkeyPatch, jobs: int, piled_up: int, collected: bool
) -> None:
    before = gc.get_threshold()
    try:
        task = spare_the_loop(lambda: jobs)
        assert gc.get_freeze_count() > 0
        calls: list[bool] = []
        monkeypatch.setattr(gc, "get_count", lambda: (0, 0, piled_up))
        monkeypatch.setattr(gc, "collect", lambda: calls.append(True))
        await task.work()
    finally:
        gc.set_threshold(*before)
        gc.unfreeze()
    assert calls == [True] * collected
