"""Identity across Slack teams, and access to private jobs."""

import dataclasses

import pytest

from core.domain import identity
from core.domain.errors import JobNotFound
from core.domain.identity import is_same_person
from core.domain.job import Job, JobState, Requester
from core.domain.variations import Change
from tests.core.jobs.pipeline_kit import ANN, BOB, World

MINE = Requester("slack", "U1", workspace_id="T1")
STRANGER = Requester("slack", "U1", workspace_id="T2", is_moderator=True)


def test_the_same_slack_id_in_another_team_is_another_person() -> None:
    assert not is_same_person(MINE, STRANGER)
    discord = Requester("discord", "1", workspace_id="a")
    assert is_same_person(discord, dataclasses.replace(discord, workspace_id="b")), "Discord's ids are global"


async def made(w: World, who: Requester, *, private: bool) -> Job:
    return await w.done(private=private, requester=who)


async def test_a_stranger_with_the_same_id_neither_sees_nor_stops_nor_lists_a_job(w: World) -> None:
    job = await made(w, MINE, private=False)
    for check in (identity.check_visible, identity.check_requester, identity.check_may_stop):
        with pytest.raises(JobNotFound):
            check(job, STRANGER)
    assert identity.check_requester(job, MINE) is job
    assert await w.store.history(STRANGER, limit=10) == []


async def test_a_private_job_does_not_exist_for_others_of_the_workspace(w: World) -> None:
    job = await w.done(private=True)
    assert identity.check_visible(job, ANN) is job
    with pytest.raises(JobNotFound):
        identity.check_visible(job, BOB)


async def test_a_moderator_may_stop_a_private_job_without_seeing_it(w: World) -> None:
    job = await w.done(private=True)
    moderator = dataclasses.replace(BOB, is_moderator=True)
    assert identity.check_may_stop(job, moderator) is job
    tries = (
        w.service.job(job.id, moderator),
        w.service.repeat(job.id, moderator, Change("twice_more"), key="fake:more", reply=job.reply),
        w.service.redeliver(job.id, moderator, reply=job.reply),
        w.service.share(job.id, moderator),
    )
    for attempt in tries:
        with pytest.raises(JobNotFound):
            await attempt


async def test_a_private_result_is_no_free_repeat_for_others(w: World) -> None:
    source = w.upload()
    job = await w.done(private=True, source=source)
    again = await w.done(private=True, source=source)
    other = await w.done(requester=BOB, source=source)
    assert job.state is again.state is other.state is JobState.SUCCEEDED
    assert [one.receipt.basis for one in (again, other) if one.receipt] == ["repeat", "units"]
