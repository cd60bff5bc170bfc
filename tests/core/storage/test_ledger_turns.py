"""The order of waiting jobs if the number of running ones is limited, and which process may settle a job."""

from decimal import Decimal

import pytest
from sqlalchemy import insert

from core.domain.limits import ScopeKind
from core.ports import Granted, MustWait, NotOwner, owning
from core.storage.database import Database
from core.storage.tables import jobs
from tests.core.storage.ledger_kit import USD, HandClock, job, make_ledger, member, running


async def test_of_all_processes_together_only_so_many_run_and_who_has_none_running_goes_first(
    database: Database,
) -> None:
    clock, one = HandClock(), running(ScopeKind.EVERYTHING, 2)
    here, there = make_ledger(database, clock, one), make_ledger(database, clock, one)
    for key in ("a", "b"):
        assert isinstance(await here.hold(job(key)), Granted)
    assert await there.hold(job("c")) == MustWait(0)
    assert await here.hold(job("eve", who=member("eve"))) == MustWait(1)
    await here.release("a")
    assert await there.admit("c") == MustWait(1), "Ann still has one running"
    assert isinstance(await there.admit("eve"), Granted)


async def test_small_jobs_go_before_large_ones_until_those_have_waited_long(database: Database) -> None:
    clock = HandClock()
    ledger = make_ledger(database, clock, running(ScopeKind.EVERYTHING, 1))
    await ledger.hold(job("runs", who=member("bob")))
    await ledger.hold(job("large", usd=9, who=member("ann")))
    await ledger.hold(job("small", who=member("eve")))
    await ledger.release("runs")
    assert isinstance(await ledger.admit("large"), MustWait)
    clock.at += 301
    assert isinstance(await ledger.admit("large"), Granted)


async def test_a_process_that_lost_its_job_settles_nothing(database: Database) -> None:
    ledger = make_ledger(database, HandClock())
    row = {"id": "a", "key": "a", "state": "running", "platform": "", "workspace_id": "", "channel_id": "",
           "user_id": "", "created_at": 0.0, "updated_at": 0.0, "data": "", "secret": "", "owner": "new"}  # fmt: skip
    async with database.write() as connection:
        await connection.execute(insert(jobs).values(**row))
    await ledger.hold(job("a"))
    with owning("a", "old"):
        with pytest.raises(NotOwner):
            await ledger.settle("a", amount_nanousd=USD, megapixels=Decimal(1))
        with pytest.raises(NotOwner):
            await ledger.release("a")
    with owning("a", "new"):
        await ledger.settle("a", amount_nanousd=USD, megapixels=Decimal(1))
    assert await ledger.correct("a", amount_nanousd=USD // 2, note="settled once") == -USD // 2
