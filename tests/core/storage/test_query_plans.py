"""No query that runs for each job, sweep or page scans a table that grows over the years.

Every statement of the calls below is explained by SQLite and by PostgreSQL (with expensive sequential scans, so that
one appears only if no index can be used).
"""

from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from datetime import date
from decimal import Decimal
from typing import Any

import pytest
from sqlalchemy import Connection, Engine, event, text

from core.budgets.reports import UsageFilter
from core.domain.job import JobState
from core.domain.limits import ScopeKind
from core.storage.database import Database
from core.storage.drivers import direct
from core.storage.encryption import Vault
from core.storage.jobs import SqlJobStore
from core.storage.ledger.history import fold_history, forget_member
from core.storage.ledger.rows import holds_of
from core.storage.ledger.rule_store import SqlRules
from core.storage.ledger.usage import SqlUsage
from core.storage.obligations import SqlObligations
from core.storage.state import SqlAppState
from tests.core.storage.ledger_kit import HandClock, day_usd, job, make_ledger, member, running
from tests.core.storage.test_jobs import ANN
from tests.core.storage.test_jobs import job as job_row
from tests.pg import open_database

GROWING = {"jobs", "ledger_entries", "ledger_holds", "ledger_balances", "app_state", "incidents", "obligations"}
OPEN_ONLY = {"ix_ledger_holds_open", "ix_ledger_holds_line", "ix_jobs_kept_finished_at"}
"""Indexes that hold only what is open or kept: one of them may be read whole."""

Statement = tuple[str, Any]


async def _jobs(database: Database) -> None:
    store, vault, clock = SqlJobStore(database, Vault("a key"), HandClock()), Vault("a key"), HandClock()
    one, _ = await store.add(job_row(1, state=JobState.QUEUED))
    await store.get(one.id)
    await store.update(one.id, fingerprint="ab")
    await store.change_delivery_state(one.id, await store.delivery_state(one.id))
    await store.same_requests("ab", one)
    await store.orphaned("token", updated_before=clock.now())
    await store.unconfirmed_before(clock.now())
    await store.cancel_requests()
    await store.open_jobs()
    await store.open_in(None, limit=20)
    await store.open_in(("fake", "w1"), limit=20)
    await store.overdue(working_since=clock.now(), delivering_since=clock.now())
    await store.finished_before(clock.now())
    await store.of_workspace("fake", "w1")
    await store.by_request_id("request-1")
    await store.by_request_ids(["request-1", "request-2"])
    async for _ in store.sent_requests(clock.now() - 86_400):
        pass
    await store.owners_of([one.id])
    for who in (ANN, None):
        await store.history(who, limit=20)
        await store.history(who, limit=20, before=clock.now(), before_id=one.id)
    await store.add_incident("ref", area="web", kind="ValueError", job_id=one.id)
    await store.incident("ref")
    await store.delete_expired(clock.now())
    await store.transition(one.id, (JobState.QUEUED,), state=JobState.FAILED)
    owed = SqlObligations(database, vault, clock)
    await owed.take_due(20)
    await owed.fulfil(f"{one.id}:announce")
    state = SqlAppState(database, vault, clock)
    await state.put("area", "key", 1)
    await state.get("area", "key")
    await state.keys("area")
    await state.claim("area", "turn", ttl_s=5)
    await state.delete("area", "key")


async def _money(database: Database) -> None:
    ledger = make_ledger(database, HandClock(), day_usd(ScopeKind.USER, 9), running(ScopeKind.EVERYTHING, 1))
    for key in ("a", "b"):
        await ledger.hold(job(key))
    await ledger.admit("b")
    await ledger.touch(["a", "b"])
    await ledger.settle("a", amount_nanousd=1, megapixels=Decimal(1))
    await ledger.correct("a", amount_nanousd=2, note="billed")
    await ledger.admit("b")
    await ledger.release("b")
    await ledger.holds(["a", "b"])
    await ledger.statuses(member())

    async def alive(key: str) -> bool:
        return False

    await ledger.sweep(alive)
    usage, (first, last) = SqlUsage(ledger.database), (date(2026, 1, 1), date(2026, 1, 31))
    for wanted in (
        UsageFilter(first, last, "discord", "w1", play=False),
        UsageFilter(first, last, "discord", "", user_id="ann", play=False),
        UsageFilter(first, last, play=False),
    ):
        await usage.member_days(wanted)
        await usage.by_model(wanted)
        await usage.held(wanted)
        await usage.charged_jobs(wanted)
    await usage.rows_of(member())
    await forget_member(ledger.database, member())
    await SqlRules(ledger).history("discord", "w1")
    await fold_history(ledger.database, HandClock(), -86_400)
    await fold_history(ledger.database, HandClock(), -86_400)
    await ledger.close()


@pytest.fixture
async def seen(database: Database, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[list[Statement]]:
    """Record the statements from now on, also those that asyncpg sends by itself."""
    statements: list[Statement] = []
    prepared = direct.prepared

    def note_direct(*call: Any) -> tuple[Any, ...] | None:
        if (made := prepared(*call)) is not None:
            statements.append((made[0], made[1:]))
        return made

    monkeypatch.setattr(direct, "prepared", note_direct)
    engines = [database.engine.sync_engine]
    if database._writer is not None:
        engines += [database._writer._reader, database._writer._writer]

    def note(_connection: Connection, _cursor: Any, statement: str, parameters: Any, _c: Any, many: bool) -> None:
        if statement.startswith(("SELECT", "UPDATE", "DELETE")):
            statements.append((statement, parameters[0] if many else parameters))

    def all_of_them(act: Callable[[Engine, str, Any], None]) -> None:
        for engine in engines:
            act(engine, "before_cursor_execute", note)

    all_of_them(event.listen)
    yield statements
    all_of_them(event.remove)


async def _plan(database: Database, statement: Statement) -> list[str]:
    """Return the parts of the plan that scan a whole table or a whole index."""
    async with database.write() as connection:
        if database.is_sqlite:
            found = await connection.exec_driver_sql(f"EXPLAIN QUERY PLAN {statement[0]}", statement[1])
            return [row.detail for row in found if _is_walk_on_sqlite(row.detail, statement[0])]
        await connection.execute(text("SET LOCAL enable_seqscan = off"))
        found = await connection.exec_driver_sql(f"EXPLAIN (FORMAT JSON) {statement[0]}", statement[1])
        return [_in_words(node) for node in _nodes(found.scalar_one()[0]["Plan"]) if _is_walk(node)]


def _is_walk_on_sqlite(detail: str, statement: str) -> bool:
    """ "SCAN jobs" reads all; scanning an index in the requested order, with a limit, ends with the page."""
    words = detail.split()
    if words[0] != "SCAN" or words[1] not in GROWING:
        return False
    page = "USING INDEX" in detail and "LIMIT" in statement and "WHERE" not in statement
    return not page and not OPEN_ONLY & set(words)


def _nodes(plan: dict[str, Any], limited: bool = False) -> Iterator[dict[str, Any]]:
    yield plan | {"limited": limited}
    for child in plan.get("Plans", ()):
        yield from _nodes(child, limited or plan["Node Type"] == "Limit")


def _is_walk(node: dict[str, Any]) -> bool:
    if node["Node Type"] == "Seq Scan":
        return node["Relation Name"] in GROWING
    if "Index Name" not in node or "Index Cond" in node or node["Index Name"] in OPEN_ONLY:
        return False
    growing = any(table in node["Index Name"] for table in GROWING)
    return growing and not (node["limited"] and "Filter" not in node)


def _in_words(node: dict[str, Any]) -> str:
    names = ("Node Type", "Relation Name", "Index Name", "Filter")
    return ", ".join(str(node[name]) for name in names if name in node)


@pytest.mark.parametrize("calls", [_jobs, _money])
async def test_nothing_that_runs_all_the_time_walks_what_grows(
    calls: Callable[[Database], Awaitable[None]], database: Database, seen: list[Statement]
) -> None:
    await calls(database)
    walked = {statement[0]: plan for statement in list(seen) if (plan := await _plan(database, statement))}
    assert walked == {}
    assert len({statement for statement, _ in seen}) > 20


async def test_a_decision_of_many_reads_by_the_index_though_the_table_was_small_when_it_was_planned(
    postgres_url: str,
) -> None:
    database = await open_database(postgres_url)
    ledger = make_ledger(database, HandClock(), day_usd(ScopeKind.USER, 9))
    await ledger.hold(job("a"))

    def plan(connection: Connection) -> str:
        [query] = holds_of([f"job-{number}" for number in range(50)])
        asked = query.compile(connection, compile_kwargs={"literal_binds": True})
        return "\n".join(connection.exec_driver_sql(f"EXPLAIN {asked}").scalars())

    found = await ledger.database.write(plan)
    await ledger.close()
    await database.close()
    assert "uq_ledger_holds_key" in found
    assert "Seq Scan" not in found
