"""Prices: cached, stored over restarts, never below what the operator set."""

from core.budgets.prices import PriceBook
from core.domain.models import MODELS
from core.domain.money import UNREADABLE_PRICE_NANOUSD
from core.presentation.texts.operator_texts import unclear_price
from tests.core.storage.ledger_kit import USD, HandClock
from tests.fakes.operator import Told
from tests.fakes.state import MemoryState

CENT = USD // 100


class Provider:
    """Returns a price, or none."""

    name = "fal"

    def __init__(self, price: int | None) -> None:
        self.price = price
        self.asked = 0

    async def unit_price(self, model: object) -> int | None:
        self.asked += 1
        return self.price


def book(
    provider: Provider, clock: HandClock, state: MemoryState | None = None, configured: int | None = None
) -> PriceBook:
    return PriceBook(provider, state or MemoryState(), clock, Told(), configured_nanousd=configured)  # type: ignore[arg-type]


async def test_the_providers_price_counts_and_is_asked_for_once_an_hour() -> None:
    provider, clock = Provider(12 * CENT), HandClock()
    prices = book(provider, clock)
    assert [await prices.unit_price() for _ in range(3)] == [12 * CENT] * 3
    assert provider.asked == 1
    provider.price = 15 * CENT
    clock.at += 3601
    assert await prices.unit_price() == 15 * CENT


async def test_while_the_provider_says_nothing_its_last_price_counts_for_a_week_over_restarts() -> None:
    provider, clock, state = Provider(12 * CENT), HandClock(), MemoryState()
    await book(provider, clock, state).unit_price()
    provider.price = None
    clock.at += 86_400
    prices = book(provider, clock, state)
    assert await prices.unit_price() == 12 * CENT
    await prices.unit_price()
    assert provider.asked == 2, "one that does not answer is not asked every time"
    clock.at += 7 * 86_400
    assert await prices.unit_price() == 10 * CENT, "then the price on the model's page"
    assert await book(provider, clock, configured=20 * CENT).unit_price() == 20 * CENT


async def test_the_dearer_of_the_operators_and_the_providers_price_counts() -> None:
    assert await book(Provider(12 * CENT), HandClock(), configured=20 * CENT).unit_price() == 20 * CENT
    assert await book(Provider(12 * CENT), HandClock(), configured=5 * CENT).unit_price() == 12 * CENT


async def test_a_price_that_cannot_be_true_is_not_believed() -> None:
    for price in (0, -5, 1, 1000 * USD):
        assert await book(Provider(price), HandClock()).unit_price() == 10 * CENT
    cheap = next(model for model in MODELS.known if model.id == "seedvr2")
    assert await book(Provider(5 * USD), HandClock()).unit_price(cheap) == CENT // 10


async def test_a_price_out_of_range_keeps_the_last_good_one_and_the_operator_is_told() -> None:
    provider, clock, told = Provider(12 * CENT), HandClock(), Told()
    prices = PriceBook(provider, MemoryState(), clock, told)  # type: ignore[arg-type]
    assert await prices.unit_price() == 12 * CENT
    for price in (UNREADABLE_PRICE_NANOUSD, 0, 10**300, 11 * USD):
        provider.price = price
        clock.at += 3601
        assert await prices.unit_price() == 12 * CENT
    assert told == [("price", unclear_price(12 * CENT, "en"))] * 4
