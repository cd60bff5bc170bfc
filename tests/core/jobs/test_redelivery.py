"""The buttons of a result that was sent again are about the job that made it, also for others who sent it again."""

from collections.abc import Awaitable, Callable

import pytest

from core.domain.errors import JobNotFound, NotAllowed, ResultExpired, TooLate
from core.domain.job import Job, JobState, ReplyAddress, Requester
from core.domain.variations import Change
from tests.core.jobs.pipeline_kit import ANN, BOB, PRICE, World
from tests.typed import unwrap

THERE = ReplyAddress("fake", {"message": "there"})


async def sent_again(w: World, job: Job, actor: Requester = ANN) -> Job:
    return await w.driven((await w.service.redeliver(job.id, actor, reply=THERE)).id)


async def press(w: World, job: Job, kind: str, actor: Requester = ANN) -> Job:
    made = await w.service.repeat(job.id, actor, Change.of(kind), key=f"press:{kind}", reply=THERE)
    return await w.driven(made.id)


@pytest.mark.parametrize(("kind", "width_px"), [("again", 600), ("more_creative", 600), ("twice_more", 1200)])
async def test_a_new_job_is_made_from_the_original_as_the_price_on_the_button_says(
    w: World, kind: str, width_px: int
) -> None:
    again = await sent_again(w, await sent_again(w, await w.done()))
    assert unwrap((await press(w, again, kind)).input).width_px == width_px


async def test_the_whole_picture_of_a_preview_is_whole(w: World) -> None:
    asked = await w.done(source=w.upload(4000, 3000), text="creativity=0.5")
    again = await sent_again(w, await press(w, asked, "preview"))
    whole = await press(w, again, "whole")
    assert (unwrap(whole.input).width_px, unwrap(whole.quote).estimate_nanousd) == (4000, 48 * PRICE)
    assert (await w.job(asked.id)).state is JobState.CANCELLED


@pytest.mark.parametrize("pressed_under", ["the first message", "a later one"])
async def test_delete_deletes_the_images_and_every_caption(w: World, pressed_under: str) -> None:
    job = await w.done()
    again, bobs = await sent_again(w, job), await sent_again(w, job, BOB)
    await w.service.delete((job if pressed_under == "the first message" else again).id, ANN)
    for one in (job, again, bobs):
        row = await w.job(one.id)
        assert (row.images_deleted, unwrap(row.result).caption) == (True, "")
    assert not list((w.folder / "jobs").rglob("*.*"))
    assert w.upscaler.calls["erase"] == 1
    tries: tuple[Callable[[], Awaitable[object]], ...] = (
        lambda: w.service.share(again.id, ANN),
        lambda: press(w, again, "again"),
        lambda: w.service.redeliver(again.id, ANN, reply=THERE),
    )
    for attempt in tries:
        with pytest.raises((TooLate, ResultExpired)):
            await attempt()


async def test_who_had_it_sent_again_may_neither_share_nor_delete_it(w: World) -> None:
    job = await w.done()
    bobs = await sent_again(w, job, BOB)
    for attempt in (w.service.share(bobs.id, BOB), w.service.delete(bobs.id, BOB)):
        with pytest.raises(NotAllowed):
            await attempt
    assert (await w.job(job.id)).has_image
    await w.members.erase(ANN)
    with pytest.raises(JobNotFound):
        await w.service.job(bobs.id, BOB)
