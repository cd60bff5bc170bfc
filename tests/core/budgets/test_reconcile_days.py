"""Both books day by day; what was charged on a guess is put right by an entry of its own."""

from __future__ import annotations

import dataclasses
from collections.abc import AsyncIterator, Sequence
from decimal import Decimal
from pathlib import Path

import pytest

from core.budgets.erased_requests import ErasedRequests
from core.budgets.service import BudgetDesk
from core.domain.errors import ProviderUnavailable
from core.domain.job import Job, JobState, Receipt, Remote, ReplyAddress, Source
from core.domain.parameters.spec import Parameters
from core.ports import BillingEvent
from core.presentation.limit_texts import both_books
from core.storage.database import Database
from core.storage.encryption import Vault
from core.storage.jobs import SqlJobStore
from core.storage.state import SqlAppState
from core.storage.tables import app_state
from tests.core.storage.ledger_audit import audit
from tests.core.storage.ledger_kit import (
    NOON,
    USD,
    FixedPrice,
    HandClock,
    create_tables,
    job,
    make_ledger,
    member,
    sqlite_url,
)


class Books:
    """A ledger with jobs, and a provider's bill beside it."""

    def __init__(self, database: Database, folder: Path) -> None:
        self.database = database
        self.clock = HandClock()
        self.desk = BudgetDesk(make_ledger(database, self.clock), FixedPrice())  # type: ignore[arg-type]
        self.store = SqlJobStore(database, Vault.open(None, folder), self.clock)
        self.bill: list[BillingEvent] = []
        self.asked: list[int] = []

    async def events(self, request_ids: Sequence[str]) -> Sequence[BillingEvent]:
        self.asked.append(len(request_ids))
        return [event for event in self.bill if event.request_id in request_ids]

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
            receipt=receipt,
            remote=Remote("fal", submit="sent", request_id=f"r-{key}"),
        )
        await self.store.add(row)
        await self.desk.ledger.hold(job(key, 2))
        await self.desk.ledger.settle(key, amount_nanousd=round(charged * USD), megapixels=Decimal(20))
        if billed is not None:
            self.bill.append(BillingEvent(f"r-{key}", NOON, Decimal(20), round(billed * USD)))


@pytest.fixture
async def books(tmp_path: Path) -> AsyncIterator[Books]:
    database = Database.connect(sqlite_url(tmp_path))
    await create_tables(database)
    try:
        yield Books(database, tmp_path)
    finally:
        await database.close()


async def test_books_that_agree_say_so_in_one_line_a_day(books: Books) -> None:
    await books.done("a", 1.6, 1.6)
    books.clock.at += 86_400
    await books.done("b", 2, 2)
    await books.done("c", 0.4, 0.4)
    found = await books.desk.reconcile(books.events, books.store)
    assert found.differences == ()
    assert [both_books(d.day, d.ledger_nanousd, d.provider_nanousd, "en") for d in found.days] == [
        "2026-11-23: ledger $1.60, fal $1.60",
        "2026-11-24: ledger $2.40, fal $2.40",
    ]


async def test_a_charge_on_an_estimate_is_corrected_once_and_the_receipt_with_it(books: Books) -> None:
    await books.done("guess", 2, 1.5, basis="unknown")
    await books.done("sure", 2, 1.8)
    found = await books.desk.reconcile(books.events, books.store)
    assert found.corrected == {"guess"}
    assert {d.job_id: (d.ours_nanousd, d.theirs_nanousd) for d in found.differences} == {
        "guess": (2 * USD, round(1.5 * USD)),
        "sure": (2 * USD, round(1.8 * USD)),
    }
    assert [(d.ledger_nanousd / USD, d.provider_nanousd / USD) for d in found.days] == [(3.5, 3.3)]
    row = await books.store.get("guess")
    assert row is not None
    assert row.receipt is not None
    assert (row.receipt.charged_nanousd, row.receipt.basis) == (round(1.5 * USD), "units")
    again = await books.desk.reconcile(books.events, books.store)
    assert (again.corrected, [d.job_id for d in again.differences]) == (frozenset(), ["sure"])
    assert (await books.desk.usage(member())).charged_nanousd == round(3.5 * USD)
    assert await audit(books.desk.ledger.database) == []


async def test_on_request_every_amount_is_corrected_but_nothing_without_a_bill(books: Books) -> None:
    await books.done("dear", 2, 1.8)
    await books.done("unbilled", 2, None)
    books.clock.at += 7200
    found = await books.desk.reconcile(books.events, books.store, correct_all=True)
    assert found.corrected == {"dear"}
    assert {d.job_id: d.kind for d in found.differences} == {"dear": "amount", "unbilled": "not_billed"}


async def test_without_any_answer_of_the_provider_nothing_is_called_a_difference(books: Books) -> None:
    await books.done("a", 2, None)
    found = await books.desk.reconcile(books.events, books.store)
    assert (found.answered, found.differences) == (False, ())


async def test_many_jobs_are_asked_for_in_handfuls(books: Books) -> None:
    for number in range(60):
        await books.done(f"j{number}", 0.1, 0.1)
    await books.desk.reconcile(books.events, books.store)
    assert books.asked == [50, 10]


async def test_a_provider_that_is_away_is_said_so(books: Books) -> None:
    await books.done("a", 2, 2)

    async def away(_: Sequence[str]) -> Sequence[BillingEvent]:
        raise ProviderUnavailable

    with pytest.raises(ProviderUnavailable):
        await books.desk.reconcile(away, books.store)
    assert dataclasses.asdict((await books.store.get("a")).receipt)["charged_nanousd"] == 2 * USD  # type: ignore[union-attr,arg-type]


async def test_a_job_that_its_owner_erased_still_meets_its_bill(books: Books, tmp_path: Path) -> None:
    async with books.database.write() as connection:
        await connection.run_sync(app_state.metadata.create_all)
    state = SqlAppState(books.database, Vault.open(None, tmp_path), books.clock)
    gone = ErasedRequests(state, books.clock)
    await books.done("gone", 0.4, 0.4)
    row = await books.store.get("gone")
    assert row is not None
    await gone.remember(row)
    await books.store.remove(row.id)
    erased = {one.job_id: one.request_id for one in await gone.all()}
    found = await books.desk.reconcile(books.events, books.store, erased=erased)
    assert found.differences == ()
    assert [(day.ledger_nanousd, day.provider_nanousd) for day in found.days] == [(USD * 4 // 10, USD * 4 // 10)]
    books.clock.at += 101 * 86_400
    assert await gone.all() == []
