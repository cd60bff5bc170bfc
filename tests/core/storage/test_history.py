"""After `HISTORY_DAYS` single jobs are deleted, and every total of money is unchanged."""

from datetime import date
from decimal import Decimal
from typing import Any

from sqlalchemy import func, select

from core.budgets.reports import UsageFilter
from core.domain.job import JobState
from core.domain.limits import ScopeKind
from core.storage import tables
from core.storage import tables_ledger as t
from core.storage.database import Database
from core.storage.encryption import Vault
from core.storage.jobs import SqlJobStore
from core.storage.ledger import SqlLedger, history
from core.storage.ledger.rule_store import SqlRules
from core.storage.ledger.usage import SqlUsage
from tests.core.storage.ledger_kit import NOON, USD, HandClock, day_usd, job, make_ledger, member
from tests.core.storage.test_jobs import job as job_row

DAY_S = 86_400
KEPT_S = 30 * DAY_S
ALWAYS = UsageFilter(date(2000, 1, 1), date(2100, 1, 1), play=False)


async def _days(ledger: SqlLedger, clock: HandClock, days: int) -> None:
    """Each day Ann pays twice, in two ways, Bob once, and one job is released."""
    for day in range(days):
        for number, (user, model) in enumerate((("ann", "flux"), ("ann", "flux"), ("ann", "other"), ("bob", "flux"))):
            key = f"{day}-{number}"
            request = job(key, 0.5, member(user))
            await ledger.hold(type(request)(key, request.requester, request.amount_nanousd, 5, model=model))
            await ledger.settle(key, amount_nanousd=USD // 4, megapixels=Decimal("2.5"))
        await ledger.hold(job(f"{day}-back"))
        await ledger.release(f"{day}-back")
        clock.at += DAY_S


async def _totals(ledger: SqlLedger) -> Any:
    usage = SqlUsage(ledger.database)
    days = sorted(
        (one.day, one.user_id, one.charged_nanousd, one.jobs, one.pixels) for one in await usage.member_days(ALWAYS)
    )
    return days, sorted((one.key, one.charged_nanousd, one.jobs) for one in await usage.by_model(ALWAYS))


async def _count(database: Database, table: Any) -> int:
    async with database.read() as connection:
        return await connection.scalar(select(func.count()).select_from(table)) or 0


async def test_old_jobs_become_a_sum_a_day_and_member_and_no_total_changes(database: Database) -> None:
    clock = HandClock()
    ledger = make_ledger(database, clock, day_usd(ScopeKind.USER, 100))
    await _days(ledger, clock, 40)
    clock.at -= 3600
    before = await _totals(ledger)
    assert await _count(database, t.entries) == 40 * 10
    for _ in range(3):  # again changes nothing
        await history.fold_history(ledger.database, clock, KEPT_S)
        assert await _totals(ledger) == before
    # Ten days are old: three sums each (Ann by two models, Bob), the released job is in Ann's.
    assert await _count(database, t.entries) == 30 * 10 + 10 * 3
    assert await _count(database, t.holds) == 30 * 5
    await _days(ledger, clock, 3)
    clock.at += 20 * DAY_S
    after = await _totals(ledger)
    await history.fold_history(ledger.database, clock, KEPT_S)
    assert await _totals(ledger) == after
    await ledger.close()


async def test_a_day_that_is_folded_in_pieces_is_one_sum_and_what_is_billed_late_is_added(database: Database) -> None:
    clock = HandClock()
    ledger = make_ledger(database, clock, day_usd(ScopeKind.USER, 100))
    for number in range(700):
        await ledger.hold(job(f"{number}", 0.1, enforce=number < 600))
    for number in range(700):
        await ledger.settle(f"{number}", amount_nanousd=USD // 10, megapixels=Decimal(1), real=number < 600)
    clock.at += KEPT_S + DAY_S
    before = await _totals(ledger)
    await history.fold_history(ledger.database, clock, KEPT_S)
    assert await _totals(ledger) == before
    assert await _count(database, t.entries) == 2  # real money and play money
    await ledger.settle("0", amount_nanousd=USD, megapixels=Decimal(1))
    assert await _totals(ledger) == before
    await ledger.close()


async def test_sponsors_of_long_ago_are_forgotten_and_those_of_now_stay(database: Database) -> None:
    clock = HandClock()
    ledger = make_ledger(database, clock)
    rules, mod = SqlRules(ledger), member("mod")
    for number in range(2):
        await rules.set_sponsor(mod, f"c{number}", USD, clock.at + DAY_S)
        clock.at += KEPT_S
    clock.at += 2 * DAY_S - KEPT_S
    await history.fold_history(ledger.database, clock, KEPT_S)
    assert await _count(database, t.sponsors) == 1
    await ledger.close()


async def test_jobs_whose_pictures_are_kept_or_that_have_not_ended_stay_however_old(database: Database) -> None:
    clock = HandClock()
    ledger = make_ledger(database, clock)
    store = SqlJobStore(database, Vault("a key"), clock)
    old = clock.at - KEPT_S - DAY_S
    for number, (state, finished_at, deleted) in enumerate(
        ((JobState.SUCCEEDED, old, True), (JobState.SUCCEEDED, old, False), (JobState.RUNNING, None, False),
         (JobState.FAILED, clock.at, True))
    ):  # fmt: skip
        await store.add(job_row(number, state=state, created_at=old, finished_at=finished_at, images_deleted=deleted))
    await store.add(job_row(9, state=JobState.SUCCEEDED, created_at=NOON, finished_at=NOON, images_deleted=True))
    await history.fold_history(ledger.database, clock, KEPT_S)
    assert [number for number in (0, 1, 2, 3, 9) if await store.get(job_row(number).id) is None] == [0]
    assert await _count(database, tables.jobs) == 4
    await ledger.close()
