"""The short form of `make chaos`: the great disasters once each, and every promise that does not depend on time.

One process on SQLite, which may not read Slack's channels, two on PostgreSQL; both at once, for they mostly wait.
"""

import asyncio
from pathlib import Path

import pytest

from tests.chaos.run import chaos


@pytest.mark.timeout(300)
async def test_nothing_is_paid_twice_posted_twice_or_lost_whatever_happens(postgres_url: str, tmp_path: Path) -> None:
    reports = await asyncio.gather(
        chaos(f"sqlite:///{tmp_path / 'bot.db'}", tmp_path / "one", replicas=1, seed=7, every_s=1.5, history=False),
        chaos(postgres_url, tmp_path / "two", replicas=2, seed=7, every_s=1.5),
    )
    for report in reports:
        assert [one for one in report.broken if not one.startswith("takeover above")] == [], report.table()
        assert report.violations == []
