"""One of several processes that share a ledger: `python -m tests.core.storage.ledger_crowd URL FIRST LAST`.

Job n belongs to member n % 50. Every job that is granted is settled (up or down), released, or waits for its turn and
is then settled. Prints the counts of the answers as one JSON object.
"""

import asyncio
import json
import sys
import time
from decimal import Decimal

from core.domain.errors import LimitReached, TooManyWaiting
from core.domain.job import Requester
from core.domain.limits import Measure, Rule, ScopeKind, Window
from core.ports import Granted
from core.storage.database import Database
from core.storage.ledger import LedgerDatabase, SqlLedger
from tests.core.storage.ledger_kit import USD, HandClock, job, make_ledger, running

MEMBERS = 50
USER_DAY, CHANNEL_DAY, WORKSPACE_WEEK, ALL_DAY = 12 * USD, 150 * USD, 260 * USD, 400 * USD
USER_JOBS, WORKSPACE_MP, WORKSPACE_RUNNING = 14, 2_400, 60
RULES = (
    Rule(ScopeKind.USER, Measure.USD, Window.DAY, USER_DAY, "file"),
    Rule(ScopeKind.USER, Measure.JOBS, Window.HOUR, USER_JOBS, "file"),
    Rule(ScopeKind.CHANNEL, Measure.USD, Window.DAY, CHANNEL_DAY, "file"),
    Rule(ScopeKind.WORKSPACE, Measure.USD, Window.WEEK, WORKSPACE_WEEK, "file"),
    Rule(ScopeKind.WORKSPACE, Measure.MEGAPIXELS, Window.MONTH, WORKSPACE_MP, "file"),
    Rule(ScopeKind.EVERYTHING, Measure.USD, Window.DAY, ALL_DAY, "file"),
    running(ScopeKind.USER, 3),
    running(ScopeKind.WORKSPACE, WORKSPACE_RUNNING),
)


def who(number: int) -> Requester:
    """Fifty members in two workspaces with two channels each."""
    user = number % MEMBERS
    return Requester(
        platform="discord",
        user_id=f"u{user}",
        user_name=f"Member {user}",
        workspace_id=f"w{user % 2}",
        channel_id=f"c{user % 4}",
    )


def dollars(number: int) -> float:
    """The estimate of job n: $0.40 to $1.60."""
    return (4, 9, 16)[number % 3] / 10


async def one(ledger: SqlLedger, number: int, told: dict[str, int]) -> None:
    key, amount = f"job{number}", round(dollars(number) * USD)
    try:
        answer = await ledger.hold(job(key, dollars(number), who(number)))
    except LimitReached:
        told["refused"] += 1
        return
    except TooManyWaiting:
        told["too_many"] += 1
        return
    for _ in range(2_000):
        if isinstance(answer, Granted):
            break
        await asyncio.sleep(0.01)
        answer = await ledger.admit(key)
    else:
        raise AssertionError("a waiting job never got its turn")
    told["granted"] += 1
    if number % 5 == 0:
        await ledger.release(key)
        return
    charge = amount - USD // 10 if number % 2 else amount
    await asyncio.gather(
        *(ledger.settle(key, amount_nanousd=charge, megapixels=Decimal(charge) / (USD // 10)) for _ in range(2))
    )
    told["charged"] += charge


async def crowd(url: str, first: int, last: int) -> dict[str, float]:
    """Run all jobs of this process concurrently."""
    database = Database.connect(url)
    ledger = make_ledger(LedgerDatabase(database, attempt_s=60), HandClock(), *RULES)
    told = {"granted": 0, "refused": 0, "too_many": 0, "charged": 0}
    started = time.perf_counter()
    try:
        await asyncio.gather(*(one(ledger, number, told) for number in range(first, last)))
    finally:
        await ledger.close()
        await database.close()
    return told | {"seconds": time.perf_counter() - started}


if __name__ == "__main__":
    print(json.dumps(asyncio.run(crowd(sys.argv[1], int(sys.argv[2]), int(sys.argv[3])))))
