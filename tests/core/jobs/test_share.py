"""Public links to results: made by the requester only, valid while the result is kept."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from core.domain.errors import JobNotFound, NotAllowed, ResultExpired, TooLate
from core.net.signed_links import FileLinks
from tests.core.jobs.pipeline_kit import ANN, BOB, MOD, World, world
from tests.typed import unwrap

DAY_S = 86_400


@pytest.fixture
async def w(tmp_path: Path) -> AsyncIterator[World]:
    async with world(tmp_path) as made:
        made.put(links=FileLinks(b"key", "https://bot.example", DAY_S, made.clock))
        yield made


async def test_only_the_requester_shares_and_the_address_shows_this_job_alone(w: World) -> None:
    job, other = await w.done(), await w.done(key="other")
    for person in (BOB, MOD):
        with pytest.raises(NotAllowed):
            await w.service.share(job.id, person)
    url = unwrap(await w.service.share(job.id, ANN))
    base, _, signature = url.rpartition("/")
    assert base == f"https://bot.example/share/{job.id}"
    assert (await w.service.shared(job.id, signature)).id == job.id
    file_signature = str(w.ctx.links.file_url(job.id, "result.png")).partition("sig=")[2]
    for wrong in (signature[:-1] + "x", "9" + signature, "", file_signature):
        with pytest.raises(JobNotFound):
            await w.service.shared(job.id, wrong)
    with pytest.raises(JobNotFound):
        await w.service.shared(other.id, signature)


async def test_deleting_ends_a_shared_address_and_so_does_its_time(w: World) -> None:
    job, later = await w.done(), await w.done(key="later")
    signatures = [str(await w.service.share(one.id, ANN)).rpartition("/")[2] for one in (job, later)]
    await w.service.delete(job.id, ANN)
    with pytest.raises(ResultExpired):
        await w.service.shared(job.id, signatures[0])
    with pytest.raises(TooLate):
        await w.service.share(job.id, ANN)
    w.clock.at += DAY_S + 1
    with pytest.raises(JobNotFound):
        await w.service.shared(later.id, signatures[1])


@pytest.mark.parametrize("public_url", [None, "https://bot.example/upscale"])
async def test_without_a_public_address_of_the_page_there_is_nothing_to_share(w: World, public_url: str | None) -> None:
    w.put(links=FileLinks(b"key", public_url, DAY_S, w.clock))
    job = await w.done()
    assert (w.service.can_share, await w.service.share(job.id, ANN)) == (False, None)
