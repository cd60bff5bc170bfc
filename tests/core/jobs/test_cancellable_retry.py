"""Retries before the paid call: shown in the message, ended by a cancellation or a time limit."""

import asyncio
from collections import deque

import pytest

from core.domain.errors import DownloadFailed, ProviderUnavailable, UpscaleError
from core.domain.job import JobState, Source
from tests.core.jobs.pipeline_kit import ANN, World
from tests.fakes.images import fake_picture

PHOTO = "https://cdn.example/photo.png"


def attachment(w: World) -> Source:
    w.sources.pages[PHOTO] = fake_picture()
    return Source("attachment", url=PHOTO)


async def test_uploads_that_fal_does_not_take_for_minutes_are_waited_for_and_told(w: World) -> None:
    w.upscaler.faults["stage"].extend(ProviderUnavailable() for _ in range(12))
    job = await w.paid()
    told = [progress for progress in w.adapter.message(job).progress if progress.awaits == "accept"]
    assert told
    assert {progress.until_at for progress in told} == {told[0].until_at}


async def test_upload_and_submit_share_one_patience(w: World) -> None:
    w.upscaler.faults["stage"].extend(ProviderUnavailable() for _ in range(30))
    w.upscaler.script.extend(["not_sent"] * 200)
    began_at = w.clock.now()
    await w.ends(JobState.FAILED, charged=0)
    assert w.clock.now() - began_at < w.settings.submit_retry_s + 60


@pytest.mark.parametrize("where", ["stage", "submit", "source"])
async def test_a_cancel_ends_the_wait_at_once_and_nothing_is_paid(w: World, where: str) -> None:
    if where == "stage":
        w.upscaler.faults["stage"].extend(ProviderUnavailable() for _ in range(99))
    elif where == "submit":
        w.upscaler.script.extend(["not_sent"] * 99)
    else:
        w.sources.errors.extend(DownloadFailed(reason="connection") for _ in range(99))
    job = await w.ask(source=attachment(w))
    async with w.driving():
        await w.shows(job, "preparing" if where == "source" else "waiting")
        await asyncio.sleep(0.01)
        await w.service.cancel(job.id, ANN)
    await w.check_end(await w.job(job.id), JobState.CANCELLED, charged=0)
    assert w.upscaler.taken == {}


AWAY: dict[str, UpscaleError] = {
    "503": DownloadFailed(reason="status", status=503),
    "429": DownloadFailed(reason="status", status=429),
    "cut": DownloadFailed(reason="connection"),
    "slow": DownloadFailed(reason="timeout"),
}


@pytest.mark.parametrize("why", AWAY)
async def test_an_attachment_that_is_briefly_away_is_waited_for(w: World, why: str) -> None:
    w.sources.errors.extend([AWAY[why]] * 8)
    job = await w.paid(source=attachment(w))
    assert "source" in [progress.awaits for progress in w.adapter.message(job).progress]


async def test_an_attachment_whose_platform_does_not_say_where_it_is_is_waited_for(w: World) -> None:
    w.adapter.faults["download"] = deque(DownloadFailed(reason="connection") for _ in range(8))
    await w.paid(source=attachment(w))


async def test_an_attachment_that_is_gone_and_a_typed_link_that_fails_are_told_at_once(w: World) -> None:
    began_at = w.clock.now()
    w.sources.errors.append(DownloadFailed(reason="gone", status=404))
    await w.check_end(await w.done(source=attachment(w)), JobState.REFUSED, charged=0)
    w.sources.errors.append(DownloadFailed(reason="status", status=503))
    link = Source("link", url=PHOTO)
    await w.check_end(await w.done(source=link), JobState.REFUSED, charged=0)
    assert w.clock.now() - began_at < 10


async def test_an_attachment_that_stays_away_is_given_up_in_time(w: World) -> None:
    began_at = w.clock.now()
    w.sources.errors.extend(DownloadFailed(reason="connection") for _ in range(99))
    job = await w.done(source=attachment(w))
    assert isinstance(job.error, DownloadFailed)
    assert w.settings.source_retry_s - 60 < w.clock.now() - began_at < w.settings.source_retry_s + 60
