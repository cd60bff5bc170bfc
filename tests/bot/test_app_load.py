"""Two hundred jobs at once through the HTTP API of the real process: all end, nothing is left behind."""

import asyncio
import re
from pathlib import Path

import psutil

from tests.bot.process_kit import Bot, accepted, check_ledger, check_receipts, client_of
from tests.emulators.fal import FalEmulator

JOBS = 200
ROOM_BYTES = 60_000_000
"""What the process may have grown by: caches of code and pools of connections, not jobs."""


def rss_bytes(pid: int) -> int:
    return int(psutil.Process(pid).memory_info().rss)


async def test_200_jobs_at_once_all_end_without_an_error_and_give_the_memory_back(tmp_path: Path) -> None:
    async with (
        FalEmulator(slots=50, job_s=0.3) as fal,
        Bot(tmp_path / "data", {**fal.env(), "LOG_LEVEL": "info"}) as bot,
        client_of(bot) as client,
    ):
        await client.post(0)
        await client.finished([0])
        before = rss_bytes(bot.pid)
        numbers = list(range(1, JOBS + 1))
        await asyncio.gather(*(client.post(number) for number in numbers))
        jobs = await client.finished(numbers, within_s=120)
        check_receipts(jobs)
        after = rss_bytes(bot.pid)
        assert accepted(fal) == dict.fromkeys([0, *numbers], 1)
        assert fal.violations == []
        assert bot.errors() == []
        assert after - before < ROOM_BYTES, f"{before / 1e6:.0f} MB → {after / 1e6:.0f} MB"
        await check_ledger(f"sqlite:///{tmp_path / 'data' / 'bot.db'}", jobs=JOBS + 1)
        check_log(bot, fal)


def check_log(bot: Bot, fal: FalEmulator) -> None:
    """Check that no line contains a key, a link or a caption."""
    log = (bot.data_dir / "log").read_text()
    for secret in (*fal.api_keys, *fal.admin_keys, "/files/", "natural> light"):
        assert secret not in log
    assert not re.findall(r"https?://(?!127\.0\.0\.1:\d+ in a browser)\S+", log)
