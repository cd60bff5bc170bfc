"""Checks amounts against limits, and computes the largest factor that still fits. Pure."""

import dataclasses
from collections.abc import Iterable, Sequence

from core.domain.errors import LimitReached
from core.domain.job import Quote
from core.domain.limits import Limit, LimitStatus, Measure
from core.domain.money import factor_within

_FOREVER = float("inf")


def needed(limit: Limit, amount_nanousd: int, megapixels: int, jobs: int = 1) -> int:
    """The amount that so many jobs need of this limit together, in the limit's unit."""
    match limit.measure:
        case Measure.USD:
            return amount_nanousd
        case Measure.MEGAPIXELS:
            return megapixels
        case Measure.JOBS | Measure.RUNNING:
            return jobs


def failing(statuses: Iterable[LimitStatus], amount_nanousd: int, megapixels: int, jobs: int = 1) -> list[LimitStatus]:
    return [status for status in statuses if needed(status.limit, amount_nanousd, megapixels, jobs) > status.left]


def reached(failed: Iterable[LimitStatus], amount_nanousd: int, megapixels: int) -> LimitReached:
    """The error for the limit that reopens last, since the job cannot run before; on a tie, the one with least left.

    A limit that is too small for the job as a whole never opens for it.
    """

    def opens(status: LimitStatus) -> tuple[float, int]:
        never = status.opens_at is None or needed(status.limit, amount_nanousd, megapixels) > status.limit.amount
        return _FOREVER if never else status.opens_at or 0.0, -status.left

    worst = max(failed, key=opens)
    return LimitReached(status=worst, needed=needed(worst.limit, amount_nanousd, megapixels))


def refusal(asked: Quote, statuses: Iterable[LimitStatus]) -> LimitReached | None:
    """The error with which a hold for this quote would probably be refused; the hold itself decides.

    Limits on running jobs only delay.
    """
    failed = _refusing(failing(statuses, asked.estimate_nanousd, asked.megapixels))
    return reached(failed, asked.estimate_nanousd, asked.megapixels) if failed else None


def too_many_for(quotes: Sequence[Quote]) -> tuple[LimitStatus, ...]:
    """The limits that would refuse one of these quotes if all were held; what sponsors do not pay, members do."""
    if not quotes:
        return ()
    amount_nanousd, megapixels = sum(one.estimate_nanousd for one in quotes), sum(one.megapixels for one in quotes)
    failed = _refusing(failing(quotes[0].left, amount_nanousd, megapixels, len(quotes)))
    return tuple(status for status in failed if status.limit.source != "sponsor")


def _refusing(failed: Iterable[LimitStatus]) -> list[LimitStatus]:
    return [status for status in failed if status.limit.measure is not Measure.RUNNING]


def megapixels_left(statuses: Iterable[LimitStatus], unit_price_nanousd: int) -> int | None:
    """Whole megapixels that all limits on money, megapixels and jobs still allow; None without such a limit."""
    room: list[int] = []
    for status in statuses:
        if status.limit.measure is Measure.USD and unit_price_nanousd > 0:
            room.append(status.left // unit_price_nanousd)
        elif status.limit.measure is Measure.MEGAPIXELS:
            room.append(status.left)
        elif status.limit.measure is Measure.JOBS and status.left < 1:
            room.append(0)
    return min(room, default=None)


def with_offer(error: LimitReached, room: int | None, asked: Quote) -> LimitReached:
    """The same error with the largest factor that is billed at most `room` megapixels, if there is one."""
    if room is None or room < 1:
        return error
    below = max(asked.out_width_px / asked.width_px, asked.out_height_px / asked.height_px)
    factor = factor_within(asked.width_px, asked.height_px, room, below=below)
    return dataclasses.replace(error, largest_factor=factor)
