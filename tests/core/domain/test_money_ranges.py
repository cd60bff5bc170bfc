"""A provider's absurd prices and bills are never charged."""

import time
from decimal import Decimal
from fractions import Fraction

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from core.domain.money import (
    MAX_BILLED_UNITS,
    UNREADABLE_UNITS,
    bounded_number,
    charge,
    is_plausible_bill,
    largest_output_size,
    output_size,
    quote,
)
from core.upscalers.fal.failures import billed_units
from core.upscalers.fal.platform_api import _billing_event, _nanousd

USD = 1_000_000_000
SIDES, HUNDREDTHS = st.integers(1, 14_142), st.integers(100, 400)
POISON = ("1E+300000", "9e999999", "1e30", "1e25", "-1", "-0.5", "NaN", "sNaN", "Infinity", "9" * 10_000, "1" * 65, "x",
          "0x10", "1_000", "\u0661\u0662")  # fmt: skip


@pytest.mark.parametrize("text", POISON)
def test_an_invalid_bill_is_refused_at_once(text: str) -> None:
    began = time.thread_time()
    units = billed_units({"X-Fal-Billable-Units": text})
    assert units == UNREADABLE_UNITS
    assert not is_plausible_bill(units, USD // 10, USD)
    assert _nanousd(text) is None
    assert time.thread_time() - began < 0.1


@pytest.mark.parametrize(("text", "units"), [("16", 16), ("0", 0), (" 2.5 ", Decimal("2.5")), ("1e1", 10)])
def test_a_plausible_bill_is_read(text: str, units: Decimal) -> None:
    assert billed_units({"X-Fal-Billable-Units": text}) == units
    assert billed_units({}) is None


@pytest.mark.parametrize("value", [*POISON, True, None, [], 10**40, -(10**40), float("inf"), float("nan"), -1.0])
def test_a_price_that_is_no_amount_is_none_and_a_billing_event_keeps_its_request(value: object) -> None:
    assert _nanousd(value) is None
    event = {"request_id": "r", "output_units": value, "cost_total": 0.1, "timestamp": "2026-11-29T00:00:00Z"}
    for odd in (event, {**event, "output_units": 1, "cost_total": value}):
        read = _billing_event(odd, 5.0)
        assert (read.request_id, read.cost_nanousd) == ("r", None)
    assert _billing_event({**event, "timestamp": "once"}, 5.0).at == 5.0
    assert _billing_event({**event, "request_id": ["r"]}, 5.0).request_id == ""


def test_a_bill_may_be_twice_the_estimate_or_a_dollar_above_it_and_no_more() -> None:
    cent = USD // 100
    assert is_plausible_bill(Decimal(11), 10 * cent, 10 * cent), "$1.00 above"
    assert not is_plausible_bill(Decimal(12), 10 * cent, 10 * cent)
    assert _nanousd(10**5000) is None
    assert is_plausible_bill(Decimal(200), 10 * cent, 10 * USD), "twice"
    assert not is_plausible_bill(Decimal(201), 10 * cent, 10 * USD)


@given(st.text(max_size=80) | st.from_regex(r"-?\d{1,30}(\.\d{0,30})?([eE][+-]?\d{1,9})?", fullmatch=True))
def test_no_text_is_charged_beyond_the_range(text: str) -> None:
    number = bounded_number(text)
    assert number is None or (number.is_finite() and number >= 0)
    units = billed_units({"X-Fal-Billable-Units": text})
    if units is not None and is_plausible_bill(units, USD // 10, USD):
        assert 0 <= units <= MAX_BILLED_UNITS
        assert 0 <= charge(units, USD // 10) <= 2 * USD


@given(SIDES, SIDES, HUNDREDTHS)
@example(600, 900, 136)
@example(7, 25, 110)
def test_a_quote_is_that_of_the_decimals_that_are_sent(width: int, height: int, hundredths: int) -> None:
    """816 by 1224 pixels are one megapixel, though the product of the floats is a little more than 816."""
    up = tuple(-(-side * hundredths // 100) for side in (width, height))
    assert largest_output_size(width, height, hundredths / 100) == up
    assert quote(width, height, hundredths / 100, 1).megapixels == -(-up[0] * up[1] // 1_000_000)
    shown = output_size(width, height, hundredths / 100)
    assert all(2 * abs(100 * out - side * hundredths) <= 100 for out, side in zip(shown, (width, height), strict=True))


@given(SIDES, SIDES, st.floats(1, 4))
def test_no_output_is_priced_below_either_rounding_of_the_product(width: int, height: int, factor: float) -> None:
    exact = [Fraction(str(factor)) * side for side in (width, height)]
    for out, side in zip(largest_output_size(width, height, factor), exact, strict=True):
        assert side <= out < side + 1
