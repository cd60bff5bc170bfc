"""An in-memory core for the page: real pictures by Pillow, published events; `gates` hold a job at a stage."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace
from decimal import Decimal
from pathlib import Path
from typing import Any

from PIL import Image, ImageOps

from core.domain import errors as e
from core.domain.events import JobEvent
from core.domain.job import InputFacts, Job, JobState, Progress, Quote, Receipt, Requester
from core.jobs.event_bus import EventBus
from core.ports import MediaFile, PictureOf
from tests.fakes import media
from tests.fakes.clock import ShiftedClock
from tests.fakes.jobs import MovingJobs
from tests.typed import unwrap

CAPTION = "A lighthouse on a cliff <b>at dusk</b>, @everyone. Sandbox: no AI ran, this is a plain enlargement."
OUTPUT_LIMIT_PX = 100_000_000


class FakeMedia(media.FakeMedia):
    """Serves the files that the fake service made."""

    async def original(self, job: Job) -> MediaFile:
        return self._stored(self.directory / unwrap(job.result).path)

    async def source(self, job: Job) -> MediaFile:
        return self._stored(self.directory / "jobs" / f"{job.id}-source.png")

    async def preview(self, job: Job, *, max_side_px: int, max_bytes: int, of: PictureOf = "result") -> MediaFile:
        return await (self.original(job) if of == "result" else self.source(job))

    async def compare(self, job: Job) -> MediaFile:
        path = self.directory / "jobs" / f"{job.id}-compare.png"
        before, after = await self.source(job), await self.original(job)
        with Image.open(before.path) as one, Image.open(after.path) as two:
            pair = Image.new("RGB", (512, 256))
            pair.paste(one.resize((256, 256)), (0, 0))
            pair.paste(two.resize((256, 256)), (256, 0))
            pair.save(path)
        return self._stored(path)

    def _stored(self, path: Path) -> MediaFile:
        if not path.exists():
            raise e.ResultExpired
        with Image.open(path) as picture:
            width, height = picture.size
        return MediaFile(path, "image/png", "original", width, height, path.stat().st_size)


class FakeService(MovingJobs):
    """See the module's docstring. `pace_s` is the pause between two events."""

    platform = "web"

    def __init__(self, folder: Path, clock: ShiftedClock, *, pace_s: float = 0.0) -> None:
        super().__init__(folder, clock)
        self.pace_s = pace_s
        self.play_money = True
        self.enforce_limits = False
        self.gates: dict[str, asyncio.Event] = {}
        self.event_bus = EventBus(clock)
        self.link = "https://provider.example/secret-result.png"
        (folder / "jobs").mkdir(parents=True, exist_ok=True)

    def _start(self, job: Job) -> None:
        self.go(self._run(job.id))

    def set(self, job_id: str, **changes: Any) -> Job:
        """Set fields and publish the event."""
        job = super().set(job_id, **changes)
        self.event_bus.publish(job)
        return job

    async def _run(self, job_id: str) -> None:
        try:
            await (self._second_half(job_id) if self.jobs[job_id].quote else self._first_half(job_id))
        except e.UpscaleError as error:
            state = JobState.FAILED if isinstance(error, (e.ModelError, e.ProviderError)) else JobState.REFUSED
            self.set(job_id, state=state, error=error, finished_at=self.clock.now())

    async def _step(self, job_id: str, **values: Any) -> None:
        self.set(job_id, **values)
        stage = values.get("progress").stage if values.get("progress") else ""  # type: ignore[union-attr]
        if stage in self.gates:
            await self.gates[stage].wait()
        await asyncio.sleep(self.pace_s)

    async def _first_half(self, job_id: str) -> None:
        await self._step(job_id, progress=Progress("preparing"))
        job = self.jobs[job_id]
        facts = await asyncio.to_thread(self._stage, job)
        factor = job.parameters.factor
        out = round(facts.width_px * factor), round(facts.height_px * factor)
        if out[0] * out[1] > OUTPUT_LIMIT_PX:
            largest = int((OUTPUT_LIMIT_PX / (facts.width_px * facts.height_px)) ** 0.5 * 100) / 100
            raise e.OutputTooLarge(
                width_px=out[0],
                height_px=out[1],
                limit_px=OUTPUT_LIMIT_PX,
                limit_side_px=14_142,
                largest_factor=largest if largest >= 1 else None,
            )
        price = await self.estimate(facts.width_px, facts.height_px, job.requester, text=f"factor={factor}")
        self.set(job_id, input=facts, quote=price)
        if self.enforce_limits and price.estimate_nanousd > self.status().left:
            raise e.LimitReached(status=self.status(), needed=price.estimate_nanousd, largest_factor=1.2)
        if price.needs_confirmation and price.estimate_nanousd > self.requests[-1].confirmed_nanousd:
            self.set(job_id, state=JobState.AWAITING_CONFIRMATION, confirm_by_at=self.clock.now() + 600)
            return
        await self._second_half(job_id)

    def _stage(self, job: Job) -> InputFacts:
        if job.source.kind in {"job_input", "job_result"}:
            earlier = self.jobs[job.source.job_id]
            name = f"{earlier.id}-source.png" if job.source.kind == "job_input" else f"{earlier.id}-result.png"
            path = self.folder / "jobs" / name
        elif job.source.kind == "link":
            path = self.folder / "linked.png"
            Image.effect_mandelbrot((60, 40), (-2, -1.2, 1, 1.2), 30).save(path)
        else:
            path = self.folder / job.source.path
        try:
            with Image.open(path) as picture:
                upright = ImageOps.exif_transpose(picture).convert("RGB")
                kind = (picture.format or "png").lower()
        except OSError as error:
            raise e.NotAnImage(detected="text") from error
        upright.save(self.folder / "jobs" / f"{job.id}-source.png")
        return InputFacts(kind, *upright.size, path.stat().st_size, "0" * 64)

    async def _second_half(self, job_id: str) -> None:
        eta = self.clock.now() + max(2.0, self.pace_s * 8)
        for ahead in (2, 1, 0):
            await self._step(job_id, progress=Progress("waiting", position=ahead, eta_at=eta))
            if self._was_cancelled(job_id):
                return
        await self._step(job_id, state=JobState.RUNNING, progress=Progress("upscaling", percent=None, eta_at=eta))
        for percent in (10, 35, 60, 85):
            await self._step(job_id, progress=Progress("upscaling", percent=percent, eta_at=eta))
            if self._was_cancelled(job_id):
                return
        if self.fail_with is not None:
            self.set(job_id, receipt=Receipt(0, 0, "none", play_money=True))
            raise self.fail_with
        await self._step(job_id, state=JobState.DELIVERING, progress=Progress("delivering"))
        await asyncio.to_thread(self._finish, job_id)

    def _was_cancelled(self, job_id: str) -> bool:
        if not self.jobs[job_id].cancel_requested_by:
            return False
        self.set(
            job_id,
            state=JobState.CANCELLED,
            receipt=Receipt(0, self.jobs[job_id].quote.estimate_nanousd, "none", play_money=True),  # type: ignore[union-attr]
            finished_at=self.clock.now(),
        )
        return True

    def _finish(self, job_id: str) -> None:
        job = self.jobs[job_id]
        path = self.folder / "jobs" / f"{job_id}-result.png"
        with Image.open(self.folder / "jobs" / f"{job_id}-source.png") as picture:
            assert job.quote
            picture.resize((job.quote.out_width_px, job.quote.out_height_px), Image.Resampling.LANCZOS).save(path)
        charged = job.quote.estimate_nanousd
        self.spent_nanousd += charged
        units = Decimal(job.quote.megapixels)
        receipt = Receipt(charged, charged, "units", units, job.quote.unit_price_nanousd, self.play_money)
        self.made(job_id, CAPTION, receipt, size_bytes=path.stat().st_size, path=f"jobs/{path.name}")
        self.set(job_id, state=JobState.SUCCEEDED, finished_at=self.clock.now())

    # --- acting -----------------------------------------------------------------------------------------------------

    async def _stop(self, job: Job, actor: Requester) -> Job:
        if job.state is JobState.AWAITING_CONFIRMATION:
            return self.set(job.id, state=JobState.CANCELLED, finished_at=self.clock.now())
        return self.set(job.id, cancel_requested_by=actor.user_id)

    async def delete(self, job_id: str, actor: Requester) -> Job:
        for path in (self.folder / "jobs").glob(f"{job_id}-*"):
            path.unlink()
        return await super().delete(job_id, actor)

    async def watch(self, job_id: str, *, after: int = 0) -> AsyncIterator[JobEvent]:
        async for event in self.event_bus.follow(job_id, after, idle_s=5):
            if event is None:
                continue
            yield event
            if event.job.state.terminal:
                return

    async def estimate(self, width_px: int, height_px: int, actor: Requester, **how: Any) -> Quote:
        price = await super().estimate(width_px, height_px, actor, **how)
        needs = price.estimate_nanousd > self.confirm_above_nanousd
        return replace(price, left=tuple(await self.applying(actor)), needs_confirmation=needs)
