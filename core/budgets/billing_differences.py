"""Compares the ledger's charges with the provider's billing events, to the nano-dollar. Pure."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from decimal import Decimal
from typing import Literal

from core.ports import BillingEvent

BILLING_DELAY_S = 3600.0
"""fal's billing events appear some time after a request; a younger request is not expected in them."""

Kind = Literal["amount", "not_charged", "not_billed", "unknown_request", "unreadable"]


@dataclass(frozen=True, slots=True)
class Charge:
    """What the ledger has for one request that reached the provider. `at` is when it was made, in unix seconds."""

    job_id: str
    request_id: str
    at: float
    charged_nanousd: int
    settled: bool = True
    ended_at: float = 0.0


@dataclass(frozen=True, slots=True)
class Difference:
    """`ours_nanousd` is None without a job of ours, `theirs_nanousd` without a billing event that can be read.

    - `amount`: charged and billed, with different amounts.
    - `not_charged`: billed, but not charged.
    - `not_billed`: charged, but not billed.
    - `unknown_request`: billed, but without a job of ours (erased, or sent by another program with this key).
    - `unreadable`: the billing event has no readable cost or units.
    """

    kind: Kind
    request_id: str
    job_id: str
    at: float
    ours_nanousd: int | None
    theirs_nanousd: int | None
    units: Decimal = Decimal(0)


@dataclass(frozen=True, slots=True)
class Comparison:
    """All differences, oldest first, and the sums of both sides."""

    differences: tuple[Difference, ...]
    compared: int
    ours_nanousd: int
    theirs_nanousd: int


def compare(charges: Iterable[Charge], events: Iterable[BillingEvent], *, now: float) -> Comparison:
    """The events of one request are added up."""
    ours = {charge.request_id: charge for charge in charges}
    theirs = _summed(events)
    unknown = [
        Difference(
            "unreadable" if event.cost_nanousd is None else "unknown_request",
            *(request_id, "", event.at, None, event.cost_nanousd, event.units),
        )
        for request_id, event in theirs.items()
        if request_id not in ours and event.cost_nanousd != 0
    ]
    found = [*_ours_differing(ours, theirs, now), *unknown]
    return Comparison(
        differences=tuple(sorted(found, key=lambda difference: difference.at)),
        compared=len(ours.keys() | theirs.keys()),
        ours_nanousd=sum(charge.charged_nanousd for charge in ours.values()),
        theirs_nanousd=sum(event.cost_nanousd or 0 for event in theirs.values()),
    )


def _summed(events: Iterable[BillingEvent]) -> dict[str, BillingEvent]:
    sums: dict[str, BillingEvent] = {}
    for event in events:
        known = sums.get(event.request_id)
        if known is not None:
            costs = (known.cost_nanousd, event.cost_nanousd)
            cost = None if None in costs else sum(filter(None, costs))
            event = BillingEvent(event.request_id, min(known.at, event.at), known.units + event.units, cost)
        sums[event.request_id] = event
    return sums


def _ours_differing(ours: Mapping[str, Charge], theirs: Mapping[str, BillingEvent], now: float) -> Iterable[Difference]:
    for request_id, charge in ours.items():
        event = theirs.get(request_id)
        if event is None:
            if charge.charged_nanousd and now - max(charge.at, charge.ended_at) > BILLING_DELAY_S:
                yield Difference("not_billed", request_id, charge.job_id, charge.at, charge.charged_nanousd, None)
        elif event.cost_nanousd != charge.charged_nanousd and charge.settled:
            kind: Kind = "amount" if charge.charged_nanousd else "not_charged"
            if event.cost_nanousd is None:
                kind = "unreadable"
            yield Difference(
                kind, request_id, charge.job_id, charge.at, charge.charged_nanousd, event.cost_nanousd, event.units
            )
