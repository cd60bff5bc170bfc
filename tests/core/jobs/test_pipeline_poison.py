"""A bill out of range: the result arrives, the estimate is charged, and the operator is told."""

from decimal import Decimal

import pytest

from core.domain.errors import ModelFailed
from core.domain.job import JobState
from core.domain.money import UNREADABLE_UNITS
from core.presentation.texts.operator_texts import unclear_bill
from core.presentation.texts.price_texts import charge_text
from tests.core.jobs.pipeline_kit import PRICE, World
from tests.fakes.operator import Told
from tests.typed import unwrap

POISON = (Decimal(1000), Decimal("1e30"), Decimal("1e25"), Decimal("1E+300000"), UNREADABLE_UNITS)


@pytest.fixture
def told(w: World) -> Told:
    w.put(operator=(told := Told()))
    return told


@pytest.mark.parametrize("units", POISON, ids=str)
async def test_an_absurd_bill_is_charged_at_the_estimate_marked_and_told(w: World, told: Told, units: Decimal) -> None:
    w.upscaler.units = units
    job = await w.paid()
    assert job.receipt
    assert (job.receipt.basis, job.receipt.unclear) == ("unknown", True), "so that reconciliation corrects it"
    assert charge_text(job.receipt, "en") == "Charged $0.10, to be checked."
    assert told == [("bill", unclear_bill(job.id, PRICE, "en"))]


async def test_an_absurd_bill_of_a_failed_job_is_the_estimate_too(w: World, told: Told) -> None:
    w.upscaler.faults["result"].append(ModelFailed(kind="x", billed=True, billed_units=Decimal("1e25")))
    job = await w.done()
    assert (job.state, unwrap(job.receipt).charged_nanousd) == (JobState.FAILED, PRICE)
    assert told == [("bill", unclear_bill(job.id, PRICE, "en"))]


async def test_a_bill_a_little_above_the_estimate_is_charged_as_it_is(w: World, told: Told) -> None:
    w.upscaler.units = Decimal(11)
    await w.check_end(await w.done(), JobState.SUCCEEDED, charged=11 * PRICE)
    assert told == []
