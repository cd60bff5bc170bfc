"""The comparison of the ledger with the provider's bill."""

from decimal import Decimal

from hypothesis import given
from hypothesis import strategies as st

from core.budgets.billing_differences import BILLING_DELAY_S, Charge, compare
from core.ports import BillingEvent

NOW = 1_000_000.0
LONG_AGO = NOW - 2 * BILLING_DELAY_S


def charge(request_id: str, nanousd: int, *, at: float = LONG_AGO, settled: bool = True) -> Charge:
    return Charge(f"job-{request_id}", request_id, at, nanousd, settled)


def event(request_id: str, nanousd: int | None, units: str = "1") -> BillingEvent:
    return BillingEvent(request_id, LONG_AGO, Decimal(units), nanousd)


def test_equal_sides_have_no_difference() -> None:
    found = compare([charge("a", 5), charge("b", 0)], [event("a", 5)], now=NOW)
    assert found.differences == ()
    assert (found.compared, found.ours_nanousd, found.theirs_nanousd) == (2, 5, 5)


def test_every_kind_of_difference_is_listed() -> None:
    ours = [charge("amount", 5), charge("free", 0), charge("unbilled", 7), charge("odd", 4), charge("half", 4)]
    theirs = [event("amount", 6), event("free", 3), event("stranger", 9), event("odd", None), event("", None)]
    theirs += [event("half", 4), event("half", None)]
    found = {
        d.request_id: (d.kind, d.ours_nanousd, d.theirs_nanousd) for d in compare(ours, theirs, now=NOW).differences
    }
    assert found == {
        "amount": ("amount", 5, 6),
        "free": ("not_charged", 0, 3),
        "unbilled": ("not_billed", 7, None),
        "stranger": ("unknown_request", None, 9),
        "odd": ("unreadable", 4, None),
        "half": ("unreadable", 4, None),
        "": ("unreadable", None, None),
    }


def test_a_fresh_request_is_not_missed_yet() -> None:
    assert compare([charge("a", 5, at=NOW - 10)], [], now=NOW).differences == ()


def test_a_running_job_is_not_compared_by_amount() -> None:
    for theirs in (5, None):
        assert compare([charge("a", 0, settled=False)], [event("a", theirs)], now=NOW).differences == ()


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
