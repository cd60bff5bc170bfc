"""The output of `python -m bot job REF`."""

import dataclasses
from collections.abc import Mapping
from decimal import Decimal
from typing import TYPE_CHECKING, Any, cast

import pytest

from bot.cli.console import Exit
from bot.cli.jobs import job as show_job
from core.domain.errors import SubmitUnknown
from core.domain.job import Delivery, InputFacts, Job, JobState, Receipt, Remote
from core.domain.money import quote
from tests.bot.test_cli_words import job

if TYPE_CHECKING:
    from bot.app import App


class Store:
    """Jobs and incidents by reference."""

    def __init__(self, *jobs: Job, incidents: Mapping[str, Mapping[str, Any]] | None = None) -> None:
        self.jobs = {one.id: one for one in jobs}
        self.incidents = incidents or {}

    async def get(self, job_id: str) -> Job | None:
        return self.jobs.get(job_id)

    async def incident(self, reference: str) -> Mapping[str, Any] | None:
        return self.incidents.get(reference)


@dataclasses.dataclass
class Stand:
    """The part of the application that the command uses."""

    store: Store


async def shown(reference: str, store: Store, capsys: pytest.CaptureFixture[str]) -> tuple[Exit | None, str]:
    code = await show_job(cast("App", Stand(store)), reference)
    captured = capsys.readouterr()
    return code, captured.out + captured.err


DONE = job(
    input=InputFacts("jpeg", 100, 50, 12_345, "ab" * 32),
    quote=quote(100, 50, 2, 100_000_000),
    remote=Remote("fal", "https://v3.fal.media/secret", "sent", 1.0, "req-123"),
    receipt=Receipt(100_000_000, 200_000_000, "units", Decimal("1.000"), 100_000_000),
    delivery=Delivery("lossless_webp"),
    finished_at=61.0,
)


async def test_a_finished_job_is_explained_whole(capsys: pytest.CaptureFixture[str]) -> None:
    code, text = await shown(DONE.id, Store(DONE), capsys)
    assert code is None
    for fact in (
        "done",
        "ann",
        "JPEG, 100×50",
        "req-123",
        "$0.10",
        "fal billed 1 × $0.10",
        "1 min 0 s",
        "lossless WebP",
        "seed 7",
    ):
        assert fact in text
    assert "secret" not in text


async def test_fal_is_not_said_to_bill_play_money(capsys: pytest.CaptureFixture[str]) -> None:
    assert DONE.receipt is not None
    played = dataclasses.replace(DONE, receipt=dataclasses.replace(DONE.receipt, play_money=True))
    _, text = await shown(DONE.id, Store(played), capsys)
    assert "play money" in text
    assert "fal billed" not in text


async def test_a_reference_may_be_misread_in_the_usual_ways(capsys: pytest.CaptureFixture[str]) -> None:
    code, _ = await shown(" O123-4567-89AB ", Store(DONE), capsys)
    assert code is None


async def test_a_failure_is_told_in_plain_words_with_what_it_cost(capsys: pytest.CaptureFixture[str]) -> None:
    failed = dataclasses.replace(
        DONE,
        state=JobState.FAILED,
        result=None,
        delivery=None,
        error=SubmitUnknown(),
        remote=Remote("fal", "", "sending", 1.0, possible_double=True),
        receipt=Receipt(0, 100_000_000, "unknown"),
    )
    incident = {"reference": DONE.id, "at": 5.0, "area": "submit", "kind": "OSError", "job_id": DONE.id}
    _, text = await shown(DONE.id, Store(failed, incidents={DONE.id: incident}), capsys)
    for fact in (
        "failed",
        "did not confirm",
        "submit_unknown",
        "may still be billed",
        "whether it arrived",
        "OSError",
    ):
        assert fact in text
    assert "reconcile" in text


async def test_an_incident_outside_any_job_is_found_too(capsys: pytest.CaptureFixture[str]) -> None:
    incident = {"reference": "abc", "at": 5.0, "area": "http", "kind": "KeyError", "job_id": ""}
    code, text = await shown("ABC", Store(incidents={"abc": incident}), capsys)
    assert code is None
    assert "in http" in text
