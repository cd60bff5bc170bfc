"""The ledger against the provider's bill: by day, told to the operator, and corrected by entries of their own."""

from collections.abc import AsyncIterator, Sequence
from decimal import Decimal
from pathlib import Path
from typing import cast

import pytest

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


class Provider:
    """Returns billing events by time."""

    real_money = True

    def __init__(self) -> None:
        self.bill: list[BillingEvent] = []
        self.away = False
        self.lists = True

    async def billing_events(self, start: float, end: float) -> Sequence[BillingEvent] | None:
        if self.away:
            raise ProviderUnavailable
        if not self.lists:
            return None
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

    async def done(
        self, key: str, charged: float, billed: float | None, basis: str = "units", confirmed_after_s: float = 0
    ) -> None:
        """`basis` none: the job failed, and its hold was released."""
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
        self.clock.at += confirmed_after_s
        await self.ctx.ledger.hold(job(key, 2))
        if basis == "none":
            await self.ctx.ledger.release(key)
        else:
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


async def test_a_day_is_that_of_the_hold(books: World) -> None:
    books.clock.at += 43_000  # shortly before midnight
    await books.done("late", 2, None, basis="unknown", confirmed_after_s=600)
    books.billed("r-late", 1.5)
    found = await books.compare()
    assert found.corrected == {"late"}
    assert [(d.day, d.ledger_nanousd, d.provider_nanousd) for d in found.days] == [
        ("2026-11-24", 1_500_000_000, 1_500_000_000)
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
    books.clock.at += 7200
    books.provider.lists = False
    found = await books.compare()
    assert (found.answered, found.found.differences) == (False, ())


async def test_a_job_that_no_bill_names_is_listed_and_an_empty_bill_corrects_nothing(books: World) -> None:
    await books.done("a", 2, None, basis="unknown")
    books.clock.at += 7200
    found = await books.compare(correct_all=True)
    assert [(d.job_id, d.kind) for d in found.found.differences] == [("a", "not_billed")]
    assert (found.answered, found.corrected) == (True, frozenset())
    assert (await books.ctx.usage(member())).charged_nanousd == 2 * USD


async def test_a_result_of_no_units_that_was_billed_is_charged_by_its_bill_if_that_is_plausible(books: World) -> None:
    await books.done("free", 0, 1.6)
    await books.done("mad", 0, 40_500)
    found = await books.compare()
    assert found.corrected == {"free"}
    assert (await books.ctx.usage(member())).charged_nanousd == round(1.6 * USD)
    assert unwrap(unwrap(await books.store.get("free")).receipt).charged_nanousd == round(1.6 * USD)


async def test_a_failed_job_that_was_billed_is_charged_on_request_only_and_then_in_the_ledger_too(books: World) -> None:
    await books.done("failed", 0, 1.5, basis="none")
    found = await books.compare()
    assert ([d.kind for d in found.found.differences], found.corrected) == (["not_charged"], frozenset())
    assert (await books.compare(correct_all=True)).corrected == {"failed"}
    assert (await books.ctx.usage(member())).charged_nanousd == round(1.5 * USD)
    assert (await books.compare()).found.differences == ()
    assert await audit(books.ctx.ledger.database) == []


async def test_an_event_that_cannot_be_read_is_listed_and_told_and_changes_no_charge(books: World) -> None:
    await books.done("odd", 2, None, basis="unknown")
    books.provider.bill += [BillingEvent(name, books.clock.at, Decimal(0), None) for name in ("r-odd", "")]
    found = await books.compare(correct_all=True)
    assert {(d.job_id, d.kind) for d in found.found.differences} == {("odd", "unreadable"), ("", "unreadable")}
    assert (found.corrected, (await books.ctx.usage(member())).charged_nanousd) == (frozenset(), 2 * USD)
    await books.look()
    [(_, notice)] = books.told
    assert sorted(notice.what.splitlines()[1:]) == [
        "fal's bill for ? cannot be read.", "fal's bill for r-odd cannot be read."
    ]  # fmt: skip


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
