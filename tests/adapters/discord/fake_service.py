"""A core in memory for the adapter's tests: judges with the real parser, runs jobs on command, counts what was asked.

It is a fake and no mock: it keeps jobs, memos and state as the real one does, and tells the adapter nothing else.
"""

from __future__ import annotations

import asyncio
import io
import json
import time
import zipfile
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from PIL import Image

from core.budgets.reports import UsageReport, UsageRow
from core.budgets.reports.chart import ChartError
from core.domain import authorization, money
from core.domain.errors import (
    DeliveryRefused,
    Draining,
    InternalError,
    JobNotFound,
    QuoteExpired,
    ResultExpired,
    StorageUnavailable,
    TooLate,
    UnsafeNotAllowed,
    UpscaleError,
)
from core.domain.events import JobEvent
from core.domain.job import (
    Delivery,
    DeliveryKind,
    InputFacts,
    Job,
    JobState,
    Progress,
    Quote,
    Receipt,
    ReplyAddress,
    Requester,
    Result,
    UpscaleRequest,
    job_id_for,
)
from core.domain.limits import Limit, LimitStatus, Measure, Scope, ScopeKind, Window
from core.domain.parameters.grammar import parse_request
from core.domain.parameters.spec import resolve
from core.domain.variations import redelivery, repeated_request
from core.ports import Change, ChatAdapter, MediaFile, OpenHere, Reply
from core.presentation import Notice, explain
from core.presentation.ending_texts import ending
from core.presentation.job_texts import cancelled_text, charge_text
from tests.fakes.core import DatabaseAway

UNIT_PRICE = money.DEFAULT_UNIT_PRICE_NANOUSD
CAPTION = "A quiet harbour at dawn, with @everyone asleep and **nets** drying on the quay."


@dataclass
class MovedClock:
    """Real time plus an offset; sleeping takes one turn of the loop."""

    offset_s: float = 0.0
    slept_s: float = 0.0

    def now(self) -> float:
        return time.time() + self.offset_s

    async def sleep(self, seconds: float) -> None:
        self.slept_s += seconds
        await asyncio.sleep(0.002)


@dataclass
class MemoryState:
    values: dict[tuple[str, str], Any] = field(default_factory=dict)
    claims: dict[tuple[str, str], float] = field(default_factory=dict)
    identify_ttl_s: float | None = None

    async def get(self, area: str, key: str) -> Any | None:
        return self.values.get((area, key))

    async def put(self, area: str, key: str, value: Any) -> None:
        self.values[area, key] = json.loads(json.dumps(value))

    async def delete(self, area: str, key: str) -> None:
        self.values.pop((area, key), None)

    async def keys(self, area: str) -> Sequence[str]:
        return [k for a, k in self.values if a == area]

    async def claim(self, area: str, key: str, *, ttl_s: float) -> bool:
        now = time.monotonic()
        if self.claims.get((area, key), 0.0) > now:
            return False
        self.claims[area, key] = now + (self.identify_ttl_s if self.identify_ttl_s is not None else ttl_s)
        return True


class MemoryMemo:
    def __init__(self, store: dict[str, dict[str, Any]], job_id: str) -> None:
        self._store, self._job_id = store, job_id

    async def load(self) -> dict[str, Any]:
        return dict(self._store.get(self._job_id, {}))

    async def leave(self, message: Mapping[str, Any]) -> None:
        """Nothing is left here."""

    async def save(self, **values: Any) -> None:
        self._store.setdefault(self._job_id, {}).update(json.loads(json.dumps(values)))


def png(width: int = 64, height: int = 48, colour: str = "teal", mode: str = "RGB") -> bytes:
    out = io.BytesIO()
    Image.new(mode, (width, height), colour).save(out, "PNG")
    return out.getvalue()


@dataclass
class FakeMedia:
    """Shapes of a result by size alone: original, then WebP at a third, then a preview at 64 KiB.

    The files are real small pictures, padded to the size that the test asks for.
    """

    directory: Path
    picture: bytes = field(default_factory=lambda: png(128, 96, "darkorange"))
    original_bytes: int | None = None
    px: tuple[int, int] = (128, 96)
    asked: list[int] = field(default_factory=list)
    expired: bool = False

    def _file(self, job: Job, shape: DeliveryKind, size: int | None, suffix: str, mime: str) -> MediaFile:
        path = self.directory / f"{job.id}-{shape}-{size}.{suffix}"
        data = self.picture
        if size is not None and size > len(data):
            data = data + b"\0" * (size - len(data))
        path.write_bytes(data)
        return MediaFile(path, mime, shape, *self.px, len(data))

    async def original(self, job: Job) -> MediaFile:
        if self.expired:
            raise ResultExpired
        return self._file(job, "original", self.original_bytes, "png", "image/png")

    async def source(self, job: Job) -> MediaFile:
        return self._file(job, "original", None, "png", "image/png")

    async def fit(self, job: Job, *, max_bytes: int) -> MediaFile:
        self.asked.append(max_bytes)
        whole = await self.original(job)
        if whole.bytes <= max_bytes:
            return whole
        if whole.bytes // 3 <= max_bytes:
            return self._file(job, "lossless_webp", whole.bytes // 3, "webp", "image/webp")
        return self._file(job, "preview", min(max_bytes, 65_536), "jpg", "image/jpeg")

    async def preview(self, job: Job, *, max_side_px: int, max_bytes: int) -> MediaFile:
        made = self._file(job, "preview", min(max_bytes, 65_536), "jpg", "image/jpeg")
        return replace(made, width_px=max_side_px, height_px=max_side_px)

    async def compare(self, job: Job) -> MediaFile:
        return self._file(job, "original", None, "png", "image/png")


def money_left(left_nanousd: int = 4_600_000_000) -> LimitStatus:
    limit = Limit(Scope(ScopeKind.USER, "discord"), Measure.USD, Window.DAY, 5_000_000_000)
    return LimitStatus(limit, 5_000_000_000 - left_nanousd, 0, time.time() + 3600)


Script = Callable[["FakeCore", Job], Awaitable[None]]


class FakeCore:
    """`core.ports.Service`, and the hand that moves jobs along: `run`, `progress`, `finish`, `fail`, `ask`."""

    def __init__(self, directory: Path) -> None:
        self.unsaid: list[DeliveryRefused] = []
        self.clock = MovedClock()
        self.state = MemoryState()
        self.media = FakeMedia(directory)
        self.adapter: ChatAdapter | None = None
        self.jobs: dict[str, Job] = {}
        self.requests: list[UpscaleRequest] = []
        self.memos: dict[str, dict[str, Any]] = {}
        self.saved: dict[str, dict[str, Any]] = {}
        self.limit_calls: list[tuple[Any, ...]] = []
        self.incidents: list[BaseException] = []
        self.directory = directory
        self.script: Script | None = FakeCore.run_to_end
        self.link: str | None = None
        self.is_draining = False
        self.unsafe = False
        self.chart_broken = False
        self.broken: Exception | None = None
        self.size_px = (1200, 800)
        self.locale_of: dict[str, str] = {}
        self._tasks: set[asyncio.Task[None]] = set()

    # --- moving jobs --------------------------------------------------------------------------------------------

    def reply(self, job_id: str) -> Reply:
        assert self.adapter is not None
        return self.adapter.reply(self.jobs[job_id].reply, MemoryMemo(self.memos, job_id))

    def set(self, job_id: str, **changes: Any) -> Job:
        self.jobs[job_id] = replace(self.jobs[job_id], **changes)
        return self.jobs[job_id]

    async def ask(self, job_id: str) -> None:
        job = self.set(
            job_id,
            state=JobState.AWAITING_CONFIRMATION,
            confirm_by_at=self.clock.now() + 600,
            quote=replace(self._quote(self.jobs[job_id]), needs_confirmation=True, left=(money_left(),)),
        )
        await self.reply(job_id).ask(job)

    async def progress(self, job_id: str, now: Progress) -> None:
        job = self.set(job_id, state=JobState.RUNNING, progress=now, quote=self._quote(self.jobs[job_id]))
        await self.reply(job_id).progress(job, now)

    async def finish(self, job_id: str) -> Delivery:
        job = self.jobs[job_id]
        quote = self._quote(job)
        job = self.set(
            job_id,
            state=JobState.DELIVERING,
            quote=quote,
            input=InputFacts("png", *self.size_px, 123_456, "00"),
            result=Result(
                quote.out_width_px,
                quote.out_height_px,
                self.media.original_bytes or len(self.media.picture),
                "image/png",
                "result.png",
                job.parameters.seed or 12345,
                4.2,
                CAPTION,
                self.link,
            ),
            receipt=Receipt(quote.estimate_nanousd, quote.estimate_nanousd, "units"),
        )
        try:
            delivery = await self.reply(job_id).finished(job, (money_left(),))
        except DeliveryRefused:
            await self._end(job_id, Delivery("kept"))
            raise
        await self._end(job_id, delivery)
        return delivery

    async def _end(self, job_id: str, delivery: Delivery) -> None:
        """As the core: where the picture is not in the job's own message, words close it."""
        job = self.set(job_id, state=JobState.SUCCEEDED, delivery=delivery, finished_at=self.clock.now())
        if job.needs_last_words:
            try:
                await self.reply(job_id).closed(job, ending(job))
            except DeliveryRefused as refusal:
                self.unsaid.append(refusal)

    async def fail(self, job_id: str, error: UpscaleError) -> None:
        job = self.set(job_id, state=JobState.FAILED, error=error)
        locale = job.requester.locale
        await self.reply(job_id).failed(job, explain(error, locale, reference=job.id))

    async def run_to_end(self, job: Job) -> None:
        await self.progress(job.id, Progress("waiting", position=2))
        await self.progress(job.id, Progress("upscaling", percent=40.0, eta_at=self.clock.now() + 20))
        await self.finish(job.id)

    def _start(self, job: Job) -> None:
        if self.script is None:
            return
        work: Any = self.script(self, job)
        task: asyncio.Task[None] = asyncio.create_task(work, name=f"fake-job-{job.id}")
        self._tasks.add(task)

    async def settle(self) -> None:
        """Wait for all jobs; their failures are the test's failures."""
        while pending := [t for t in self._tasks if not t.done()]:
            await asyncio.wait(pending, timeout=20)
        for task in self._tasks:
            task.result()

    def _quote(self, job: Job) -> Quote:
        return money.quote(*self.size_px, job.parameters.factor, UNIT_PRICE)

    # --- the service --------------------------------------------------------------------------------------------

    @property
    def draining(self) -> bool:
        return self.is_draining

    @property
    def allow_unsafe(self) -> bool:
        return self.unsafe

    @property
    def confirm_above_nanousd(self) -> int:
        return money.NANOUSD_PER_USD

    @property
    def play_money(self) -> bool:
        return False

    async def request(self, request: UpscaleRequest) -> Job:
        self.requests.append(request)
        if self.is_draining:
            raise Draining
        if self.broken is not None:
            raise self.broken
        text, typed = parse_request(request.text, request.fields)
        saved = self.saved.get(request.requester.user_id, {})
        parameters = resolve(text, typed, saved)
        if not parameters.safety and not (self.unsafe and request.unsafe_place):
            raise UnsafeNotAllowed(reason="place" if self.unsafe else "operator")
        job_id = job_id_for(request.key)
        if job_id in self.jobs:
            return self.jobs[job_id]
        now = self.clock.now()
        job = Job(
            job_id, request.key, JobState.QUEUED, request.requester, request.source, request.reply, parameters,
            now, now, spoiler=request.spoiler, parent_id=request.parent_id,
            private=bool(request.private or text.private or typed.private),
            confirmed_nanousd=request.confirmed_nanousd,
        )  # fmt: skip
        self.jobs[job_id] = job
        self._start(job)
        return job

    def _find(self, job_id: str, actor: Requester | None) -> Job:
        if job_id not in self.jobs:
            raise JobNotFound
        return authorization.check_visible(self.jobs[job_id], actor)

    async def confirm(self, job_id: str, actor: Requester) -> Job:
        job = self._find(job_id, actor)
        authorization.check_requester(job, actor)
        if job.state is not JobState.AWAITING_CONFIRMATION:
            raise TooLate(state=job.state)
        if job.confirm_by_at is not None and self.clock.now() > job.confirm_by_at:
            raise QuoteExpired
        job = self.set(job_id, state=JobState.QUEUED)
        self._start(job)
        return job

    async def cancel(self, job_id: str, actor: Requester) -> Job:
        job = self._find(job_id, actor)
        authorization.check_may_stop(job, actor)
        if job.state.terminal:
            raise TooLate(state=job.state)
        if job.state is JobState.RUNNING:
            return self.set(job_id, cancel_requested_by=actor.user_id)
        job = self.set(job_id, state=JobState.CANCELLED, receipt=Receipt(0, 0, "none"))
        notice = Notice(cancelled_text(job, "en"), charged=charge_text(Receipt(0, 0, "none"), "en"), tone="info")
        await self.reply(job_id).failed(job, notice)
        return job

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
        before = self._find(job_id, actor)
        return await self.request(repeated_request(before, actor, change, key=key, reply=reply, private=private))

    async def job(self, job_id: str, actor: Requester | None) -> Job:
        return self._find(job_id, actor)

    async def delete(self, job_id: str, actor: Requester) -> Job:
        job = self._find(job_id, actor)
        authorization.check_may_stop(job, actor)
        return self.set(job_id, images_deleted=True)

    async def redeliver(self, job_id: str, actor: Requester, *, reply: ReplyAddress) -> Job:
        job = redelivery(self._find(job_id, actor), actor, reply, now=self.clock.now())
        if job.id not in self.jobs:
            self.jobs[job.id] = job
            await self.reply(job.id).finished(job, ())
            self.set(job.id, state=JobState.SUCCEEDED)
        return self.jobs[job.id]

    async def watch(self, job_id: str, *, after: int = 0) -> AsyncIterator[JobEvent]:
        return
        yield

    async def history(self, actor: Requester, *, limit: int = 10, before: float | None = None) -> Sequence[Job]:
        mine = [j for j in self.jobs.values() if j.requester.user_id == actor.user_id]
        return sorted(mine, key=lambda j: -j.created_at)[:limit]

    async def queue(self, actor: Requester) -> OpenHere:
        authorization.check_moderator(actor)
        here = tuple(j for j in self.jobs.values() if not j.state.terminal)
        return OpenHere(tuple(j for j in here if j.requester.workspace_id == actor.workspace_id), len(here))

    async def estimate(
        self, width_px: int, height_px: int, actor: Requester, *, text: str = "", fields: Any = None
    ) -> Quote:
        first, typed = parse_request(text, fields or {})
        return money.quote(width_px, height_px, resolve(first, typed).factor, UNIT_PRICE)

    def check(self, text: str, fields: Mapping[str, str | int | float | bool]) -> None:
        parse_request(text, fields)

    async def usage(self, actor: Requester, *, period: str = "month", member_id: str | None = None) -> UsageReport:
        if member_id not in (None, actor.user_id):
            authorization.check_moderator(actor)
        day = UsageRow("2026-11-23", "2026-11-23", 3_200_000_000, 8, 32.0)
        members = (UsageRow(actor.user_id, actor.user_name, 3_200_000_000, 8, 32.0),) if actor.is_moderator else ()
        return UsageReport(
            "workspace" if actor.is_moderator else "user", period, "UTC", "2026-11-01", "2026-11-30",
            3_200_000_000, 400_000_000, 8, 32.0, (day,), members, 25_000_000_000, False,
        )  # fmt: skip

    async def usage_chart(self, report: UsageReport, *, locale: str, dark: bool = True) -> Path:
        if self.chart_broken:
            raise ChartError
        path = self.directory / f"chart-{time.monotonic_ns()}.png"
        path.write_bytes(png(640, 360, "navy"))
        return path

    async def limits(self, actor: Requester) -> Sequence[LimitStatus]:
        own = [
            LimitStatus(
                Limit(Scope(kind, "discord", actor.workspace_id, sid), what, when, units, "moderator"), 0, 0, None
            )
            for who, kind, sid, what, when, units in self.limit_calls
            if units is not None and who == actor.workspace_id
        ]
        return [money_left(), *own]

    async def set_limit(
        self,
        actor: Requester,
        scope: ScopeKind,
        scope_id: str,
        measure: Measure,
        window: Window,
        amount: int | None,
    ) -> Sequence[LimitStatus]:
        authorization.check_moderator(actor)
        self.limit_calls.append((actor.workspace_id, scope, scope_id, measure, window, amount))
        return await self.limits(actor)

    async def workspace_limits(self, actor: Requester) -> Sequence[LimitStatus]:
        authorization.check_moderator(actor)
        return await self.limits(actor)

    async def sponsor(
        self, actor: Requester, channel_id: str, amount_nanousd: int | None, ends_at: float = 0.0
    ) -> None:
        authorization.check_moderator(actor)
        await self.state.put("sponsor", channel_id, amount_nanousd)

    async def pause(self, actor: Requester, paused: bool) -> None:
        authorization.check_moderator(actor)
        self.limit_calls.append(("pause", None, "", None, None, None))

    async def set_alert_channel(self, actor: Requester, channel_id: str | None) -> None:
        authorization.check_moderator(actor)
        await self.state.put("alerts", actor.workspace_id, channel_id)

    async def defaults(self, actor: Requester) -> Mapping[str, str | int | float | bool]:
        return self.saved.get(actor.user_id, {})

    async def set_defaults(
        self, actor: Requester, text: str, fields: Mapping[str, str | int | float | bool] | None = None
    ) -> Mapping[str, str | int | float | bool]:
        parse_request(text, fields or {})
        self.saved[actor.user_id] = dict(fields or {})
        return self.saved[actor.user_id]

    async def export(self, actor: Requester) -> Path:
        path = self.directory / "export-made.zip"
        with zipfile.ZipFile(path, "w") as archive:
            archive.writestr("data.json", json.dumps({"user": actor.user_id}))
            archive.writestr("images/a.png", png(8, 8) + bytes(self.media.original_bytes or 0))
        return path

    async def erase(self, actor: Requester) -> int:
        mine = [j for j, job in self.jobs.items() if job.requester.user_id == actor.user_id]
        for job_id in mine:
            del self.jobs[job_id]
        return len(mine)

    async def forget_workspace(self, platform: str, workspace_id: str) -> None:
        return None

    async def unforeseen(self, area: str, error: BaseException) -> UpscaleError:
        if isinstance(error, UpscaleError):
            return error
        if isinstance(error, DatabaseAway):
            return StorageUnavailable()
        return InternalError(reference=await self.incident(area, error))

    async def incident(self, area: str, error: BaseException) -> str:
        self.incidents.append(error)
        return "0incident000"

    def notice(self, error: UpscaleError, locale: str, job: Job | None = None) -> Notice:
        return explain(error, locale)
