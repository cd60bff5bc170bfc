"""A service that runs jobs by script, with real pictures made by Pillow, so that the page can be tested alone.

It satisfies `core.ports.Service`, judges parameters with the real parser and explains errors with the real sentences.
`gates` hold a job at a stage until the test lets it go.
"""

from __future__ import annotations

import asyncio
import csv
import dataclasses
import hashlib
import time
import zipfile
from collections.abc import AsyncIterator, Mapping, Sequence
from decimal import Decimal
from pathlib import Path
from typing import Any

from PIL import Image, ImageOps

from core.budgets.reports import UsageReport, UsageRow
from core.domain import authorization
from core.domain import errors as e
from core.domain.events import Cancelled, Failed, Finished, JobEvent
from core.domain.job import (
    InputFacts,
    Job,
    JobState,
    Progress,
    Quote,
    Receipt,
    ReplyAddress,
    Requester,
    Result,
    Source,
    UpscaleRequest,
    job_id_for,
)
from core.domain.limits import Limit, LimitStatus, Measure, Scope, ScopeKind, Window
from core.domain.media_types import SavedAs
from core.domain.money import DEFAULT_UNIT_PRICE_NANOUSD, NANOUSD_PER_USD, quote, with_consent
from core.domain.parameters.grammar import parse_request
from core.domain.parameters.spec import resolve
from core.jobs.event_bus import JobFeed
from core.ports import Change, MediaFile, OpenHere, PictureOf, TileSet
from core.presentation import Charge, Notice, explain
from tests.fakes.core import DatabaseAway

CAPTION = "A lighthouse on a cliff <b>at dusk</b>, @everyone. Sandbox: no AI ran, this is a plain enlargement."
OUTPUT_LIMIT_PX = 100_000_000

Fields = Mapping[str, str | int | float | bool]


class TestClock:
    """Real time plus an offset that tests may move."""

    __test__ = False

    def __init__(self) -> None:
        self.offset_s = 0.0

    def now(self) -> float:
        return time.time() + self.offset_s

    async def sleep(self, seconds: float) -> None:
        await asyncio.sleep(seconds)


class FakeMedia:
    """Serves the files that the fake service made."""

    def __init__(self, data_dir: Path) -> None:
        self._data_dir = data_dir

    async def original(self, job: Job) -> MediaFile:
        assert job.result is not None
        return self._file(self._data_dir / job.result.path)

    async def source(self, job: Job) -> MediaFile:
        return self._file(self._data_dir / "jobs" / f"{job.id}-source.png")

    async def fit(self, job: Job, *, max_bytes: int) -> MediaFile:
        return await self.original(job)

    async def preview(self, job: Job, *, max_side_px: int, max_bytes: int, of: PictureOf = "result") -> MediaFile:
        return await (self.original(job) if of == "result" else self.source(job))

    async def tiles(self, job: Job, *, of: PictureOf = "result") -> TileSet:
        raise e.ResultExpired

    async def converted(self, job: Job, *, saved_as: SavedAs, quality: int) -> MediaFile:
        raise e.ResultExpired

    async def compare(self, job: Job) -> MediaFile:
        path = self._data_dir / "jobs" / f"{job.id}-compare.png"
        before, after = await self.source(job), await self.original(job)
        with Image.open(before.path) as one, Image.open(after.path) as two:
            pair = Image.new("RGB", (512, 256))
            pair.paste(one.resize((256, 256)), (0, 0))
            pair.paste(two.resize((256, 256)), (256, 0))
            pair.save(path)
        return self._file(path)

    def _file(self, path: Path) -> MediaFile:
        if not path.exists():
            raise e.ResultExpired
        with Image.open(path) as picture:
            width, height = picture.size
        return MediaFile(path, "image/png", "original", width, height, path.stat().st_size)


class FakeState:
    """`core.ports.AppState` in a dictionary."""

    def __init__(self) -> None:
        self._values: dict[tuple[str, str], Any] = {}

    async def get(self, area: str, key: str) -> Any | None:
        return self._values.get((area, key))

    async def put(self, area: str, key: str, value: Any) -> None:
        self._values[area, key] = value

    async def delete(self, area: str, key: str) -> None:
        self._values.pop((area, key), None)

    async def keys(self, area: str) -> Sequence[str]:
        return [key for known, key in self._values if known == area]

    async def claim(self, area: str, key: str, *, ttl_s: float) -> bool:
        return self._values.setdefault((area, key), None) is None


class FakeService:
    """See the module's docstring. `pace_s` is the pause between two events."""

    def __init__(self, data_dir: Path, clock: TestClock, *, pace_s: float = 0.0) -> None:
        self.data_dir = data_dir
        self.clock = clock
        self.pace_s = pace_s
        self.draining = False
        self.allow_unsafe = False
        self.confirm_above_nanousd = NANOUSD_PER_USD
        self.play_money = True
        self.day_limit_nanousd = 5 * NANOUSD_PER_USD
        self.enforce_limits = False
        self.spent_nanousd = 0
        self.fail_with: e.UpscaleError | None = None
        self.break_with: Exception | None = None
        self.incidents: list[BaseException] = []
        self.jobs: dict[str, Job] = {}
        self.requests: list[UpscaleRequest] = []
        self.gates: dict[str, asyncio.Event] = {}
        self.feed = JobFeed(clock)
        self.saved: dict[str, str | int | float | bool] = {}
        self.limit_rows: dict[tuple[ScopeKind, Measure, Window], int] = {}
        self.paused = False
        self._tasks: set[asyncio.Task[None]] = set()
        (data_dir / "jobs").mkdir(parents=True, exist_ok=True)

    # --- asking ---

    async def request(self, request: UpscaleRequest) -> Job:
        if self.break_with is not None:
            raise self.break_with
        if self.draining:
            raise e.Draining
        if self.paused:
            raise e.Paused(by="operator")
        job_id = job_id_for(request.key)
        if job_id in self.jobs:
            return self.jobs[job_id]
        self.requests.append(request)
        typed, options = parse_request(request.text, request.fields)
        chosen = resolve(typed, options, self.saved)
        if not chosen.safety and not (self.allow_unsafe and request.unsafe_place):
            raise e.UnsafeNotAllowed(reason="operator")
        seed = chosen.seed if chosen.seed is not None else int(hashlib.sha256(job_id.encode()).hexdigest()[:8], 16)
        now = self.clock.now()
        job = Job(
            id=job_id,
            key=request.key,
            state=JobState.QUEUED,
            requester=request.requester,
            source=request.source,
            reply=request.reply,
            parameters=chosen.with_values(seed=seed),
            created_at=now,
            updated_at=now,
            parent_id=request.parent_id,
        )
        self.jobs[job_id] = job
        self._start(self._run(job_id))
        return job

    def _start(self, work: Any) -> None:
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def close(self) -> None:
        for task in list(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def change(self, job_id: str, **values: Any) -> Job:
        """Set fields and publish the event."""
        job = dataclasses.replace(self.jobs[job_id], updated_at=self.clock.now(), **values)
        self.jobs[job_id] = job
        self.feed.publish(job)
        return job

    async def _run(self, job_id: str) -> None:
        try:
            await self._first_half(job_id)
        except e.UpscaleError as error:
            state = JobState.FAILED if isinstance(error, (e.ModelError, e.ProviderError)) else JobState.REFUSED
            self.change(job_id, state=state, error=error, finished_at=self.clock.now())

    async def _step(self, job_id: str, **values: Any) -> None:
        self.change(job_id, **values)
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
        price = await self._quote(facts.width_px, facts.height_px, factor, job.requester)
        self.change(job_id, input=facts, quote=price)
        if self.enforce_limits and price.estimate_nanousd > self._day().left:
            raise e.LimitReached(status=self._day(), needed=price.estimate_nanousd, largest_factor=1.2)
        if price.needs_confirmation and price.estimate_nanousd > self.requests[-1].confirmed_nanousd:
            self.change(job_id, state=JobState.AWAITING_CONFIRMATION, confirm_by_at=self.clock.now() + 600)
            return
        await self._second_half(job_id)

    def _stage(self, job: Job) -> InputFacts:
        if job.source.kind in {"job_input", "job_result"}:
            earlier = self.jobs[job.source.job_id]
            name = f"{earlier.id}-source.png" if job.source.kind == "job_input" else f"{earlier.id}-result.png"
            path = self.data_dir / "jobs" / name
        elif job.source.kind == "link":
            path = self.data_dir / "linked.png"
            Image.effect_mandelbrot((60, 40), (-2, -1.2, 1, 1.2), 30).save(path)
        else:
            path = Path(job.source.path)
        try:
            with Image.open(path) as picture:
                upright = ImageOps.exif_transpose(picture).convert("RGB")
                kind = (picture.format or "png").lower()
        except OSError as error:
            raise e.NotAnImage(detected="text") from error
        upright.save(self.data_dir / "jobs" / f"{job.id}-source.png")
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
            self.change(job_id, receipt=Receipt(0, 0, "none", play_money=True))
            raise self.fail_with
        await self._step(job_id, state=JobState.DELIVERING, progress=Progress("delivering"))
        await asyncio.to_thread(self._finish, job_id)

    def _was_cancelled(self, job_id: str) -> bool:
        if not self.jobs[job_id].cancel_requested_by:
            return False
        self.change(
            job_id,
            state=JobState.CANCELLED,
            receipt=Receipt(0, self.jobs[job_id].quote.estimate_nanousd, "none", play_money=True),  # type: ignore[union-attr]
            finished_at=self.clock.now(),
        )
        return True

    def _finish(self, job_id: str) -> None:
        job = self.jobs[job_id]
        assert job.quote is not None
        path = self.data_dir / "jobs" / f"{job_id}-result.png"
        with Image.open(self.data_dir / "jobs" / f"{job_id}-source.png") as picture:
            picture.resize((job.quote.out_width_px, job.quote.out_height_px), Image.Resampling.LANCZOS).save(path)
        charged = job.quote.estimate_nanousd
        self.spent_nanousd += charged
        result = Result(
            width_px=job.quote.out_width_px,
            height_px=job.quote.out_height_px,
            bytes=path.stat().st_size,
            mime="image/png",
            path=f"jobs/{path.name}",
            seed=job.parameters.seed or 0,
            inference_s=3.42,
            caption=CAPTION,
            link="https://provider.example/secret-result.png",
        )
        units = Decimal(job.quote.megapixels)
        receipt = Receipt(charged, charged, "units", units, job.quote.unit_price_nanousd, self.play_money)
        self.change(job_id, state=JobState.SUCCEEDED, result=result, receipt=receipt, finished_at=self.clock.now())

    # --- acting ---

    def _known(self, job_id: str) -> Job:
        if job_id not in self.jobs:
            raise e.JobNotFound
        return self.jobs[job_id]

    async def confirm(self, job_id: str, actor: Requester) -> Job:
        job = self._known(job_id)
        if job.state is not JobState.AWAITING_CONFIRMATION:
            raise e.TooLate(state=str(job.state))
        job = self.change(job_id, state=JobState.QUEUED, progress=Progress("waiting", position=2))
        self._start(self._resume(job_id))
        return job

    async def _resume(self, job_id: str) -> None:
        await self._second_half(job_id)

    async def cancel(self, job_id: str, actor: Requester) -> Job:
        job = self._known(job_id)
        if job.state.terminal:
            raise e.TooLate(state=str(job.state))
        if job.state is JobState.AWAITING_CONFIRMATION:
            return self.change(job_id, state=JobState.CANCELLED, finished_at=self.clock.now())
        return self.change(job_id, cancel_requested_by="web:local")

    async def repeat(
        self,
        job_id: str,
        actor: Requester,
        change: Change,
        *,
        key: str,
        reply: ReplyAddress,
        private: bool | None = None,
    ) -> Job:
        earlier = self._known(job_id)
        values: dict[str, Any] = {
            name: value for name, value in dataclasses.asdict(earlier.parameters).items() if value is not None
        }
        kind = "job_result" if change.kind == "twice_more" else "job_input"
        if change.kind == "again":
            values.pop("seed")
        if change.kind == "more_creative":
            values["creativity"] = min(1.0, values["creativity"] + 0.2)
        if change.kind == "twice_more":
            values["factor"] = 2.0
        if change.kind == "factor":
            values["factor"] = change.factor
        source = Source(kind, job_id=job_id, name=earlier.source.name)  # type: ignore[arg-type]
        return await self.request(UpscaleRequest(key, actor, source, reply, fields=values, parent_id=job_id))

    async def job(self, job_id: str, actor: Requester | None) -> Job:
        return self._known(job_id)

    async def delete(self, job_id: str, actor: Requester) -> Job:
        self._known(job_id)
        for path in (self.data_dir / "jobs").glob(f"{job_id}-*"):
            path.unlink()
        return self.change(job_id, images_deleted=True)

    async def redeliver(self, job_id: str, actor: Requester, *, reply: ReplyAddress) -> Job:
        return self._known(job_id)

    can_share = False

    async def share(self, job_id: str, actor: Requester) -> str | None:
        return None

    async def shared(self, job_id: str, signature: str) -> Job:
        raise e.JobNotFound

    async def watch(self, job_id: str, *, after: int = 0) -> AsyncIterator[JobEvent]:
        async for event in self.feed.follow(job_id, after, idle_s=5):
            if event is None:
                continue
            yield event
            if isinstance(event, (Finished, Failed, Cancelled)):
                return

    async def history(self, actor: Requester, *, limit: int = 10, before: float | None = None) -> Sequence[Job]:
        jobs = sorted(self.jobs.values(), key=lambda job: -job.created_at)
        return [job for job in jobs if before is None or job.created_at < before][:limit]

    async def queue(self, actor: Requester) -> OpenHere:
        authorization.check_moderator(actor)
        here = tuple(j for j in self.jobs.values() if not j.state.terminal)
        return OpenHere(tuple(j for j in here if j.requester.workspace_id == actor.workspace_id), len(here))

    async def estimate(
        self, width_px: int, height_px: int, actor: Requester, *, text: str = "", fields: Fields | None = None
    ) -> Quote:
        typed, options = parse_request(text, fields or {})
        return await self._quote(width_px, height_px, resolve(typed, options, self.saved).factor, actor)

    async def _quote(self, width_px: int, height_px: int, factor: float, actor: Requester) -> Quote:
        price = quote(width_px, height_px, factor, DEFAULT_UNIT_PRICE_NANOUSD)
        needs = price.estimate_nanousd > self.confirm_above_nanousd
        return with_consent(price, tuple(await self.limits(actor)), needs_confirmation=needs)

    def check(self, text: str, fields: Fields) -> None:
        parse_request(text, fields)

    # --- money, defaults, privacy ---

    def _day(self) -> LimitStatus:
        limit = Limit(Scope(ScopeKind.USER, "web"), Measure.USD, Window.DAY, self.day_limit_nanousd)
        return LimitStatus(limit, self.spent_nanousd, 0, self.clock.now() + 3 * 3600)

    async def usage(self, actor: Requester, *, period: str = "month", member_id: str | None = None) -> UsageReport:
        done = [job for job in self.jobs.values() if job.receipt is not None and job.result is not None]
        total = sum(job.receipt.charged_nanousd for job in done if job.receipt)
        row = UsageRow("2026-11-23", "23 Nov", total, len(done), float(len(done)))
        day = dataclasses.replace
        days = (day(row, key="2026-11-22", label="22 Nov", jobs=0, charged_nanousd=0), row)
        return UsageReport(
            "user", period, "UTC", "2026-11-01", "2026-11-30", total, 0, len(done), 3.0, days, (), None, self.play_money
        )

    async def usage_chart(self, report: UsageReport, *, locale: str, dark: bool = True) -> Path:
        path = self.data_dir / "chart.png"
        Image.new("RGB", (900, 360), "#1b2427" if dark else "#eef4f2").save(path)
        return path

    async def limits(self, actor: Requester) -> Sequence[LimitStatus]:
        rows = [
            LimitStatus(Limit(Scope(scope, "web"), measure, window, amount, "operator"), 0, 0, None)
            for (scope, measure, window), amount in self.limit_rows.items()
        ]
        return [self._day(), *rows]

    async def workspace_limits(self, actor: Requester) -> Sequence[LimitStatus]:
        return await self.limits(actor)

    async def set_limit(
        self,
        actor: Requester,
        scope: ScopeKind,
        scope_id: str,
        measure: Measure,
        window: Window,
        amount: int | None,
    ) -> Sequence[LimitStatus]:
        if amount is None:
            self.limit_rows.pop((scope, measure, window), None)
        else:
            self.limit_rows[scope, measure, window] = amount
        return await self.limits(actor)

    async def pause(self, actor: Requester, paused: bool) -> None:
        self.paused = paused

    async def set_alert_channel(self, actor: Requester, channel_id: str | None) -> None:
        return None

    async def defaults(self, actor: Requester) -> Fields:
        return self.saved

    async def set_defaults(self, actor: Requester, text: str, fields: Fields | None = None) -> Fields:
        typed, options = parse_request(text, fields or {})
        self.saved = {**typed.values, **options.values}
        return self.saved

    async def export(self, actor: Requester) -> Path:
        path = self.data_dir / "export.zip"
        with zipfile.ZipFile(path, "w") as bundle:
            bundle.writestr("jobs.json", "[]")
        return path

    async def erase(self, actor: Requester) -> int:
        count = len(self.jobs)
        self.jobs.clear()
        return count

    async def forget_workspace(self, platform: str, workspace_id: str) -> None:
        return None

    async def unforeseen(self, area: str, error: BaseException) -> e.UpscaleError:
        if isinstance(error, e.UpscaleError):
            return error
        if isinstance(error, DatabaseAway):
            return e.StorageUnavailable()
        return e.InternalError(reference=await self.incident(area, error))

    async def incident(self, area: str, error: BaseException) -> str:
        self.incidents.append(error)
        return "ref0incident"

    def notice(self, error: e.UpscaleError, locale: str, job: Job | None = None) -> Notice:
        charge = Charge(job.receipt.charged_nanousd) if job is not None and job.receipt is not None else None
        return explain(error, locale, reference=job.id if job else "", charge=charge)


def read_csv(text: str) -> list[dict[str, str]]:
    """Rows of a CSV answer."""
    return list(csv.DictReader(text.splitlines()))
