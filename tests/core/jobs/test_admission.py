"""Fair queues by member and workspace, before money is held."""

import asyncio
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from core.domain.errors import TooManyWaiting
from core.domain.job import JobState, Source
from core.jobs.admission import UNPRICED_PER_MEMBER, FairQueue, Share
from tests.core.jobs.pipeline_kit import ANN, BOB, World

ANN_SHARE, BOB_SHARE, CAT_SHARE = Share("ann", "w1"), Share("bob", "w1"), Share("cat", "w2")


class Work:
    """Tasks that hold their slots until they are told to end."""

    def __init__(self, queue: FairQueue) -> None:
        self.queue = queue
        self.begun: list[Share] = []
        self.tasks: list[asyncio.Task[None]] = []
        self.ends: list[tuple[Share, asyncio.Event]] = []

    async def add(self, *shares: Share) -> None:
        self.tasks += [asyncio.create_task(self._run(share)) for share in shares]
        await self.settle()

    async def _run(self, share: Share) -> None:
        async with self.queue.slot(share):
            end = asyncio.Event()
            self.begun.append(share)
            self.ends.append((share, end))
            await end.wait()

    async def end(self, share: Share) -> None:
        found = next(pair for pair in self.ends if pair[0] == share)
        self.ends.remove(found)
        found[1].set()
        await self.settle()

    @staticmethod
    async def settle() -> None:
        for _ in range(10):
            await asyncio.sleep(0)

    async def close(self) -> None:
        for task in self.tasks:
            task.cancel()
        await asyncio.gather(*self.tasks, return_exceptions=True)


async def test_a_slot_that_comes_free_goes_to_the_member_who_holds_fewest() -> None:
    work = Work(FairQueue(2, per_member=2))
    await work.add(*[ANN_SHARE] * 5, BOB_SHARE)
    assert work.begun == [ANN_SHARE, ANN_SHARE]
    await work.end(ANN_SHARE)
    assert work.begun[2:] == [BOB_SHARE]
    await work.close()
    assert (work.queue.held, work.queue.waiting()) == (0, 0)


async def test_one_member_never_holds_more_than_their_share_however_many_are_free() -> None:
    work = Work(FairQueue(10, per_member=3))
    await work.add(*[ANN_SHARE] * 9, BOB_SHARE)
    assert work.begun == [ANN_SHARE] * 3 + [BOB_SHARE]
    await work.close()


async def test_many_members_of_one_workspace_leave_room_for_another_workspace() -> None:
    work = Work(FairQueue(4, per_member=1, per_workspace=2))
    await work.add(*[Share(f"m{n}", "w1") for n in range(50)], CAT_SHARE)
    assert work.begun == [Share("m0", "w1"), Share("m1", "w1"), CAT_SHARE]
    await work.close()


async def test_a_member_may_have_only_so_many_waiting() -> None:
    work = Work(FairQueue(1, per_member=1, most_waiting=2))
    await work.add(*[ANN_SHARE] * 3)
    with pytest.raises(TooManyWaiting):
        async with work.queue.slot(ANN_SHARE):
            pass
    await work.close()


async def test_whoever_gives_up_waiting_leaves_no_slot_behind() -> None:
    work = Work(FairQueue(1, per_member=1))
    await work.add(ANN_SHARE, BOB_SHARE, CAT_SHARE)
    work.tasks[1].cancel()
    work.ends[0][1].set()  # in the same instant
    await work.settle()
    assert work.begun == [ANN_SHARE, CAT_SHARE]
    await work.close()
    assert work.queue.held == 0


@given(st.lists(st.tuples(st.sampled_from("abcde"), st.sampled_from(["", "w1", "w2"]), st.booleans()), max_size=60))
@settings(max_examples=100, deadline=None)
def test_no_bound_is_ever_passed_and_everybody_is_served(steps: list[tuple[str, str, bool]]) -> None:
    async def run() -> None:
        work = Work(FairQueue(3, per_member=2, per_workspace=2))
        for member, workspace, ends in steps:
            await work.add(Share(member, workspace))
            if ends and work.ends:
                await work.end(work.ends[0][0])
            held = [share for share, _ in work.ends]
            assert len(held) <= 3
            assert all(sum(one.member == share.member for one in held) <= 2 for share in held)
            assert all(sum(one.workspace == share.workspace for one in held) <= 2 for share in held if share.workspace)
        for _ in range(len(steps)):
            if work.ends:
                await work.end(work.ends[0][0])
        assert len(work.begun) == len(steps)
        assert (work.queue.held, work.queue.waiting()) == (0, 0)

    asyncio.run(run())


class SlowLinks:
    """Links that never answer."""

    def __init__(self) -> None:
        self.asked = 0

    async def fetch_link(self, url: str, dest: Path, **_: Any) -> None:
        self.asked += 1
        await asyncio.Event().wait()


async def test_500_slow_links_and_500_jobs_of_one_member_do_not_delay_the_price_of_another(w: World) -> None:
    links: Any = SlowLinks()
    w.put(sources=links)
    slow = [await w.ask(source=Source("link", url=f"https://slow.example/{n}")) for n in range(500)]
    slow += [await w.ask() for _ in range(500)]
    tasks = [asyncio.create_task(w.pipeline.run("prepare", job.id)) for job in slow]
    async with asyncio.timeout(60):
        while w.ctx.running.admission.unpriced.waiting() < len(slow) - UNPRICED_PER_MEMBER:
            await asyncio.sleep(0)
        quick = await w.ask(requester=BOB)
        assert await w.pipeline.run("prepare", quick.id) == "hold"  # no slow link has ended: no time has passed
        priced = await w.job(quick.id)
        assert priced.quote is not None
        assert links.asked <= UNPRICED_PER_MEMBER
        assert (await w.job(slow[-1].id)).state is JobState.QUEUED
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
    assert w.ctx.running.admission.unpriced.held == 0


async def test_the_upload_of_an_agreed_job_needs_no_slot_of_the_downloads(w: World) -> None:
    job = await w.ask()
    assert await w.pipeline.run("prepare", job.id) == "hold"
    assert await w.pipeline.run("hold", job.id) == "submit"
    async with AsyncExitStack() as stack:
        for number in range(w.settings.download_parallel):
            await stack.enter_async_context(
                w.ctx.running.admission.downloads.slot(Share(f"stranger{number}", f"w{number % 4}"))
            )
        assert await w.pipeline.run("submit", job.id) == "wait"


async def test_a_job_cancelled_while_it_waits_is_not_fetched(w: World) -> None:
    links: Any = SlowLinks()
    w.put(sources=links)
    job = await w.ask(source=Source("link", url="https://slow.example/"))
    async with AsyncExitStack() as stack:
        for _ in range(UNPRICED_PER_MEMBER):
            await stack.enter_async_context(w.ctx.running.admission.unpriced.slot(Share.of(ANN)))
        task = asyncio.create_task(w.pipeline.run("prepare", job.id))
        async with asyncio.timeout(10):
            while not w.ctx.running.admission.unpriced.waiting():
                await asyncio.sleep(0)
        await w.service.cancel(job.id, ANN)
    assert await task == "announce"
    assert links.asked == 0
    assert (await w.job(job.id)).state is JobState.CANCELLED
