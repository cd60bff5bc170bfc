"""An in-memory core whose jobs progress by calls (`progress`, `finish`, `fail`, `ask`) or by a script."""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

from core.domain import identity
from core.domain.errors import DeliveryRefused, DeliveryUnavailable, InputError, QuoteExpired, TooLate, UpscaleError
from core.domain.job import Delivery, InputFacts, Job, JobState, Progress, Quote, Receipt, Requester, Result
from core.domain.money import DEFAULT_UNIT_PRICE_NANOUSD, quote
from core.ports import Reply
from core.presentation.texts.delivery_texts import undelivered_notice
from core.presentation.texts.failure_texts import cancelled_notice
from tests.fakes.clock import ShiftedClock
from tests.fakes.media import FakeMedia, png
from tests.fakes.operator import Told
from tests.fakes.service import FakeService
from tests.fakes.state import CutStates, MemoryReplyState, MemoryState
from tests.typed import unwrap

__all__ = ["CAPTION", "FakeCore", "png"]

CAPTION = "A quiet harbour at dawn, with @everyone asleep and **nets** drying on the quay."

Script = Callable[[Any, Job], Awaitable[None]]


class FakeCore(FakeService):
    """See the module's docstring."""

    platform = "discord"
    seed = 12345

    def __init__(self, directory: Path) -> None:
        self.shifted = ShiftedClock()
        super().__init__(directory, self.shifted)
        self.state = MemoryState(self.shifted)
        self.media = FakeMedia(directory)
        self.operator = Told()
        self.memos: dict[str, dict[str, Any]] = {}
        self.states: CutStates | None = None
        self.script: Script | None = FakeCore.run_to_end
        self.link: str | None = None
        self.size_px = (1200, 800)
        self.spent_nanousd = 3_200_000_000
        self.used_today_nanousd = 400_000_000
        self._tasks: set[asyncio.Task[None]] = set()

    # --- moving jobs --------------------------------------------------------------------------------------------

    def reply(self, job_id: str) -> Reply:
        job, kept = self.jobs[job_id], MemoryReplyState(self.memos.setdefault(job_id, {}))
        return unwrap(self.adapter).reply(job.reply, self.states.of(job) if self.states is not None else kept)

    def set(self, job_id: str, **changes: Any) -> Job:
        return self._set(job_id, **changes)

    async def ask(self, job_id: str, **offers: Any) -> None:
        asked = replace(self._quote(self.jobs[job_id]), needs_confirmation=True, left=(self.status(),), **offers)
        until = self.clock.now() + 600
        await self.reply(job_id).ask(
            self.set(job_id, state=JobState.AWAITING_CONFIRMATION, confirm_by_at=until, quote=asked)
        )

    async def progress(self, job_id: str, now: Progress) -> None:
        job = self.set(job_id, state=JobState.RUNNING, progress=now, quote=self._quote(self.jobs[job_id]))
        await self.reply(job_id).progress(job, now)

    async def finish(self, job_id: str) -> Delivery:
        job = self.jobs[job_id]
        price = self._quote(job)
        size_bytes = self.media.original_bytes or len(self.media.picture)
        job = self.set(
            job_id,
            state=JobState.DELIVERING,
            quote=price,
            input=InputFacts("png", *self.size_px, 123_456, "00"),
            result=Result(
                price.out_width_px, price.out_height_px, size_bytes, "image/png", "result.png",
                job.parameters.seed or 12345, 4.2, CAPTION, self.link,
            ),
            receipt=Receipt(price.estimate_nanousd, price.estimate_nanousd, "units"),
        )  # fmt: skip
        try:
            delivery = await self.reply(job_id).finished(job, (self.status(),))
        except DeliveryRefused:
            await self._end(job_id, Delivery("kept"))
            raise
        await self._end(job_id, delivery)
        return delivery

    async def _end(self, job_id: str, delivery: Delivery) -> None:
        """As the core: edit the job's message when the picture was not delivered there."""
        job = self.set(job_id, state=JobState.SUCCEEDED, delivery=delivery, finished_at=self.clock.now())
        if job.needs_closing_message:
            try:
                await self.reply(job_id).closed(job, undelivered_notice(job))
            except (DeliveryRefused, DeliveryUnavailable) as refusal:  # the core tries the latter again later
                self.unsaid.append(refusal)

    async def fail(self, job_id: str, error: UpscaleError) -> None:
        state = JobState.REFUSED if isinstance(error, InputError) else JobState.FAILED
        job = self.set(job_id, state=state, error=error)
        await self.reply(job_id).failed(job, self.notice(error, job.requester.locale, job))

    async def run_to_end(self, job: Job) -> None:
        await self.progress(job.id, Progress("waiting", position=2))
        await self.progress(job.id, Progress("upscaling", percent=40.0, eta_at=self.clock.now() + 20))
        await self.finish(job.id)

    def _start(self, job: Job) -> None:
        if self.script is not None:
            self._go(self.script(self, job))

    def _go(self, work: Any) -> None:
        self._tasks.add(asyncio.create_task(work))

    def _deliver_again(self, job: Job) -> None:
        async def deliver() -> None:
            await self.reply(job.id).finished(job, ())
            self.set(job.id, state=JobState.SUCCEEDED)

        self._go(deliver())

    async def settle(self) -> None:
        """Wait for all jobs and raise their exceptions."""
        while pending := [t for t in self._tasks if not t.done()]:
            await asyncio.wait(pending, timeout=20)
        for task in self._tasks:
            task.result()

    def _quote(self, job: Job) -> Quote:
        return quote(*self.size_px, job.parameters.factor, DEFAULT_UNIT_PRICE_NANOUSD)

    async def confirm(self, job_id: str, actor: Requester) -> Job:
        job = identity.check_requester(self._find(job_id, actor), actor)
        if job.state is not JobState.AWAITING_CONFIRMATION:
            raise TooLate(state=job.state)
        if job.confirm_by_at is not None and self.clock.now() > job.confirm_by_at:
            raise QuoteExpired
        job = self.set(job_id, state=JobState.QUEUED)
        self._start(job)
        return job

    async def cancel(self, job_id: str, actor: Requester) -> Job:
        job = identity.check_may_stop(self._find(job_id, actor), actor)
        if job.state.terminal:
            raise TooLate(state=job.state)
        if job.state is JobState.RUNNING:
            return self.set(job_id, cancel_requested_by=actor.user_id)
        job = self.set(job_id, state=JobState.CANCELLED, receipt=Receipt(0, 0, "none"))
        await self.reply(job_id).failed(job, replace(cancelled_notice(job, "en"), reference=""))
        return job
