"""The short form of `make chaos`: the great disasters once each, and every promise that does not depend on time.

One process on SQLite: replicas on PostgreSQL are killed, frozen and cut off in `tests/bot/test_kill.py`.
"""

from __future__ import annotations

from pathlib import Path

from tests.chaos.run import chaos


async def test_nothing_is_paid_twice_posted_twice_or_lost_whatever_happens(tmp_path: Path) -> None:
    report = await chaos(f"sqlite:///{tmp_path / 'bot.db'}", tmp_path, replicas=1, seed=7, every_s=1.5)
    assert report.broken == [], report.table()
    assert report.violations == []
