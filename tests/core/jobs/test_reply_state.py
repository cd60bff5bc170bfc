"""Recorded delivery state is visible until it is stored, whatever the database does meanwhile."""

import asyncio
from typing import Any, cast

import pytest
from sqlalchemy.exc import OperationalError

from core.domain.job import Job
from core.engine.replicas import Replicas
from core.jobs.reply_state import StoredReplyState, UnstoredStates
from core.ports import NotOwner, owning
from core.storage.jobs import SqlJobStore
from tests.core.jobs.pipeline_kit import ANN, World
from tests.fakes.core import OwnLease


class CutStore:
    """The job store with a connection that is `cut` (fails at once) or `stuck` (never answers)."""

    def __init__(self, store: Any) -> None:
        self._store = store
        self.cut = False
        self.stuck = asyncio.Event()
        self.stuck.set()

    def __getattr__(self, name: str) -> Any:
        async def call(*args: Any, **values: Any) -> Any:
            await self.stuck.wait()
            if self.cut:
                raise OperationalError("connect", None, OSError("cut"))
            return await getattr(self._store, name)(*args, **values)

        return call


class Process:
    """One process's view of one job's message."""

    def __init__(self, w: World, job: Job) -> None:
        self.store = CutStore(w.store)
        self.lease = OwnLease()
        self.unstored = UnstoredStates(cast(SqlJobStore, self.store), self.lease, w.ctx.obligations, w.ctx.adapter)
        self.state = StoredReplyState(self.unstored, job)


async def test_what_happened_while_the_database_is_away_is_known_at_once_and_stored_when_it_is_back(w: World) -> None:
    job = await w.ask()
    process = Process(w, job)
    await process.state.save(root={"ts": "", "at": 1.0}, place="C1")
    process.store.cut = True
    await process.state.record(root={"ts": "17.1"})
    with pytest.raises(OperationalError):
        await process.unstored.flush_all()
    assert await w.store.delivery_state(job.id) == {"root": {"ts": "", "at": 1.0}, "place": "C1"}
    process.store.cut = False
    assert await process.state.load() == {"root": {"ts": "17.1"}, "place": "C1"}
    await process.unstored.flush_all()
    assert await w.store.delivery_state(job.id) == {"root": {"ts": "17.1"}, "place": "C1"}


async def test_what_is_about_to_be_sent_is_refused_while_it_cannot_be_noted(w: World) -> None:
    process = Process(w, await w.ask())
    process.store.cut = True
    with pytest.raises(OperationalError):
        await process.state.save(root={"ts": "", "at": 1.0})
    process.store.cut = False
    assert await process.state.load() == {}


async def test_a_caller_that_is_cancelled_while_the_database_hangs_loses_nothing(w: World) -> None:
    job = await w.ask()
    process = Process(w, job)
    process.store.stuck.clear()
    noting = asyncio.create_task(process.state.record(root={"ts": "17.1"}))
    await asyncio.sleep(0)
    noting.cancel()
    await asyncio.gather(noting, return_exceptions=True)
    process.store.stuck.set()
    assert await process.state.load() == {"root": {"ts": "17.1"}}
    await process.unstored.flush_all()
    assert await w.store.delivery_state(job.id) == {"root": {"ts": "17.1"}}


async def test_nothing_is_written_over_what_the_jobs_new_owner_knows(w: World) -> None:
    job = await w.ask()
    process = Process(w, job)
    await Replicas(w.database).sign_in("p-old", process.lease.token)
    await w.store.claim(job.id, process.lease.token)
    process.store.cut = True
    await process.state.record(root={"ts": "17.1"})
    await w.store.claim(job.id, w.ctx.lease.token)
    await w.store.change_delivery_state(job.id, {"root": {"ts": "18.2"}})
    process.store.cut = False
    await process.unstored.flush_all()
    assert await process.state.load() == {"root": {"ts": "18.2"}}


@pytest.mark.parametrize("found", ["by nobody", "before the job's end", "after the old owner woke up"])
@pytest.mark.parametrize("part", ["root", "result", "stream"])
async def test_a_message_of_a_process_that_was_stopped_before_it_noted_it_goes_unless_it_was_found(
    w: World, part: str, found: str
) -> None:
    w.put(adapters={"fake": w.adapter})
    job, message = await w.ask(), {"ts": "17.1", "channel": "C1"}
    process = Process(w, job)
    await Replicas(w.database).sign_in("p-old", process.lease.token)
    await w.store.claim(job.id, process.lease.token)
    with owning(job.id, process.lease.token):
        await process.state.save(**{part: {"ts": "", "at": 1.0}})  # and then it posts, and is stopped
    await w.store.claim(job.id, w.ctx.lease.token)
    if found == "before the job's end":
        await w.store.change_delivery_state(job.id, {part: message})
    with owning(job.id, process.lease.token):
        await process.state.record(**{part: message})
    await process.unstored.flush_all()
    await w.pass_time(300, every_s=10)
    assert w.adapter.removed == [], "the new owner may still find it"
    if found == "after the old owner woke up":
        await w.store.change_delivery_state(job.id, {part: message})
    await w.drive()
    assert (await w.job(job.id)).state.terminal
    await w.pass_time(300, every_s=10)
    assert w.adapter.removed == ([message] if found == "by nobody" else [])
    assert await w.ctx.obligations.count() == 0


async def test_what_was_posted_for_a_job_that_its_member_has_erased_meanwhile_goes(w: World) -> None:
    w.put(adapters={"fake": w.adapter})
    job, message = await w.done(), {"ts": "17.1", "channel": "C1"}
    process = Process(w, job)
    process.store.cut = True
    await process.state.record(result=message)
    await w.members.erase(ANN)
    process.store.cut = False
    await process.unstored.flush_all()
    await w.pass_time(60, every_s=10)
    assert w.adapter.removed == [message]


async def test_a_process_that_lost_the_job_while_it_was_stopped_may_send_nothing_more(w: World) -> None:
    job = await w.ask()
    process = Process(w, job)
    await Replicas(w.database).sign_in("p-old", process.lease.token)
    await w.store.claim(job.id, process.lease.token)
    with owning(job.id, process.lease.token):
        await process.state.save(root={"ts": "", "at": 1.0})
        await w.store.claim(job.id, w.ctx.lease.token)  # it was taken for dead
        for values in ({}, {"result": {"ts": "", "at": 2.0}}):
            with pytest.raises(NotOwner):
                await process.state.save(**values)
    assert await w.store.delivery_state(job.id) == {"root": {"ts": "", "at": 1.0}}


async def test_what_happens_during_a_write_is_written_after_it(w: World) -> None:
    job = await w.ask()
    process = Process(w, job)
    process.store.stuck.clear()
    first = asyncio.create_task(process.state.record(step="sent"))
    await asyncio.sleep(0)
    second = asyncio.create_task(process.state.record(step="complete"))
    await asyncio.sleep(0)
    process.store.stuck.set()
    await asyncio.gather(first, second)
    assert await w.store.delivery_state(job.id) == {"step": "complete"}
    assert process.unstored.of(job.id) == {}
