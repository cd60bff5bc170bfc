"""What still fits: the largest factor that the limits leave room for. Pure."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Iterable

from core.errors import LimitReached
from core.jobs import Quote
from core.limits import LimitStatus, Measure
from core.pricing import quote

_STEPS_PER_FACTOR = 20
"""Offers are multiples of 0.05: `1.65×` reads well on a button."""

_SMALLEST_FACTOR = 1.0
_LARGEST_FACTOR = 4.0


def megapixels_left(statuses: Iterable[LimitStatus], unit_price_nanousd: int) -> int | None:
    """Whole megapixels that every limit of money, megapixels and jobs still allows; None without such a limit."""
    room: list[int] = []
    for status in statuses:
        if status.limit.measure is Measure.USD and unit_price_nanousd > 0:
            room.append(status.left // unit_price_nanousd)
        elif status.limit.measure is Measure.MEGAPIXELS:
            room.append(status.left)
        elif status.limit.measure is Measure.JOBS and status.left < 1:
            room.append(0)
    return min(room, default=None)


def largest_factor(width_px: int, height_px: int, megapixels: int, *, below: float = _LARGEST_FACTOR) -> float | None:
    """The largest factor in steps of 0.05, at most `below`, whose price is within this many megapixels, or None."""
    step = math.floor(below * _STEPS_PER_FACTOR + 1e-9)
    while step >= _SMALLEST_FACTOR * _STEPS_PER_FACTOR:
        factor = step / _STEPS_PER_FACTOR
        if quote(width_px, height_px, factor, 1).megapixels <= megapixels:
            return factor
        step -= 1
    return None


def with_offer(error: LimitReached, statuses: Iterable[LimitStatus], asked: Quote) -> LimitReached:
    """The same refusal with the largest factor that all of these limits would let through now, if there is one."""
    room = megapixels_left(statuses, asked.unit_price_nanousd)
    if room is None or room < 1:
        return error
    below = max(asked.out_width_px / asked.width_px, asked.out_height_px / asked.height_px)
    factor = largest_factor(asked.width_px, asked.height_px, room, below=min(below, _LARGEST_FACTOR))
    return dataclasses.replace(error, largest_factor=factor)
