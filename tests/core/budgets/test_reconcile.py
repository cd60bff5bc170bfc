"""The ledger and the provider's bill: compared, by day too, and estimates corrected by an entry of their own."""

from collections.abc import AsyncIterator, Sequence
from decimal import Decimal
from pathlib import Path
from typing import cast

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.budgets.billing_differences import BILLING_DELAY_S, Charge, compare
from core.budgets.reconcile import ErasedRequest, Reconciler, Reconciliation, erased_requests
from core.budgets.service import Budgets
from core.domain.errors import ProviderUnavailable
from core.domain.job import Job, JobState, Receipt, Remote, ReplyAddress, Source
from core.domain.parameters.spec import Parameters
from core.ports import BillingEvent, Upscaler
from core.storage.database import Database
from core.storage.encryption import Vault
from core.storage.jobs import SqlJobStore
from core.storage.state import SqlAppState
from tests.core.storage.ledger_audit import audit
from tests.core.storage.ledger_kit import (
    USD,
    HandClock,
    job,
    make_ledger,
    member,
    sqlite_url,
)
from tests.fakes.core import NoMetrics, closing
from tests.fakes.operator import Told
from tests.fakes.sources import FakePrices
from tests.pg import open_database
from tests.typed import unwrap

NOW = 1_000_000.0
LONG_AGO = NOW - 2 * BILLING_DELAY_S


def charge(request_id: str, nanousd: int, *, at: float = LONG_AGO, settled: bool = True) -> Charge:
    return Charge(f"job-{request_id}", request_id, at, nanousd, settled)


def event(request_id: str, nanousd: int, units: str = "1") -> BillingEvent:
    return BillingEvent(request_id, LONG_AGO, Decimal(units), nanousd)


def test_equal_sides_have_no_difference() -> None:
    found = compare([charge("a", 5), charge("b", 0)], [event("a", 5)], now=NOW)
    assert found.differences == ()
    assert (found.compared, found.ours_nanousd, found.theirs_nanousd) == (2, 5, 5)


def test_every_kind_of_difference_is_listed() -> None:
    ours = [charge("amount", 5), charge("free", 0), charge("unbilled", 7)]
    theirs = [event("amount", 6), event("free", 3), event("stranger", 9)]
    found = {
        d.request_id: (d.kind, d.ours_nanousd, d.theirs_nanousd) for d in compare(ours, theirs, now=NOW).differences
    }
    assert found == {
        "amount": ("amount", 5, 6),
        "free": ("not_charged", 0, 3),
        "unbilled": ("not_billed", 7, None),
        "stranger": ("unknown_request", None, 9),
    }


def test_a_fresh_request_is_not_missed_yet() -> None:
    assert compare([charge("a", 5, at=NOW - 10)], [], now=NOW).differences == ()


def test_a_running_job_is_not_compared_by_amount() -> None:
    assert compare([charge("a", 0, settled=False)], [event("a", 5)], now=NOW).differences == ()


def test_several_events_of_one_request_count_together() -> None:
    assert compare([charge("a", 5)], [event("a", 2, "0.4"), event("a", 3, "0.6")], now=NOW).differences == ()


def test_an_event_that_costs_nothing_is_no_difference() -> None:
    assert compare([], [event("a", 0)], now=NOW).differences == ()


AMOUNTS = st.dictionaries(st.sampled_from("abcdefgh"), st.integers(0, 5))


@given(AMOUNTS, AMOUNTS)
def test_differences_explain_exactly_what_the_sums_differ_by(ours: dict[str, int], theirs: dict[str, int]) -> None:
    found = compare([charge(k, v) for k, v in ours.items()], [event(k, v) for k, v in theirs.items()], now=NOW)
    explained = sum((d.theirs_nanousd or 0) - (d.ours_nanousd or 0) for d in found.differences)
    assert explained == found.theirs_nanousd - found.ours_nanousd


class Provider:
    """Returns billing events by time."""

    real_money = True

    def __init__(self) -> None:
        self.bill: list[BillingEvent] = []
        self.away = False

    async def billing_events(self, start: float, end: float) -> Sequence[BillingEvent]:
        if self.away:
            raise ProviderUnavailable
        return [event for event in self.bill if start <= event.at <= end]


class World:
    """A ledger with jobs, and the provider's billing events."""

    def __init__(self, database: Database, folder: Path) -> None:
        self.database = database
        self.clock = HandClock()
        self.ctx = Budgets(make_ledger(database, self.clock), FakePrices())  # type: ignore[arg-type]
        vault = Vault.open(None, folder)
        self.store = SqlJobStore(database, vault, self.clock)
        self.state = SqlAppState(database, vault, self.clock)
        self.provider = Provider()
        self.books = Reconciler(self.store, self.ctx.ledger, cast(Upscaler, self.provider), self.state)
        self.told = Told()

    async def look(self) -> None:
        await self.books.reconcile_new(NoMetrics(), self.told)

    async def compare(self, *, correct_all: bool = False) -> Reconciliation:
        return await self.books.compare(self.clock.at - 7 * 86_400, correct_all=correct_all)

    def billed(self, request_id: str, dollars: float) -> None:
        self.provider.bill.append(BillingEvent(request_id, self.clock.at, Decimal(20), round(dollars * USD)))

    async def done(self, key: str, charged: float, billed: float | None, basis: str = "units") -> None:
        receipt = Receipt(round(charged * USD), 2 * USD, basis)  # type: ignore[arg-type]
        row = Job(
            id=key,
            key=f"test:{key}",
            state=JobState.SUCCEEDED,
            requester=member(),
            source=Source("upload"),
            reply=ReplyAddress("discord"),
            parameters=Parameters(),
            created_at=self.clock.at,
            updated_at=self.clock.at,
            finished_at=self.clock.at,
            receipt=receipt,
            remote=Remote("fal", submit="sent", request_id=f"r-{key}"),
        )
        await self.store.add(row)
        await self.ctx.ledger.hold(job(key, 2))
        await self.ctx.ledger.settle(key, amount_nanousd=round(charged * USD), megapixels=Decimal(20))
        if billed is not None:
            self.billed(f"r-{key}", billed)


@pytest.fixture
async def books(tmp_path: Path) -> AsyncIterator[World]:
    async with closing(await open_database(sqlite_url(tmp_path))) as database:
        yield World(database, tmp_path)


async def test_books_that_agree_say_so_in_one_line_a_day(books: World) -> None:
    await books.done("a", 1.6, 1.6)
    books.clock.at += 86_400
    await books.done("b", 2, 2)
    await books.done("c", 0.4, 0.4)
    found = await books.compare()
    assert found.found.differences == ()
    assert [(d.day, d.ledger_nanousd, d.provider_nanousd) for d in found.days] == [
        ("2026-11-23", 1_600_000_000, 1_600_000_000),
        ("2026-11-24", 2_400_000_000, 2_400_000_000),
    ]


async def test_a_charge_on_an_estimate_is_corrected_once_and_the_receipt_with_it(books: World) -> None:
    await books.done("guess", 2, 1.5, basis="unknown")
    await books.done("sure", 2, 1.8)
    found = await books.compare()
    assert found.corrected == {"guess"}
    assert {d.job_id: (d.ours_nanousd, d.theirs_nanousd) for d in found.found.differences} == {
        "guess": (2 * USD, round(1.5 * USD)),
        "sure": (2 * USD, round(1.8 * USD)),
    }
    assert [(d.ledger_nanousd / USD, d.provider_nanousd / USD) for d in found.days] == [(3.5, 3.3)]
    row = unwrap(await books.store.get("guess"))
    assert row.receipt
    assert (row.receipt.charged_nanousd, row.receipt.basis) == (round(1.5 * USD), "units")
    again = await books.compare()
    assert (again.corrected, [d.job_id for d in again.found.differences]) == (frozenset(), ["sure"])
    assert (await books.ctx.usage(member())).charged_nanousd == round(3.5 * USD)
    assert await audit(books.ctx.ledger.database) == []


async def test_on_request_every_charge_becomes_what_was_billed(books: World) -> None:
    await books.done("dear", 2, 1.8)
    await books.done("unbilled", 2, None)
    books.clock.at += 7200
    found = await books.compare(correct_all=True)
    assert found.corrected == {"dear", "unbilled"}
    assert (await books.compare()).found.differences == ()
    assert {d.job_id: d.kind for d in found.found.differences} == {"dear": "amount", "unbilled": "not_billed"}


async def test_without_any_answer_of_the_provider_nothing_is_called_a_difference(books: World) -> None:
    await books.done("a", 2, None)
    found = await books.compare()
    assert (found.answered, found.found.differences) == (False, ())


async def test_a_provider_that_is_away_changes_nothing_and_is_asked_again(books: World) -> None:
    await books.done("a", 2, 1, basis="unknown")
    books.provider.away = True
    with pytest.raises(ProviderUnavailable):
        await books.compare()
    await books.look()
    assert await books.state.get("books", "compared_until") is None
    books.provider.away = False
    await books.look()
    assert (await books.store.get("a")).receipt.charged_nanousd == USD  # type: ignore[union-attr]


async def test_every_difference_is_told_to_the_operator_once(books: World) -> None:
    await books.done("same", 1, 1)
    await books.done("guess", 2, 1.5, basis="unknown")
    await books.done("dear", 2, 2.5)
    await books.done("unbilled", 2, None)
    books.billed("r-stranger", 7)
    for _ in range(4):
        books.clock.at += 3600
        await books.look()
    named = [line for _, notice in books.told for line in notice.what.splitlines()[1:]]
    assert sorted(named) == [
        "Job dear: $2.00 charged, $2.50 billed.",
        "Job unbilled: $2.00 charged, nothing billed.",
        "fal billed $7.00 for r-stranger, which no job here asked for.",
    ]


async def test_a_bill_that_comes_late_meets_its_job_of_an_earlier_look(books: World) -> None:
    await books.done("held back", 2, None, basis="unknown")
    for _ in range(30):
        books.clock.at += 3600
        await books.look()
    books.billed("r-held back", 1)
    await books.look()
    assert (await books.store.get("held back")).receipt.charged_nanousd == USD  # type: ignore[union-attr]


async def test_an_absurd_bill_is_told_and_not_charged(books: World) -> None:
    await books.done("mad", 2, 40_500, basis="unknown")
    await books.look()
    assert (await books.store.get("mad")).receipt.charged_nanousd == 2 * USD  # type: ignore[union-attr]
    assert len(books.told) == 1


async def test_a_job_that_its_owner_erased_still_meets_its_bill(books: World) -> None:
    gone = erased_requests(books.state)
    await books.done("gone", 0.4, 0.4)
    await gone.put("gone", ErasedRequest("r-gone", books.clock.at))
    await books.store.remove("gone")
    found = await books.compare()
    assert found.found.differences == ()
    assert [(day.ledger_nanousd, day.provider_nanousd) for day in found.days] == [(USD * 4 // 10, USD * 4 // 10)]
    books.clock.at += 101 * 86_400
    assert await gone.items() == {}
