"""A shared result: only its requester hands out the address, which ends with the picture."""

from __future__ import annotations

import dataclasses
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from bot.http.signed_links import FileLinks
from core.domain.errors import JobNotFound, NotAllowed, ResultExpired, TooLate
from core.jobs import share as sharing
from core.jobs.context import Tools
from tests.core.jobs.pipeline_kit import ANN, BOB, MOD, World, world

DAY_S = 86_400


@pytest.fixture
async def w(tmp_path: Path) -> AsyncIterator[World]:
    async with world(tmp_path) as made:
        yield made


def tools(w: World) -> Tools:
    return dataclasses.replace(w.tools, links=FileLinks(b"key", "https://bot.example", DAY_S, w.clock))


async def test_only_the_requester_shares_and_the_address_shows_this_job_alone(w: World) -> None:
    job, other = await w.done(), await w.done(key="other")
    for person in (BOB, MOD):
        with pytest.raises(NotAllowed):
            await sharing.share(tools(w), job.id, person)
    url = await sharing.share(tools(w), job.id, ANN)
    assert url is not None
    base, _, signature = url.rpartition("/")
    assert base == f"https://bot.example/share/{job.id}"
    assert (await sharing.shared(tools(w), job.id, signature)).id == job.id
    file_signature = str(tools(w).links.link(job.id, "result.png")).partition("sig=")[2]
    for wrong in (signature[:-1] + "x", "9" + signature, "", file_signature):
        with pytest.raises(JobNotFound):
            await sharing.shared(tools(w), job.id, wrong)
    with pytest.raises(JobNotFound):
        await sharing.shared(tools(w), other.id, signature)


async def test_deleting_ends_a_shared_address_and_so_does_its_time(w: World) -> None:
    job, later = await w.done(), await w.done(key="later")
    signatures = [str(await sharing.share(tools(w), one.id, ANN)).rpartition("/")[2] for one in (job, later)]
    await w.service.delete(job.id, ANN)
    with pytest.raises(ResultExpired):
        await sharing.shared(tools(w), job.id, signatures[0])
    with pytest.raises(TooLate):
        await sharing.share(tools(w), job.id, ANN)
    w.clock.at += DAY_S + 1
    with pytest.raises(JobNotFound):
        await sharing.shared(tools(w), later.id, signatures[1])


async def test_without_a_public_address_there_is_nothing_to_share(w: World) -> None:
    job = await w.done()
    assert (w.service.can_share, await w.service.share(job.id, ANN)) == (False, None)
