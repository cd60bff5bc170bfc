"""An in-memory core whose jobs progress by calls (`progress`, `finish`, `fail`, `ask`) or by a script."""

from collections.abc import Callable, Coroutine
from dataclasses import replace
from pathlib import Path
from typing import Any

from core.domain.job import Delivery, InputFacts, Job, JobState, Progress, Quote, Receipt, Requester
from core.domain.money import DEFAULT_UNIT_PRICE_NANOUSD, quote
from core.presentation.texts.failure_texts import cancelled_notice
from tests.fakes.clock import ShiftedClock
from tests.fakes.jobs import MovingJobs
from tests.fakes.media import FakeMedia, png
from tests.fakes.operator import Told
from tests.fakes.state import MemoryState

__all__ = ["CAPTION", "FakeCore", "png"]

CAPTION = "A quiet harbour at dawn, with @everyone asleep and **nets** drying on the quay."

Script = Callable[[Any, Job], Coroutine[Any, Any, None]]


class FakeCore(MovingJobs):
    """See the module's docstring."""

    platform = "discord"
    seed = 12345

    def __init__(self, directory: Path) -> None:
        self.shifted = ShiftedClock()
        super().__init__(directory, self.shifted)
        self.state = MemoryState(self.shifted)
        self.media = FakeMedia(directory)
        self.operator = Told()
        self.script: Script | None = FakeCore.run_to_end
        self.size_px = (1200, 800)
        self.spent_nanousd = 3_200_000_000
        self.used_today_nanousd = 400_000_000

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
        price = self._quote(self.jobs[job_id])
        self.set(job_id, quote=price, input=InputFacts("png", *self.size_px, 123_456, "00"))
        receipt = Receipt(price.estimate_nanousd, price.estimate_nanousd, "units")
        self.made(job_id, CAPTION, receipt, size_bytes=self.media.original_bytes or len(self.media.picture))
        return await self.deliver(job_id)

    async def run_to_end(self, job: Job) -> None:
        await self.progress(job.id, Progress("waiting", position=2))
        await self.progress(job.id, Progress("upscaling", percent=40.0, eta_at=self.clock.now() + 20))
        await self.finish(job.id)

    def _start(self, job: Job) -> None:
        if self.script is not None:
            self.go(self.script(self, job))

    def _quote(self, job: Job) -> Quote:
        return quote(*self.size_px, job.parameters.factor, DEFAULT_UNIT_PRICE_NANOUSD)

    async def _stop(self, job: Job, actor: Requester) -> Job:
        if job.state is JobState.RUNNING:
            return self.set(job.id, cancel_requested_by=actor.user_id)
        job = self.set(job.id, state=JobState.CANCELLED, receipt=Receipt(0, 0, "none"))
        await self.reply(job.id).failed(job, replace(cancelled_notice(job, "en"), reference=""))
        return job
