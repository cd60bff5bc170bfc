"""Two processes consider a job theirs: one pays, posts and settles, the other changes nothing."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
from structlog.testing import capture_logs

from core.domain.errors import InternalError, ResultExpired, SubmitUnknown
from core.domain.job import Job, JobState, Remote
from core.engine.engine import Engine
from core.engine.replicas import Replicas
from core.jobs.steps import submit
from core.ports import NotOwner, awake_clock_s, owning
from tests.core.jobs.pipeline_kit import PRICE, World
from tests.fakes.process import STORE_CALLS, Fuse, Fused

pytestmark = pytest.mark.usefixtures("any_database_url")

_CALLS = STORE_CALLS - {"delivery_state", "change_delivery_state"}


class UntilStopped:
    """A lease that is valid until the process is stopped."""

    def __init__(self, token: str) -> None:
        self.token = token

    async def confirm(self) -> float:
        return 0.5


class Frozen(Fuse):
    """Suspends the process at one call, until it is resumed."""

    def __init__(self, at: int) -> None:
        super().__init__()
        self._at = at
        self.stopped = asyncio.Event()
        self.thawed = asyncio.Event()

    async def burn(self) -> None:
        self.burnt += 1
        if self.burnt == self._at:
            self.stopped.set()
            await self.thawed.wait()


@asynccontextmanager
async def other_process(w: World) -> AsyncIterator[World]:
    """Another process on the same database, disk, model and chat, which considers the first one dead."""
    other = World(w.folder, w.url, settings=w.settings)
    other.clock, other.upscaler, other.adapter = w.clock, w.upscaler, w.adapter
    await other.open()
    try:
        yield other
    finally:
        await other.close()


async def take_over(w: World, other: World, job: Job) -> None:
    replicas = Replicas(other.database)
    await replicas.revoke(w.replica)
    other.engine.steps[f"{job.id}:request"] = "prepare"
    other.grouped = True
    await other.drive()
    await replicas.remove(w.replica)


async def run_frozen(w: World, at: int, monkeypatch: pytest.MonkeyPatch) -> tuple[Job, bool]:
    """Suspend a job's process at this call, let another process end the job, resume; whether the call was reached."""
    w.fuse = frozen = Frozen(at)
    # Inside a platform call, which is an edit and may be repeated, are no instants: only before and after it.
    lease = UntilStopped(w.ctx.lease.token)
    w.ctx = w.pipeline.ctx = w.make_context(
        adapters={"fake": w.adapter}, store=Fused(w.store, frozen, _CALLS), lease=lease
    )
    monkeypatch.setattr(submit, "awake_clock_s", lambda: 1.0 if frozen.stopped.is_set() else 0.0)
    job = await w.ask()
    w.grouped = True
    running = asyncio.create_task(w.drive())
    stopped = asyncio.create_task(frozen.stopped.wait())
    try:
        async with asyncio.timeout(30):
            await asyncio.wait({running, stopped}, return_when=asyncio.FIRST_COMPLETED)
            if not frozen.stopped.is_set():
                await running
                return job, False
            async with other_process(w) as other:
                await take_over(w, other, job)
                ended = await other.job(job.id)
                frozen.thawed.set()
                await asyncio.gather(running, return_exceptions=True)
                after = await other.job(job.id)
                assert (after.state, after.receipt, after.remote) == (ended.state, ended.receipt, ended.remote)
                paid = after.state is JobState.SUCCEEDED
                await other.check_end(after, after.state, charged=PRICE if paid else 0)
                assert paid or isinstance(after.error, SubmitUnknown)
                assert (w.upscaler.posts[job.id], w.adapter.message(job).pictures) == (paid, paid)
        return job, True
    finally:
        for task in (running, stopped):
            task.cancel()
        await asyncio.gather(running, stopped, return_exceptions=True)
        w.engine.steps.clear()


async def test_whenever_a_process_is_stopped_taken_over_and_thawed_one_request_and_one_picture_are_made(
    w: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    instant, found, unclear = 1, True, 0
    while found:
        job, found = await run_frozen(w, instant, monkeypatch)
        unclear += found and (await w.job(job.id)).state is not JobState.SUCCEEDED
        instant += 1
        w.replica = f"p-{instant}"
        await w.crash()
        assert instant < 200
    assert instant > 20
    assert unclear == 1  # stopped between the mark and the bytes: nobody can know, so nobody pays


async def test_a_lease_that_may_have_ended_since_the_mark_lets_nothing_leave(w: World) -> None:
    answers = [awake_clock_s() - 1, float("inf")]

    class Short:
        token = w.ctx.lease.token

        async def confirm(self) -> float:
            return answers.pop(0) if w.upscaler.calls["submit"] and answers else float("inf")

    w.put(lease=Short())
    job = await w.done()
    assert w.upscaler.calls["submit"] == 2
    assert w.upscaler.posts[job.id] == 1
    await w.check_end(job, JobState.SUCCEEDED, charged=PRICE)


async def test_a_mark_follows_only_the_mark_before_it_and_only_by_the_owner(w: World) -> None:
    job = await w.ask_until("submit")
    token = w.ctx.lease.token
    remote = Remote("fake", "fake://x", "intent")
    with owning(job.id, token):
        assert await w.store.mark_submit(job.id, ("sending",), remote) is None
        assert await w.store.mark_submit(job.id, ("none",), remote) is not None
    with owning(job.id, "another"), pytest.raises(NotOwner):
        await w.store.mark_submit(job.id, ("intent",), remote)
    with pytest.raises(NotOwner):
        await w.store.mark_submit(job.id, ("intent",), remote)
    await Replicas(w.database).revoke(w.replica)
    with owning(job.id, token), pytest.raises(NotOwner):
        await w.store.mark_submit(job.id, ("intent",), remote)
    with pytest.raises(NotOwner):
        await w.store.claim(job.id, "another")


async def test_who_was_struck_off_can_end_no_job_by_giving_it_up(w: World) -> None:
    job = await w.ask()
    await Replicas(w.database).revoke(w.replica)
    with pytest.raises(NotOwner):
        await w.pipeline.give_up(job, InternalError())
    assert (await w.job(job.id)).state is JobState.QUEUED


@pytest.mark.parametrize("ends", ["finished", "failed"])
async def test_the_end_of_a_job_that_changed_hands_is_said_once_more_a_while_later(w: World, ends: str) -> None:
    """An edit of the process that had it may still be on its way when the other one says the last words."""
    if ends == "failed":
        w.upscaler.faults["submit"].append(ValueError("a bug"))
    job = await w.ask()
    await w.ctx.store.claim(job.id, w.ctx.lease.token)
    async with other_process(w) as other:
        await take_over(w, other, job)
        await other.ctx.store.get(job.id)
        message = w.adapter.message(job)
        assert len(message.kinds(ends)) == 1
        message.shown.append(message.shown[0])  # what was on its way arrives
        await other.pass_time(90, every_s=5)
        assert (message.last.kind, len(message.kinds(ends))) == (ends, 2)
        assert message.pictures == (1 if ends == "finished" else 0)
        assert await other.ctx.obligations.count() == 0


async def test_a_picture_that_lies_on_another_machine_is_shown_again_by_whoever_has_it(w: World) -> None:
    job = await w.ask()
    await w.ctx.store.claim(job.id, w.ctx.lease.token)
    async with other_process(w) as other:
        await take_over(w, other, job)
        w.adapter.faults["finished"].extend([ResultExpired(), ResultExpired()])
        with capture_logs() as logs:
            await other.pass_time(300, every_s=5)
        assert len(w.adapter.message(job).kinds("finished")) == 2
        assert [entry for entry in logs if entry["log_level"] == "error"] == []


async def test_the_end_of_a_job_that_stayed_where_it_was_is_said_once(w: World) -> None:
    job = await w.done()
    await w.pass_time(90, every_s=5)
    assert len(w.adapter.message(job).kinds("finished")) == 1


async def test_a_job_belongs_from_its_first_commit_to_the_process_that_will_run_it(w: World) -> None:
    w.service._engine = Engine(w.pipeline, w.work)
    job = await w.service.request(w.request(), start=False)
    with owning(job.id, w.ctx.lease.token):
        await w.store.check_owner(job.id)
    w.service._engine = w.work  # a process that runs no jobs
    left = await w.service.request(w.request(), start=False)
    with owning(left.id, w.ctx.lease.token), pytest.raises(NotOwner):
        await w.store.check_owner(left.id)
    assert w.store.taken_over == set()
