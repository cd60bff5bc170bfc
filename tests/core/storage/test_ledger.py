"""The ledger's guarantees one by one, on SQLite and on PostgreSQL."""

import asyncio
import dataclasses
import os
from decimal import Decimal
from pathlib import Path

import pytest

from core.domain.errors import LedgerUnavailable, LimitReached, TooManyWaiting
from core.domain.limits import Measure, Rule, ScopeKind, Window
from core.ports import Granted, MustWait
from core.storage.database import Database
from tests.core.storage.ledger_kit import (
    NOON,
    USD,
    HandClock,
    day_usd,
    job,
    make_ledger,
    member,
    running,
    sqlite_url,
)

DAY_S = 86_400


async def test_a_hold_takes_from_every_limit_that_applies(database: Database, clock: HandClock) -> None:
    ledger = make_ledger(
        database,
        clock,
        day_usd(ScopeKind.USER, 5),
        day_usd(ScopeKind.WORKSPACE, 25),
        day_usd(ScopeKind.EVERYTHING, 100),
    )
    answer = await ledger.hold(job("a", 1.6))
    assert isinstance(answer, Granted)
    assert [(s.limit.scope.kind, s.left) for s in answer.left] == [
        (ScopeKind.USER, round(3.4 * USD)),
        (ScopeKind.WORKSPACE, round(23.4 * USD)),
        (ScopeKind.EVERYTHING, round(98.4 * USD)),
    ]
    assert await ledger.statuses(member()) == answer.left


async def test_the_same_key_again_holds_nothing_more(database: Database, clock: HandClock) -> None:
    ledger = make_ledger(database, clock, day_usd(ScopeKind.USER, 5))
    first = await ledger.hold(job("a", 3))
    assert await ledger.hold(job("a", 3)) == first
    again, twice = await asyncio.gather(ledger.hold(job("b", 2)), ledger.hold(job("b", 2)))
    assert again == twice
    assert (await ledger.statuses(member()))[0].held == 5 * USD


async def test_a_refusal_names_the_limit_and_when_it_opens_and_holds_nothing(
    database: Database, clock: HandClock
) -> None:
    ledger = make_ledger(database, clock, day_usd(ScopeKind.USER, 5), day_usd(ScopeKind.WORKSPACE, 2))
    with pytest.raises(LimitReached) as refused:
        await ledger.hold(job("a", 3))
    error = refused.value
    assert error.status.limit.scope.kind is ScopeKind.WORKSPACE
    assert (error.needed, error.status.left, error.status.opens_at) == (3 * USD, 2 * USD, NOON + DAY_S / 2)
    assert [status.held for status in await ledger.statuses(member())] == [0, 0]


async def test_of_several_refusing_limits_the_one_that_opens_last_is_named(
    database: Database, clock: HandClock
) -> None:
    month = Rule(ScopeKind.USER, Measure.MEGAPIXELS, Window.MONTH, 10, "file")
    ledger = make_ledger(database, clock, day_usd(ScopeKind.USER, 1), month)
    with pytest.raises(LimitReached) as refused:
        await ledger.hold(job("a", 3))
    assert refused.value.status.limit.measure is Measure.MEGAPIXELS
    assert (refused.value.needed, refused.value.status.left) == (30, 10)


async def test_settling_goes_up_or_down_and_only_once(database: Database, clock: HandClock) -> None:
    ledger = make_ledger(database, clock, day_usd(ScopeKind.USER, 5))
    await ledger.hold(job("a", 2))
    await ledger.hold(job("b", 2))
    for _ in range(2):
        await ledger.settle("a", amount_nanousd=USD, megapixels=Decimal("9.7"))
        await ledger.settle("b", amount_nanousd=3 * USD, megapixels=Decimal(30))
    status = (await ledger.statuses(member()))[0]
    assert (status.used, status.held, status.left) == (4 * USD, 0, USD)


async def test_a_release_gives_everything_back_and_a_settled_hold_stays_settled(
    database: Database, clock: HandClock
) -> None:
    ledger = make_ledger(database, clock, day_usd(ScopeKind.USER, 5))
    await ledger.hold(job("a", 2))
    await ledger.hold(job("b", 2))
    await ledger.settle("b", amount_nanousd=2 * USD, megapixels=Decimal(20))
    for key in ("a", "a", "b", "never held"):
        await ledger.release(key)
    status = (await ledger.statuses(member()))[0]
    assert (status.used, status.held) == (2 * USD, 0)


async def test_what_is_billed_after_a_release_is_still_charged(database: Database, clock: HandClock) -> None:
    ledger = make_ledger(database, clock, day_usd(ScopeKind.USER, 5))
    await ledger.hold(job("a", 2))
    await ledger.release("a")
    await ledger.settle("a", amount_nanousd=2 * USD, megapixels=Decimal(20))
    assert (await ledger.statuses(member()))[0].used == 2 * USD


async def test_settling_what_was_never_held_records_nothing(database: Database, clock: HandClock) -> None:
    ledger = make_ledger(database, clock, day_usd(ScopeKind.USER, 5))
    await ledger.settle("a", amount_nanousd=2 * USD, megapixels=Decimal(20))
    assert (await ledger.statuses(member()))[0].used == 0


async def test_a_released_job_may_hold_again_in_the_window_of_that_moment(database: Database, clock: HandClock) -> None:
    ledger = make_ledger(database, clock, day_usd(ScopeKind.USER, 5))
    await ledger.hold(job("a", 2))
    await ledger.release("a")
    clock.at += DAY_S
    await ledger.hold(job("a", 2))
    await ledger.settle("a", amount_nanousd=2 * USD, megapixels=Decimal(20))
    assert (await ledger.statuses(member()))[0].used == 2 * USD


async def test_a_settlement_after_midnight_counts_for_the_day_of_the_hold(database: Database, clock: HandClock) -> None:
    ledger = make_ledger(database, clock, day_usd(ScopeKind.USER, 5))
    await ledger.hold(job("a", 5))
    clock.at += DAY_S / 2
    assert (await ledger.statuses(member()))[0].left == 5 * USD
    await ledger.settle("a", amount_nanousd=5 * USD, megapixels=Decimal(50))
    assert (await ledger.statuses(member()))[0].used == 0
    clock.at -= DAY_S / 2
    assert (await ledger.statuses(member()))[0].used == 5 * USD


async def test_play_money_is_never_refused_and_moves_no_limit(database: Database, clock: HandClock) -> None:
    ledger = make_ledger(database, clock, day_usd(ScopeKind.USER, 1), running(ScopeKind.USER, 1))
    for number in range(4):
        assert await ledger.hold(job(f"{number}", 9, enforce=False)) == Granted(())
    await ledger.settle("0", amount_nanousd=9 * USD, megapixels=Decimal(90), real=False)
    assert [(s.used, s.held) for s in await ledger.statuses(member())] == [(0, 0), (0, 0)]


async def test_more_jobs_than_allowed_at_once_wait_in_order(database: Database, clock: HandClock) -> None:
    ledger = make_ledger(database, clock, running(ScopeKind.USER, 1))
    assert isinstance(await ledger.hold(job("a")), Granted)
    assert await ledger.hold(job("b")) == MustWait(0)
    assert await ledger.hold(job("c")) == MustWait(1)
    assert await ledger.admit("b") == MustWait(0)
    await ledger.settle("a", amount_nanousd=USD, megapixels=Decimal(10))
    assert await ledger.admit("c") == MustWait(1), "the earlier one comes first"
    assert isinstance(await ledger.admit("b"), Granted)
    assert await ledger.admit("c") == MustWait(0)
    await ledger.release("b")
    assert isinstance(await ledger.hold(job("c")), Granted), "a repeated hold is as good as asking for the turn"


async def test_a_new_job_does_not_jump_the_line(database: Database, clock: HandClock) -> None:
    ledger = make_ledger(database, clock, running(ScopeKind.USER, 1))
    await ledger.hold(job("a"))
    await ledger.hold(job("b"))
    await ledger.release("a")
    assert await ledger.hold(job("c")) == MustWait(1)


async def test_one_members_waiting_jobs_hold_up_nobody_else(database: Database, clock: HandClock) -> None:
    ledger = make_ledger(database, clock, running(ScopeKind.USER, 1), running(ScopeKind.WORKSPACE, 2))
    await ledger.hold(job("a"))
    await ledger.hold(job("b"))
    assert isinstance(await ledger.hold(job("bob", who=member("bob"))), Granted)
    assert await ledger.hold(job("eve", who=member("eve"))) == MustWait(1)
    await ledger.release("bob")
    assert isinstance(await ledger.admit("eve"), Granted), "the earlier one waits for its own member's slot"


async def test_a_dead_waiting_job_keeps_no_slot_from_the_living(database: Database, clock: HandClock) -> None:
    ledger = make_ledger(database, clock, running(ScopeKind.USER, 1))
    for key in ("a", "dead", "alive"):
        await ledger.hold(job(key))
    await ledger.release("a")
    assert await ledger.admit("alive") == MustWait(1)
    clock.at += 31
    assert isinstance(await ledger.admit("alive"), Granted)


async def test_only_so_many_may_wait(database: Database, clock: HandClock) -> None:
    ledger = make_ledger(database, clock, running(ScopeKind.USER, 1), day_usd(ScopeKind.USER, 50), user_waiting=2)
    for key in ("a", "b", "c"):
        await ledger.hold(job(key))
    with pytest.raises(TooManyWaiting):
        await ledger.hold(job("d"))
    assert (await ledger.statuses(member()))[0].held == 3 * USD


async def test_a_waiting_job_whose_limit_was_lifted_runs(database: Database, clock: HandClock) -> None:
    ledger = make_ledger(database, clock, running(ScopeKind.USER, 1))
    await ledger.hold(job("a"))
    await ledger.hold(job("b"))
    assert isinstance(await make_ledger(database, clock).admit("b"), Granted)


async def test_a_sweep_gives_back_what_dead_jobs_hold_and_extends_the_living(
    database: Database, clock: HandClock
) -> None:
    ledger = make_ledger(database, clock, day_usd(ScopeKind.USER, 5), running(ScopeKind.USER, 1))
    await ledger.hold(job("dead", 2))
    await ledger.hold(job("alive", 1))
    await ledger.hold(job("touched", 1))

    async def is_alive(key: str) -> bool:
        return key == "alive"

    assert await ledger.sweep(is_alive) == 0, "nothing is old enough"
    clock.at += 3 * 3600
    await ledger.touch(["touched"])
    assert await ledger.sweep(is_alive) == 1
    assert (await ledger.statuses(member()))[0].held == 2 * USD
    assert isinstance(await ledger.admit("alive"), Granted)
    clock.at += 121
    assert await ledger.sweep(is_alive) == 1, "touched no more"
    assert (await ledger.statuses(member()))[0].held == USD
    clock.at += 1.5 * 3600
    assert await ledger.sweep(is_alive) == 0


async def test_a_waiting_job_whose_hold_expired_holds_again_when_it_asks(database: Database, clock: HandClock) -> None:
    ledger = make_ledger(database, clock, day_usd(ScopeKind.USER, 5))
    await ledger.hold(dataclasses.replace(job("a", 2), model="seedvr2"))

    async def nobody(_: str) -> bool:
        return False

    clock.at += 3 * 3600
    await ledger.sweep(nobody)
    assert isinstance(await ledger.admit("a"), Granted)
    assert (await ledger.holds(["a"]))["a"].model == "seedvr2"
    assert (await ledger.statuses(member()))[0].held == 2 * USD


async def test_asking_for_the_turn_of_an_unknown_job_is_refused(database: Database, clock: HandClock) -> None:
    with pytest.raises(LedgerUnavailable):
        await make_ledger(database, clock).admit("never held")


async def test_a_correction_is_an_entry_of_its_own_and_made_once(database: Database, clock: HandClock) -> None:
    ledger = make_ledger(database, clock, day_usd(ScopeKind.USER, 5))
    await ledger.hold(job("a", 2))
    await ledger.settle("a", amount_nanousd=2 * USD, megapixels=Decimal(20))
    for expected in (-USD, 0):
        assert await ledger.correct("a", amount_nanousd=USD, note="fal billed less") == expected
    assert (await ledger.statuses(member()))[0].used == USD


async def test_a_database_that_is_away_is_said_so_and_nothing_is_spent(clock: HandClock, tmp_path: Path) -> None:
    database = Database.connect(sqlite_url(tmp_path))  # without tables
    with pytest.raises(LedgerUnavailable):
        await make_ledger(database, clock).hold(job("a"))
    await database.close()


async def test_a_postgresql_that_cannot_be_reached_is_said_so(clock: HandClock, tmp_path: Path) -> None:
    database = Database.connect(f"postgresql://nobody@/nothing?host={tmp_path}&port={os.getpid()}")
    with pytest.raises(LedgerUnavailable):
        await make_ledger(database, clock).statuses(member())
    await database.close()


async def test_a_caller_who_gives_up_before_the_batch_leaves_no_hold(database: Database, clock: HandClock) -> None:
    ledger = make_ledger(database, clock, day_usd(ScopeKind.USER, 5))
    first = asyncio.create_task(ledger.hold(job("a", 1)))
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    second = asyncio.create_task(ledger.hold(job("b", 1)))
    await asyncio.sleep(0)
    second.cancel()
    await first
    await ledger.close()
    assert (await ledger.statuses(member()))[0].held == USD


@pytest.mark.parametrize("poison", [10**25, 10**40])
async def test_one_absurd_number_fails_no_other_call_of_its_batch(
    database: Database, clock: HandClock, poison: int
) -> None:
    ledger = make_ledger(database, clock, day_usd(ScopeKind.USER, 5))
    for n in range(4):
        await ledger.hold(job(f"j{n}", 1))
    amounts = [USD, poison, USD, USD]
    answers = await asyncio.gather(
        *(ledger.settle(f"j{n}", amount_nanousd=a, megapixels=Decimal(1)) for n, a in enumerate(amounts)),
        return_exceptions=True,
    )
    assert [type(answer) for answer in answers] == [type(None), LedgerUnavailable, type(None), type(None)]
    (status,) = await ledger.statuses(member())
    assert (status.used, status.held) == (3 * USD, USD)
