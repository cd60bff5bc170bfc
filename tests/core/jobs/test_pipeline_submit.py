"""The paid call: made once whatever the network does, and found again after a lost answer."""

import dataclasses
from typing import Any, cast

import pytest

from core.domain.errors import ModelFailed, ProviderBusy, SubmitUnknown
from core.domain.job import Job, JobState, Source
from core.jobs.steps import StepName
from core.ports import SearchResult
from tests.core.jobs.pipeline_kit import World
from tests.fakes.operator import Told
from tests.fakes.upscaler import Submit
from tests.typed import unwrap


async def succeeded(w: World, job: Job | None = None) -> Job:
    job = await w.paid(job)
    assert w.upscaler.accepted[job.id] == 1
    return job


async def test_a_submit_that_never_left_is_tried_again(w: World) -> None:
    w.upscaler.script.extend(["not_sent"] * 4)
    job = await succeeded(w)
    assert w.upscaler.posts[job.id] == 1


async def test_a_busy_provider_is_asked_again_when_it_said(w: World) -> None:
    w.upscaler.script.extend(["busy", "busy"])
    await succeeded(w)
    assert w.clock.slept.count(7) == 2


async def test_a_provider_that_stays_busy_fails_the_job_uncharged(w: World) -> None:
    w.upscaler.script.extend(["busy"] * 400)
    job = await w.ends(JobState.FAILED, charged=0)
    assert isinstance(job.error, ProviderBusy)


async def test_a_lost_answer_is_found_and_never_posted_again(w: World) -> None:
    w.upscaler.script.append("lost")
    job = await succeeded(w)
    assert w.upscaler.posts[job.id] == 1


async def test_a_lost_request_that_is_listed_only_once_it_has_ended_is_waited_for(w: World) -> None:
    w.upscaler.script.append("lost")
    w.upscaler.hold, w.upscaler.listing = True, "completed"
    job = await w.ask()
    search = w.upscaler.find

    async def find(staged_url: str, **given: Any) -> SearchResult:
        if w.upscaler.calls["find"] == 5:
            w.upscaler.of(job.id).finish()
        return await search(staged_url, **given)

    w.upscaler.find = find  # type: ignore[method-assign]
    await succeeded(w, job)


UNCLEAR: dict[str, tuple[Submit, Any, float]] = {
    "its answer is lost and the listing broken": ("lost", "broken", 600),
    "it surely cannot be found": ("dropped", "always", 600),
    "a gateway refused it, and nothing is found": ("refused", "always", 600),
    "nothing can be searched, which the member learns soon": ("lost", "forbidden", 30),
}


@pytest.mark.parametrize("why", UNCLEAR)
async def test_a_submit_that_stays_unclear_fails_uncharged_and_is_never_posted_again(w: World, why: str) -> None:
    step, w.upscaler.listing, within_s = UNCLEAR[why]
    w.upscaler.script.append(step)
    began = w.clock.now()
    job = await w.ends(JobState.FAILED, charged=0)
    assert isinstance(job.error, SubmitUnknown)
    assert unwrap(job.remote).possible_double
    assert w.upscaler.posts[job.id] == 1
    assert w.clock.now() - began < within_s


@pytest.mark.parametrize("later_s", [-30.0, 30.0])
async def test_a_request_is_posted_again_only_where_the_listing_shows_a_running_one_made_later(
    w: World, later_s: float
) -> None:
    w.upscaler.hold = True
    other = await w.ask_until("wait")
    remote = (await w.job(other.id)).remote
    assert remote is not None
    w.upscaler.script.append("dropped")
    job = await w.ask_until("submit")
    await w.store.update(other.id, remote=dataclasses.replace(remote, intent_at=w.clock.now() + later_s))
    await w.run_step(f"{job.id}:request")
    assert w.upscaler.posts[job.id] == (2 if later_s > 0 else 1)
    assert w.upscaler.accepted[job.id] == (1 if later_s > 0 else 0)


async def test_a_webhook_names_the_request_whose_answer_was_lost(w: World) -> None:
    w.upscaler.script.append("lost")
    w.upscaler.listing = "broken"
    job = await w.ask()
    search = w.upscaler.find

    async def find(staged_url: str, **given: Any) -> SearchResult:
        if w.upscaler.calls["find"] == 3:
            stored = await w.job(job.id)
            assert stored.remote is not None
            named = dataclasses.replace(stored.remote, submit="sent", request_id=next(iter(w.upscaler.taken)))
            await w.store.update(job.id, remote=named)
        return await search(staged_url, **given)

    w.upscaler.find = find  # type: ignore[method-assign]
    await succeeded(w, job)


async def test_a_crash_after_the_bytes_left_is_searched_for_not_posted_again(w: World) -> None:
    job = await w.ask_until("submit")

    async def crash(_: str) -> None:
        raise KeyboardInterrupt

    w.upscaler.on_submit = crash
    with pytest.raises(KeyboardInterrupt):
        await w.run_step(f"{job.id}:request")
    w.upscaler.on_submit = None
    await w.crash()
    await succeeded(w, job)
    assert w.upscaler.posts[job.id] == 1


async def test_another_machine_that_has_no_files_goes_on_from_every_step(w: World) -> None:

    steps: list[StepName] = ["hold", "submit", "wait", "collect", "deliver"]
    for number, step in enumerate(steps):
        job = await w.ask(source=Source("link", url=f"https://example.org/{number}.png"))
        await w.steps_until(job.id, step)
        w.forget_files()
        await w.crash()
        await succeeded(w, job)


async def test_an_upload_that_the_other_machine_never_had_fails_kindly_and_uncharged(w: World) -> None:
    job = await w.ask_until("submit")
    w.forget_files()
    for path in (w.folder / "uploads").iterdir():
        path.unlink()
    await w.crash()
    job = await w.ends(JobState.REFUSED, charged=0, job=job)
    assert w.adapter.message(job).notice.charged


async def test_a_refusal_at_the_submit_that_has_no_name_is_told_to_the_operator(w: World) -> None:
    w.upscaler.script.append(ModelFailed(kind="http_431", billed=False))
    job = await w.ends(JobState.FAILED, charged=0)
    [(about, notice)] = cast(Told, w.ctx.operator)
    assert (about, notice.what) == ("submit", f"fal refused job {job.id} for an unknown reason (http_431).")
