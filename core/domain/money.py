"""Sizes to megapixels to money, in integer nano-dollars (1 USD = 1,000,000,000), and money to text. Pure."""

import math
import re
from collections.abc import Callable
from decimal import ROUND_HALF_UP, Decimal
from fractions import Fraction

from core.domain.job import Quote

NANOUSD_PER_USD = 1_000_000_000
PIXELS_PER_MEGAPIXEL = 1_000_000
"""fal does not say whether its megapixel is 10⁶ or 2²⁰ pixels; 10⁶, rounded up, is never below either reading."""

DEFAULT_UNIT_PRICE_NANOUSD = NANOUSD_PER_USD // 10
"""$0.10 per megapixel: the model's page, read 2026-11-22."""

MAX_BILLED_UNITS = Decimal(1_000_000)
"""Megapixels; a thousand times what any job may have."""

UNREADABLE_UNITS = Decimal(-1)
"""Stands for a bill that is not a number, or is absurd. `is_plausible_bill` refuses it."""

UNREADABLE_PRICE_NANOUSD = -1
"""Stands for a price that is not a number, or is absurd."""

_STEPS_PER_FACTOR = 100

_FREE_EXCESS_NANOUSD = NANOUSD_PER_USD
_NUMBER = re.compile(r"\d{1,15}(\.\d{1,30})?([eE][+-]?\d{1,2})?", re.ASCII)
_MAX_NUMBER_CHARS = 64
_MAYBE_THOUSANDS = re.compile(r"[1-9]\d{0,2}[.,]\d{3}")


def output_size(width_px: int, height_px: int, factor: float) -> tuple[int, int]:
    """Return the enlarged size in pixels, each side rounded to the nearest pixel, at least 1."""
    exact = Fraction(str(factor))
    return max(1, round(width_px * exact)), max(1, round(height_px * exact))


def largest_output_size(width_px: int, height_px: int, factor: float) -> tuple[int, int]:
    """Return the enlarged size with each side rounded up: models may round either way, and no price may be too low.

    Computed from the decimal that is sent: 600 × 1.36 is 816, but as floats slightly more, which would give 817.
    """
    exact = Fraction(str(factor))
    return math.ceil(width_px * exact), math.ceil(height_px * exact)


def megapixels(width_px: int, height_px: int) -> int:
    """Return whole megapixels, rounded up, at least 1."""
    return max(1, math.ceil(width_px * height_px / PIXELS_PER_MEGAPIXEL))


def largest_factor(below: float, fits: Callable[[float], bool]) -> float | None:
    """Return the largest factor in hundredths from 1 to `below` that fits, or None."""
    steps = range(math.floor(below * _STEPS_PER_FACTOR + 1e-9), _STEPS_PER_FACTOR - 1, -1)
    return next((step / _STEPS_PER_FACTOR for step in steps if fits(step / _STEPS_PER_FACTOR)), None)


def factor_within(width_px: int, height_px: int, megapixels_: int, *, below: float) -> float | None:
    """Return the largest factor in hundredths, at most `below`, that is billed at most `megapixels_`, or None."""
    return largest_factor(below, lambda factor: quote(width_px, height_px, factor, 1).megapixels <= megapixels_)


def quote(
    width_px: int,
    height_px: int,
    factor: float,
    unit_price_nanousd: int,
    *,
    reduced_to: tuple[int, int] | None = None,
) -> Quote:
    """Return the estimate for enlarging by `factor`, without applying any limit or threshold.

    The model's output is what costs; `reduced_to` is the final size if it is reduced afterwards.
    """
    out_width, out_height = reduced_to or output_size(width_px, height_px, factor)
    ceiling = megapixels(*largest_output_size(width_px, height_px, factor))
    return Quote(
        width_px=width_px,
        height_px=height_px,
        out_width_px=out_width,
        out_height_px=out_height,
        megapixels=ceiling,
        unit_price_nanousd=unit_price_nanousd,
        estimate_nanousd=ceiling * unit_price_nanousd,
    )


def bounded_number(text: str) -> Decimal | None:
    """Parse a provider's non-negative number. Return None for anything that no bill can contain."""
    text = text.strip() if len(text) <= _MAX_NUMBER_CHARS else ""
    number = Decimal(text) if _NUMBER.fullmatch(text) else None
    return number if number is not None and number <= NANOUSD_PER_USD * MAX_BILLED_UNITS else None


def may_mean_thousands(number: str) -> bool:
    """Whether a typed number is ambiguous: `1,000` and `1.000` are a thousand to some people and one to others."""
    return _MAYBE_THOUSANDS.fullmatch(number) is not None


def is_plausible_bill(units: Decimal, unit_price_nanousd: int, estimate_nanousd: int) -> bool:
    """Whether a bill may be charged: at most twice the estimate, or at most $1.00 above it."""
    if not units.is_finite() or not 0 <= units <= MAX_BILLED_UNITS:
        return False
    amount = charge(units, unit_price_nanousd)
    return amount <= 2 * estimate_nanousd or amount - estimate_nanousd <= _FREE_EXCESS_NANOUSD


def charge(units: Decimal, unit_price_nanousd: int) -> int:
    """Convert billed units (megapixels, possibly fractional) to nano-dollars, rounded half up."""
    return int((units * unit_price_nanousd).to_integral_value(ROUND_HALF_UP))
