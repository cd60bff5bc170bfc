"""Measurements of the ledger: decisions per second on a small one and on one with ten times the rows.

A decision is one `hold` against limits of the user, the workspace and the bot and jobs at once, by 50 members
asking concurrently; every job is then settled, which is not counted.
"""

import asyncio
import statistics
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from decimal import Decimal
from typing import Any
from zoneinfo import ZoneInfo

from benchmarks.kit import a_database
from core.domain.job import Requester
from core.domain.limits import Measure, Rule, ScopeKind, Window
from core.ports import HoldRequest, SystemClock
from core.storage.database import Database
from core.storage.ledger import LedgerSettings, SqlLedger
from core.storage.migrate import migrate

MEMBERS = 50
PRICE = 100_000_000
RULES = (
    *(
        Rule(kind, Measure.USD, Window.DAY, usd * 10**9, "default")
        for kind, usd in ((ScopeKind.USER, 10**5), (ScopeKind.WORKSPACE, 10**6), (ScopeKind.EVERYTHING, 10**7))
    ),
    Rule(ScopeKind.USER, Measure.RUNNING, Window.NOW, 10**6, "default"),
)


def _request(number: int, run: str) -> HoldRequest:
    who = Requester(
        platform="discord",
        user_id=str(100_000 + number % MEMBERS),
        user_name=f"member {number % MEMBERS}",
        workspace_id=str(number % 5),
        channel_id=str(number % 10),
        role_ids=("7", "8", "9"),
    )
    return HoldRequest(f"{run}{number}", who, 16 * PRICE, 16)


async def _rate(ledger: SqlLedger, jobs: int, run: str) -> float:
    """Holds per second of this many jobs; then all are settled."""
    slots = asyncio.Semaphore(MEMBERS)

    async def hold(number: int) -> None:
        async with slots:
            await ledger.hold(_request(number, run))

    async def settle(number: int) -> None:
        async with slots:
            await ledger.settle(f"{run}{number}", amount_nanousd=15 * PRICE, megapixels=Decimal("15.36"))

    started = time.perf_counter()
    await asyncio.gather(*(hold(number) for number in range(jobs)))
    seconds = time.perf_counter() - started
    await asyncio.gather(*(settle(number) for number in range(jobs)))
    return jobs / seconds


@asynccontextmanager
async def _ledger(kind: str, size: int) -> AsyncIterator[SqlLedger]:
    async with a_database(kind) as url:
        database = Database.connect(url)
        await migrate(database)
        ledger = SqlLedger(database, SystemClock(), LedgerSettings(RULES, ZoneInfo("Europe/Berlin"), user_waiting=None))
        try:
            await _rate(ledger, size, "before")
            yield ledger
        finally:
            await ledger.close()
            await database.close()


async def decisions(kind: str, jobs: int = 1_000, rounds: int = 3) -> dict[str, Any]:
    """Rates of both, measured in turns, so that the machine's mood hits both alike."""
    async with _ledger(kind, jobs) as small, _ledger(kind, 10 * jobs) as large:
        found = [
            (await _rate(small, jobs // 4, f"r{number}-"), await _rate(large, jobs // 4, f"r{number}-"))
            for number in range(rounds)
        ]
    return {name: statistics.median(one[at] for one in found) for at, name in enumerate(("small", "large"))}
