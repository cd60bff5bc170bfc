"""Whatever people do with the same requests, and wherever the process dies, what is paid for is not paid again."""

import asyncio
import contextlib
from typing import Any

import pytest
from hypothesis import strategies as st
from hypothesis.stateful import precondition, rule

from core.domain.errors import ContentRejected, JobNotFound, ModelFailed, TooLate, UpscaleError
from core.domain.identity import is_same_person
from core.domain.job import Job, Requester
from core.domain.limits import ScopeKind
from core.jobs.steps.runner import next_step
from tests.core.jobs.pipeline_kit import ANN, BOB, World
from tests.core.storage.ledger_kit import running
from tests.core.storage.ledger_steps import BOTH, LedgerSteps, try_steps

DIRECT = Requester("fake", "ann", "Ann", channel_id="dm")
OUTCOMES = (None, None, ModelFailed(kind="x", billed=False), ContentRejected(billed=True))


class SameRequests(LedgerSteps):
    """Jobs for the same two pictures. Each runs in a task of its own until a crash cancels all tasks."""

    def __init__(self) -> None:
        super().__init__()
        self.tasks: dict[str, asyncio.Task[None]] = {}
        self.asked: dict[str, tuple[int, Requester, bool]] = {}
        self.twice: list[str] = []
        self.world = World(self.root, self.url, running(ScopeKind.USER, 2))
        self.world.upscaler.hold = True
        self.world.upscaler.on_submit = self.check_not_paid_twice
        self.run(self.world.open())
        self.sources = [self.world.upload(), self.world.upload()]

    async def check_not_paid_twice(self, request_id: str) -> None:
        mine = self.world.upscaler.taken[request_id].job_id
        who, mine_private = self.asked[mine][1:]
        asked_at = (await self.world.job(mine)).created_at
        for job_id, (_, other, _private) in self.asked.items():
            if job_id == mine or not self.sees(mine, job_id):
                continue
            job = await self.world.job(job_id)
            if mine_private and not self.same(who, other) and (job.finished_at or asked_at + 1) > asked_at:
                continue  # another person's request does not see the private one, and may overtake it
            if job.result is not None and job.result.repeat_of and not self.sees(mine, job.result.repeat_of):
                continue  # mine may have looked before the other took what mine does not see
            sent = self.world.upscaler.accepted[job_id] > 0
            if job.has_image or (sent and not job.state.terminal):
                self.twice.append(f"{mine} is paid beside {job_id}, {job.state}")

    def sees(self, mine: str, job_id: str) -> bool:
        (picture, who, _), (other_picture, other, private) = self.asked[mine], self.asked[job_id]
        shared = who.workspace_id == other.workspace_id and not private
        return picture == other_picture and (shared or self.same(who, other))

    @staticmethod
    def same(one: Requester, other: Requester) -> bool:
        return one.workspace_id == other.workspace_id and is_same_person(one, other)

    @rule(who=st.sampled_from([ANN, BOB, DIRECT]), picture=st.integers(0, 1), private=st.booleans())
    def submit(self, who: Requester, picture: int, private: bool) -> None:
        job = self.run(self.world.ask(requester=who, source=self.sources[picture], private=private))
        self.asked[job.id] = (picture, who, private)

    @rule(turns=st.sampled_from([1, 5, 30, 200]))
    def all_go_on(self, turns: int) -> None:
        self.run(self._go_on(turns))

    async def _go_on(self, turns: int) -> None:
        for name in self.world.engine.unfinished():
            if name not in self.tasks or self.tasks[name].done():
                self.tasks[name] = asyncio.create_task(self.world.run_part(name))
        for _ in range(turns):
            await asyncio.sleep(0.0002)
        for task in self.tasks.values():
            if task.done():
                task.result()

    @precondition(lambda self: self.asked)
    @rule(data=st.data(), deletes=st.booleans())
    def stop(self, data: st.DataObject, deletes: bool) -> None:
        job_id = data.draw(st.sampled_from(sorted(self.asked)))
        act = self.world.service.delete if deletes else self.world.service.cancel
        with contextlib.suppress(TooLate, JobNotFound):
            self.run(act(job_id, self.asked[job_id][1]))

    @precondition(lambda self: self.at_fal())
    @rule(data=st.data(), outcome=st.sampled_from(OUTCOMES))
    def ends_at_fal(self, data: st.DataObject, outcome: UpscaleError | None) -> None:
        request = self.world.upscaler.taken[data.draw(st.sampled_from(self.at_fal()))]
        request.outcome = request.outcome or outcome
        self.run(self._finish(request))

    async def _finish(self, request: Any) -> None:
        request.finish()

    def at_fal(self) -> list[str]:
        return sorted(key for key, request in self.world.upscaler.taken.items() if not request.gate.is_set())

    @rule(by_row=st.booleans())
    def crash(self, by_row: bool) -> None:
        self.run(self._crash(by_row))

    async def _crash(self, by_row: bool) -> None:
        for task in self.tasks.values():
            task.cancel()
        await asyncio.gather(*self.tasks.values(), return_exceptions=True)
        self.tasks.clear()
        await self.world.crash()
        for name in self.world.engine.unfinished() if by_row else ():
            job: Job = await self.world.job(name.split(":")[0])
            if not job.state.terminal:
                self.world.engine.steps[name] = next_step(job)

    async def _end(self) -> None:
        self.world.upscaler.hold = False
        while self.world.engine.unfinished():
            for key in self.at_fal():
                self.world.upscaler.taken[key].finish()
            await self._go_on(20)

    def teardown(self) -> None:
        try:
            self.run(self._end())
            for job_id in self.asked:
                job, money = self.run(self.world.job(job_id)), self.run(self.world.money(job_id))
                assert job.state.terminal
                assert (money.held, money.open_holds, money.charged) == (0, 0, job.receipt.charged_nanousd)
                assert not (job.result and job.result.repeat_of and money.charged)
            assert self.twice == []
        finally:
            self.run(self._crash(by_row=False))
            self.run(self.world.close())
            super().teardown()


@BOTH
@pytest.mark.timeout(300)
def test_no_sequence_of_steps_pays_twice(request: pytest.FixtureRequest, on: str) -> None:
    try_steps(SameRequests, request, on, (15, 3))
