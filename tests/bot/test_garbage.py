"""A full collection stops everything for as long as it takes, so each one looks only at what is new."""

import gc

import pytest

from bot.observability.garbage import spare_the_loop


@pytest.mark.parametrize(
    ("jobs", "piled_up", "aside", "after_s", "done"),
    [
        (0, 4, 0, 0, []),
        (0, 5, 0, 0, ["collect", "freeze"]),
        (1000, 5, 0, 0, ["collect", "freeze"]),
        (0, 5, 100_001, 0, ["unfreeze", "collect", "freeze"]),
        (1000, 5, 100_001, 0, ["collect", "freeze"]),
        (1000, 5, 100_001, 600, ["unfreeze", "collect", "freeze"]),
    ],
)
async def test_what_outlived_a_collection_is_looked_at_again_when_little_runs_or_after_ten_minutes(
    monkeypatch: pytest.MonkeyPatch, jobs: int, piled_up: int, aside: int, after_s: float, done: list[str]
) -> None:
    before, now_s = gc.get_threshold(), 0.0
    try:
        task = spare_the_loop(lambda: jobs, lambda: now_s)
        at_start = gc.get_freeze_count()
        assert at_start > 0
        now_s, calls = after_s, list[str]()
        with monkeypatch.context() as patch:
            patch.setattr(gc, "get_count", lambda: (0, 0, piled_up))
            patch.setattr(gc, "get_freeze_count", lambda: at_start + aside)
            for name in ("collect", "freeze", "unfreeze"):
                patch.setattr(gc, name, lambda name=name: calls.append(name))
            for _ in range(19):
                await task.work()
            assert calls == (["collect", "freeze"] * 19 if done else []), "seldom looked whether much is aside"
            calls.clear()
            await task.work()
    finally:
        gc.set_threshold(*before)
        gc.unfreeze()
    assert calls == done
