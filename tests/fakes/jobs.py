"""`FakeService` whose jobs move and end as the core's, through the adapter's own Reply where it has one.

What lies between differs by what a platform's tests need to hold still: `_start` and `_stop` are left to the subclasses
in `tests/adapters/*/fake_service.py`.
"""

import asyncio
from collections import defaultdict
from collections.abc import Awaitable, Callable, Coroutine
from pathlib import Path
from typing import Any, TypeVar

from core.domain import identity
from core.domain.errors import (
    DeliveryError,
    DeliveryRefused,
    DeliveryUnavailable,
    InputError,
    QuoteExpired,
    TooLate,
    UpscaleError,
)
from core.domain.job import Delivery, Job, JobState, Receipt, Requester, Result, UpscaleRequest
from core.ports import Clock, Reply
from core.presentation.texts.delivery_texts import undelivered_notice
from tests.fakes.service import FakeService
from tests.fakes.state import CutStates, MemoryReplyState
from tests.typed import unwrap

T = TypeVar("T")


class MovingJobs(FakeService):
    """See the module's docstring. What passes is tried `delivery_tries` times; `gate` holds `request` when closed."""

    delivery_tries = 1
    gives_up: tuple[type[DeliveryError], ...] = (DeliveryRefused,)

    def __init__(self, folder: Path, clock: Clock) -> None:
        super().__init__(folder, clock)
        self.memos: defaultdict[str, dict[str, Any]] = defaultdict(dict)
        self.states: CutStates | None = None
        self.link: str | None = None
        self.fail_with: UpscaleError | None = None
        self.tasks: list[asyncio.Task[Any]] = []
        self.gate = asyncio.Event()
        self.gate.set()

    async def _stop(self, job: Job, actor: Requester) -> Job:
        """Stop the job, which has not ended."""
        raise NotImplementedError

    def go(self, work: Coroutine[Any, Any, Any]) -> asyncio.Task[Any]:
        self.tasks.append(task := asyncio.create_task(work))
        return task

    async def settle(self) -> None:
        """Wait for all jobs and raise their exceptions."""
        while pending := [task for task in self.tasks if not task.done()]:
            await asyncio.wait(pending, timeout=20)
        for task in self.tasks:
            task.result()

    async def crash(self) -> None:
        """As if the process died: every job stops where it is."""
        for task in self.tasks:
            task.cancel()
        await asyncio.gather(*self.tasks, return_exceptions=True)
        self.tasks.clear()

    def reply(self, job_id: str) -> Reply:
        job = self.jobs[job_id]
        kept = self.states.of(job) if self.states else MemoryReplyState(self.memos[job_id])
        return unwrap(self.adapter).reply(job.reply, kept)

    async def tried(self, work: Callable[[], Awaitable[T]]) -> T:
        """What passes is tried again, as the engine does."""
        for _ in range(self.delivery_tries - 1):
            try:
                return await work()
            except DeliveryUnavailable:
                await self.clock.sleep(0.2)
        return await work()

    def made(self, job_id: str, caption: str, receipt: Receipt, *, size_bytes: int, path: str = "result.png") -> Job:
        """The job with its result, about to be delivered."""
        job = self.jobs[job_id]
        width_px, height_px = unwrap(job.quote).out_width_px, unwrap(job.quote).out_height_px
        seed = unwrap(job.parameters.seed)
        result = Result(width_px, height_px, size_bytes, "image/png", path, seed, 4.2, caption, self.link)
        return self.set(job_id, state=JobState.DELIVERING, result=result, receipt=receipt)

    async def deliver(self, job_id: str) -> Delivery:
        """As the core: what no place takes is kept, and the job's message closed in words."""
        try:
            delivery = await self.tried(lambda: self.reply(job_id).finished(self.jobs[job_id], (self.status(),)))
        except self.gives_up:
            await self._end(job_id, Delivery("kept"))
            raise
        await self._end(job_id, delivery)
        return delivery

    async def _end(self, job_id: str, delivery: Delivery) -> None:
        job = self.set(job_id, state=JobState.SUCCEEDED, delivery=delivery, finished_at=self.clock.now())
        if job.needs_closing_message:
            try:
                await self.tried(lambda: self.reply(job_id).closed(job, undelivered_notice(job)))
            except (DeliveryRefused, DeliveryUnavailable) as refusal:  # the core tries the latter again later
                self.unsaid.append(refusal)

    def _deliver_again(self, job: Job) -> None:
        self.go(self.deliver(job.id))

    async def fail(self, job_id: str, error: UpscaleError) -> None:
        state = JobState.REFUSED if isinstance(error, InputError) else JobState.FAILED
        job = self.set(job_id, state=state, error=error)
        said = self.notice(error, job.requester.locale, job)
        await self.tried(lambda: self.reply(job_id).failed(job, said))

    async def request(self, request: UpscaleRequest, *, start: bool = True) -> Job:
        await self.gate.wait()
        return await super().request(request, start=start)

    async def confirm(self, job_id: str, actor: Requester) -> Job:
        job = identity.check_requester(self._find(job_id, actor), actor)
        if job.state is not JobState.AWAITING_CONFIRMATION:
            raise TooLate(state=job.state)
        if job.confirm_by_at is not None and self.clock.now() > job.confirm_by_at:
            raise QuoteExpired
        job = self.set(job_id, state=JobState.QUEUED, confirmed_nanousd=unwrap(job.quote).estimate_nanousd)
        self._start(job)
        return job

    async def cancel(self, job_id: str, actor: Requester) -> Job:
        job = identity.check_may_stop(self._find(job_id, actor), actor)
        if job.state.terminal:
            raise TooLate(state=job.state)
        return await self._stop(job, actor)
