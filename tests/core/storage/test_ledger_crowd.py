"""A thousand concurrent requests of fifty members in two processes, with overlapping limits."""

import asyncio
import json
import os
import sys
from collections import Counter
from pathlib import Path

import pytest
from sqlalchemy import func, select

from core.domain.limits import Measure
from core.storage import tables_ledger as t
from tests.core.storage.ledger_audit import audit
from tests.core.storage.ledger_crowd import MEMBERS, RULES, who
from tests.core.storage.ledger_kit import HandClock, make_ledger
from tests.pg import open_database

ROOT = Path(__file__).parents[3]
JOBS = 1000


async def _process(url: str, first: int, last: int) -> dict[str, float]:
    worker = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "tests.core.storage.ledger_crowd",
        url,
        str(first),
        str(last),
        cwd=ROOT,
        env=os.environ | {"PYTHONPATH": str(ROOT)},
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    try:
        out, errors = await asyncio.wait_for(worker.communicate(), 150)
    finally:
        if worker.returncode is None:
            worker.kill()
    assert worker.returncode == 0, errors.decode()[-3000:]
    told: dict[str, float] = json.loads(out.decode().splitlines()[-1])
    return told


@pytest.mark.timeout(170)
async def test_a_thousand_requests_at_once_in_two_processes_pass_no_limit(any_database_url: str) -> None:
    database = await open_database(any_database_url)
    told = Counter[str]()
    halves = (_process(any_database_url, 0, JOBS // 2), _process(any_database_url, JOBS // 2, JOBS))
    for one in await asyncio.gather(*halves):
        told.update({name: int(value) for name, value in one.items() if name != "seconds"})
    ledger = make_ledger(database, HandClock(), *RULES)
    try:
        assert told["granted"] + told["refused"] + told["too_many"] == JOBS
        assert told["refused"] > 0, "the limits were meant to bite"
        assert await audit(ledger.database) == []
        for user in range(MEMBERS):
            for status in await ledger.statuses(who(user)):
                assert status.held == 0, "no hold is left"
                assert status.used <= status.limit.amount
                assert status.limit.measure is not Measure.RUNNING or status.used == 0
        async with database.read() as connection:
            charged = await connection.scalar(select(func.sum(t.entries.c.used_nanousd)))
            states = Counter(await connection.scalars(select(t.holds.c.state)))
        assert charged == told["charged"], "what was granted was charged, once"
        assert set(states) <= {"settled", "released"}
        assert sum(states.values()) == told["granted"]
    finally:
        await ledger.close()
        await database.close()
