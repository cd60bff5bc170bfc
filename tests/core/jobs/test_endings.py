"""Every job's message ends with a true final edit; a place that refuses messages costs nothing."""

import asyncio

import pytest
from sqlalchemy.exc import OperationalError
from structlog.testing import capture_logs

from core.domain.errors import DeliveryRefused, DeliveryUnavailable, InternalError, PlaceRefused, StorageUnavailable
from core.domain.job import Delivery, JobState
from tests.core.jobs.pipeline_kit import ANN, PRICE, World
from tests.fakes.chat import FakeReply
from tests.typed import unwrap

REFUSALS: dict[str, list[Exception]] = {
    **{reason: [DeliveryRefused(reason=reason)] for reason in ("gone", "forbidden", "revoked", "too_old", "refused")},
    "away": [DeliveryUnavailable() for _ in range(600)],
    "bugs": [ZeroDivisionError() for _ in range(9)],
}


@pytest.mark.parametrize("why", REFUSALS)
async def test_a_picture_refused_for_any_reason_ends_in_words_that_say_where_it_is_and_what_it_cost(
    w: World, why: str
) -> None:
    w.adapter.faults["finished"].extend(REFUSALS[why])
    job = await w.done()
    last = w.adapter.message(job).last

    assert (job.state, job.delivery) == (JobState.SUCCEEDED, Delivery("kept"))
    assert last.kind == "closed"
    assert unwrap(last.notice).text == (
        "The image is ready, but it could not be delivered here. Charged $0.10. It is kept; find it in your history."
    )
    assert last.job.delivery == Delivery("kept")
    assert (await w.money(job.id)).charged == PRICE


@pytest.mark.parametrize("place", ["direct_message", "new_message"])
async def test_a_picture_that_went_elsewhere_closes_the_message_where_it_was_asked(
    w: World, place: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def finished(self: FakeReply, job: object, left: object) -> Delivery:
        return Delivery("original", place)  # type: ignore[arg-type]

    monkeypatch.setattr(FakeReply, "finished", finished)
    job = await w.done()
    last = w.adapter.message(job).last
    assert last.kind == "closed"
    said = {"direct_message": "as a direct message", "new_message": "as a new message"}[place]
    assert said in unwrap(last.notice).text


async def test_words_that_cannot_be_shown_at_once_are_tried_again(w: World) -> None:
    w.adapter.faults["finished"].append(DeliveryRefused(reason="refused"))
    w.adapter.faults["closed"].extend([DeliveryUnavailable(retry_after_s=47.0), ZeroDivisionError()])
    job = await w.done()
    await w.pass_time(40)
    assert w.adapter.message(job).kinds("closed") == []
    await w.pass_time(60)
    assert w.adapter.message(job).last.kind == "closed"


async def test_a_picture_in_its_own_message_needs_no_words(w: World) -> None:
    job = await w.done()
    assert w.adapter.message(job).kinds("closed") == []


async def test_a_place_that_refuses_for_good_ends_the_job_before_anything_is_paid(w: World) -> None:
    w.adapter.faults["progress"].append(DeliveryRefused(reason="forbidden"))
    w.adapter.reachable = False
    job = await w.done()
    assert isinstance(job.error, PlaceRefused)
    await w.check_end(job, JobState.REFUSED, charged=0)
    assert w.upscaler.taken == {}


async def test_a_place_that_refuses_while_direct_messages_go_stops_nothing(w: World) -> None:
    w.adapter.faults["progress"].append(DeliveryRefused(reason="gone"))
    await w.paid()


async def test_delete_works_from_the_moment_the_picture_can_be_seen(w: World) -> None:
    gate = w.adapter.gates["finished"] = asyncio.Event()
    job = await w.ask()
    task = asyncio.create_task(w.run_part(f"{job.id}:request"))
    async with asyncio.timeout(10):
        while not w.adapter.calls["finished"]:
            await asyncio.sleep(0)
        deleted = await w.service.delete(job.id, ANN)
        gate.set()
        await task
    assert deleted.images_deleted
    ended = await w.job(job.id)
    assert (ended.state, ended.images_deleted) == (JobState.SUCCEEDED, True)


async def test_an_error_of_the_database_is_told_without_writing_to_it(
    w: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    trouble = OperationalError("select", {}, Exception("database or disk is full"))

    async def away(*_: object, **__: object) -> None:
        raise trouble

    monkeypatch.setattr(w.ctx.store, "add_incident", away)
    with capture_logs() as logged:
        assert isinstance(await w.service.incidents.unforeseen("chat", trouble), StorageUnavailable)
    assert logged[0]["reason"] == "The disk is full: make room where DATA_DIR lies."
    unforeseen = await w.service.incidents.unforeseen("chat", ZeroDivisionError())
    assert isinstance(unforeseen, InternalError)
    assert unforeseen.reference
