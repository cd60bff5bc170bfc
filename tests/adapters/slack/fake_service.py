"""A small honest core for the adapter's tests: jobs in memory, one per key, carried through the adapter's own Reply.

It keeps the promises of `core.ports.Service` that adapters lean on (same key is the same job, workspaces are apart,
only the requester confirms) and lets a test hold a job at a stage. It shows no message itself.
"""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import aiohttp

from core.budgets.reports import UsageReport, UsageRow
from core.domain import authorization
from core.domain.errors import (
    DeliveryRefused,
    DeliveryUnavailable,
    Draining,
    InternalError,
    InvalidParameters,
    JobNotFound,
    NotAllowed,
    QuoteExpired,
    StorageUnavailable,
    UpscaleError,
)
from core.domain.events import JobEvent
from core.domain.job import (
    Delivery,
    InputFacts,
    Job,
    JobState,
    Progress,
    Receipt,
    Remote,
    ReplyAddress,
    Requester,
    Result,
    UpscaleRequest,
    job_id_for,
)
from core.domain.limits import Limit, LimitStatus, Measure, Scope, ScopeKind, Window
from core.domain.money import quote
from core.domain.parameters.grammar import parse_request
from core.domain.parameters.spec import resolve
from core.jobs.progress import ProgressLoop
from core.ports import Change, ChatAdapter, MediaFile, OpenHere
from core.presentation import Notice, explain
from core.presentation.ending_texts import ending
from tests.emulators.slack.picture import measure, png
from tests.fakes.core import DatabaseAway

CAPTION = "A cat <!channel> on a *red* sofa & <@U0BEN00001> looks _up_"
STAGES = ("preparing", "waiting", "upscaling", "delivering")


class Memo:
    """Durable notes of one job, as far as a test's process lives."""

    def __init__(self, store: dict[str, Any]) -> None:
        self._store = store

    async def load(self) -> dict[str, Any]:
        return dict(self._store)

    async def leave(self, message: Mapping[str, Any]) -> None:
        self._store.setdefault("must_go", []).append(dict(message))

    async def save(self, **values: Any) -> None:
        self._store.update(values)


class FakeState:
    """AppState in memory. Share one between two adapters to have two replicas."""

    def __init__(self, clock: Any) -> None:
        self.values: dict[tuple[str, str], Any] = {}
        self._claims: dict[tuple[str, str], float] = {}
        self._clock = clock

    async def get(self, area: str, key: str) -> Any | None:
        return self.values.get((area, key))

    async def put(self, area: str, key: str, value: Any) -> None:
        self.values[(area, key)] = value

    async def delete(self, area: str, key: str) -> None:
        self.values.pop((area, key), None)

    async def keys(self, area: str) -> Sequence[str]:
        return [key for where, key in self.values if where == area]

    async def claim(self, area: str, key: str, *, ttl_s: float) -> bool:
        now = self._clock.now()
        if self._claims.get((area, key), 0) > now:
            return False
        self._claims[(area, key)] = now + ttl_s
        return True


class FakeMedia:
    """Results as small PNG files; `big` makes the original too large to be shown inline."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self.big = False
        self.fits: list[int] = []

    async def _file(self, job: Job, name: str, width_px: int, height_px: int, **how: Any) -> MediaFile:
        path = self._folder / f"{job.id}-{name}.png"
        data = png(min(width_px, 64), min(height_px, 64), shade=len(name))
        path.write_bytes(data)
        shape = how.get("shape", "original")
        return MediaFile(path, how.get("mime", "image/png"), shape, width_px, height_px, len(data))

    async def original(self, job: Job) -> MediaFile:
        assert job.result is not None
        side = 9000 if self.big else 64
        return await self._file(job, "full", max(side, job.result.width_px), job.result.height_px)

    async def fit(self, job: Job, *, max_bytes: int) -> MediaFile:
        self.fits.append(max_bytes)
        return await self._file(job, f"fit{max_bytes}", 64, 48, shape="jpeg")

    async def source(self, job: Job) -> MediaFile:
        return await self._file(job, "source", 64, 48)

    async def preview(self, job: Job, *, max_side_px: int, max_bytes: int) -> MediaFile:
        return await self._file(job, "preview", 64, 48, shape="preview")

    async def compare(self, job: Job) -> MediaFile:
        return await self._file(job, "compare", 64, 48)


@dataclass
class Row:
    job: Job
    memo: dict[str, Any] = field(default_factory=dict)
    go: dict[str, asyncio.Event] = field(default_factory=dict)
    task: asyncio.Task[None] | None = None


class FakeService:
    """Implements `core.ports.Service`."""

    def __init__(self, clock: Any, folder: Path) -> None:
        self.clock = clock
        self.folder = folder
        self.adapter: ChatAdapter | None = None
        self.rows: dict[str, Row] = {}
        self.draining_now = False
        self.hold_at: str | None = None
        self.fail_with: UpscaleError | None = None
        self.ask_above_px = 10**9
        self.forgotten: list[tuple[str, str]] = []
        self.incidents: list[BaseException] = []
        self.saved_defaults: dict[tuple[str, str], dict[str, Any]] = {}
        self.limit_calls: list[tuple[Any, ...]] = []
        self.alert_channels: list[str | None] = []
        self.fetched: dict[str, bytes] = {}
        self.delivery_tries = 30
        self.link: str | None = "https://bot.example/files/full.png"
        self.allow_unsafe_now = False
        self._numbers = itertools.count()
        self.unsaid: list[DeliveryRefused] = []

    # ------------------------------------------------------------------ properties

    @property
    def draining(self) -> bool:
        return self.draining_now

    @property
    def allow_unsafe(self) -> bool:
        return self.allow_unsafe_now

    @property
    def confirm_above_nanousd(self) -> int:
        return 10**9

    @property
    def play_money(self) -> bool:
        return False

    # ------------------------------------------------------------------------- jobs

    async def request(self, request: UpscaleRequest) -> Job:
        if self.draining_now:
            raise Draining
        text, options = parse_request(request.text, dict(request.fields))
        job_id = job_id_for(request.key)
        if job_id in self.rows:
            return self.rows[job_id].job
        defaults = self.saved_defaults.get((request.requester.workspace_id, request.requester.user_id), {})
        now = self.clock.now()
        job = Job(
            id=job_id,
            key=request.key,
            state=JobState.QUEUED,
            requester=request.requester,
            source=request.source,
            reply=request.reply,
            parameters=resolve(text, options, defaults).with_values(seed=1234),
            created_at=now,
            updated_at=now,
            private=request.private,
        )
        self.rows[job_id] = Row(job)
        self.carry_on(job_id)
        return job

    def carry_on(self, job_id: str) -> None:
        """Run (or, after a restart, continue) a job."""
        row = self.rows[job_id]
        row.task = asyncio.get_running_loop().create_task(self._run(row))

    def crash(self) -> None:
        """As if the process died: every job stops where it is."""
        for row in self.rows.values():
            if row.task:
                row.task.cancel()

    def _set(self, row: Row, **changes: Any) -> Job:
        row.job = replace(row.job, updated_at=self.clock.now(), **changes)
        return row.job

    async def _run(self, row: Row) -> None:
        assert self.adapter is not None
        reply = self.adapter.reply(row.job.reply, Memo(row.memo))
        loop = ProgressLoop(reply, self.clock, min_interval_s=self.adapter.capabilities.min_edit_interval_s)
        try:
            await self._steps(row, reply, loop)
        except UpscaleError as error:
            await loop.stop()
            self._set(row, state=JobState.FAILED, error=error)
            said = self.notice(error, row.job.requester.locale, row.job)
            await self._again(lambda: reply.failed(row.job, said))

    async def _again(self, work: Callable[[], Any]) -> Any:
        """What passes is tried again, as the engine does."""
        for attempt in range(self.delivery_tries):
            try:
                return await work()
            except DeliveryUnavailable:
                if attempt == self.delivery_tries - 1:
                    raise
                await self.clock.sleep(0.2)
        raise AssertionError

    async def _steps(self, row: Row, reply: Any, loop: ProgressLoop) -> None:
        if row.job.result is None:
            loop.show(row.job, Progress("preparing"))
            await self._stage(row)
            asked = row.job.quote
            dear = asked is not None and asked.out_width_px * asked.out_height_px > self.ask_above_px
            if dear and not row.job.confirmed_nanousd:
                await loop.stop()
                ask = self._set(row, state=JobState.AWAITING_CONFIRMATION, confirm_by_at=self.clock.now() + 600)
                await self._again(lambda: reply.ask(ask))
                return
            for stage in STAGES[:-1]:
                await self._at(row, loop, stage)
            if self.fail_with is not None:
                raise self.fail_with
            assert row.job.quote is not None
            path = self.folder / f"{row.job.id}.png"
            path.write_bytes(png(8, 8))
            result = Result(
                row.job.quote.out_width_px, row.job.quote.out_height_px, 100, "image/png", path.name, 1234, 4.2,
                CAPTION,
                link=self.link,
            )  # fmt: skip
            receipt = Receipt(400_000_000, 400_000_000, "units")
            self._set(row, result=result, receipt=receipt, state=JobState.DELIVERING)
        await self._at(row, loop, "delivering")
        await loop.stop()
        delivery: Delivery
        try:
            delivery = await self._again(lambda: reply.finished(row.job, (self.status(),)))
        except DeliveryRefused:
            delivery = Delivery("kept")
        job = self._set(row, state=JobState.SUCCEEDED, delivery=delivery, finished_at=self.clock.now())
        if job.needs_last_words:
            try:
                await self._again(lambda: reply.closed(job, ending(job)))
            except DeliveryRefused as refusal:
                self.unsaid.append(refusal)

    async def _at(self, row: Row, loop: ProgressLoop, stage: str) -> None:
        percent = 40.0 if stage == "upscaling" else None
        progress = Progress(stage, 2 if stage == "waiting" else None, percent, self.clock.now() + 40)  # type: ignore[arg-type]
        remote = Remote("fake", request_id="r1") if stage == "upscaling" else row.job.remote
        state = JobState.RUNNING if stage != "delivering" else JobState.DELIVERING
        loop.show(self._set(row, progress=progress, remote=remote, state=state), progress)
        await asyncio.sleep(0.02)
        if stage == self.hold_at:
            await row.go.setdefault(stage, asyncio.Event()).wait()

    async def _stage(self, row: Row) -> None:
        data = png(64, 48)
        if row.job.source.kind == "attachment":
            assert self.adapter is not None
            download = await self.adapter.download(row.job.source)
            async with aiohttp.ClientSession() as session:
                data = await self._fetch(session, download)
        self.fetched[row.job.id] = data
        mime, width, height = measure(data)
        facts = InputFacts(mime.removeprefix("image/"), width, height, len(data), "0" * 64)
        asked = quote(width, height, row.job.parameters.factor, 100_000_000)
        self._set(row, input=facts, quote=replace(asked, left=(self.status(),)))

    async def _fetch(self, session: aiohttp.ClientSession, download: Any) -> bytes:
        """As core.net.fetch: redirects by hand, headers only to trusted hosts, a web page is a login page."""
        from core.domain.errors import DownloadFailed

        url = download.url
        for _ in range(5):
            host = url.split("/")[2]
            headers = dict(download.headers) if host in download.hosts else {}
            async with session.get(url, headers=headers, allow_redirects=False) as answer:
                if answer.status in (301, 302):
                    url = answer.headers["Location"]
                    continue
                if answer.status != 200:
                    raise DownloadFailed(reason="status", status=answer.status)
                data = await answer.read()
                if data.lstrip()[:9].lower().startswith(b"<!doctype"):
                    raise DownloadFailed(reason="login_page", status=200)
                return data
        raise DownloadFailed(reason="status")

    def release(self, stage: str) -> None:
        """Let every job go on that is held at `stage`."""
        self.hold_at = None
        for row in self.rows.values():
            row.go.setdefault(stage, asyncio.Event()).set()

    # -------------------------------------------------------------------- for people

    def _visible(self, job_id: str, actor: Requester | None) -> Row:
        row = self.rows.get(job_id)
        if row is None or (actor is not None and row.job.requester.workspace_id != actor.workspace_id):
            raise JobNotFound
        return row

    async def confirm(self, job_id: str, actor: Requester) -> Job:
        row = self._visible(job_id, actor)
        if row.job.requester.user_id != actor.user_id:
            raise NotAllowed(needs="requester")
        if row.job.confirm_by_at is not None and self.clock.now() > row.job.confirm_by_at:
            raise QuoteExpired
        if row.job.state is JobState.AWAITING_CONFIRMATION:
            self._set(row, confirmed_nanousd=1, state=JobState.QUEUED)
            self.carry_on(job_id)
        return row.job

    async def cancel(self, job_id: str, actor: Requester) -> Job:
        row = self._visible(job_id, actor)
        if row.job.requester.user_id != actor.user_id and not actor.is_moderator:
            raise NotAllowed(needs="requester_or_moderator")
        before = row.job
        if not before.state.terminal:
            if row.task:
                row.task.cancel()
            job = self._set(row, state=JobState.CANCELLED, cancel_requested_by=actor.user_id)
            assert self.adapter is not None
            reply = self.adapter.reply(job.reply, Memo(row.memo))
            row.task = asyncio.create_task(self._again(lambda: reply.failed(job, Notice("Cancelled.", tone="info"))))
        return before

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
        parent = self._visible(job_id, actor).job
        fields = {"factor": change.factor} if change.factor else {}
        return await self.request(UpscaleRequest(key, actor, parent.source, reply, fields=fields, parent_id=job_id))

    async def job(self, job_id: str, actor: Requester | None) -> Job:
        return self._visible(job_id, actor).job

    async def delete(self, job_id: str, actor: Requester) -> Job:
        row = self._visible(job_id, actor)
        if row.job.requester.user_id != actor.user_id and not actor.is_moderator:
            raise NotAllowed(needs="requester_or_moderator")
        return self._set(row, images_deleted=True)

    async def redeliver(self, job_id: str, actor: Requester, *, reply: ReplyAddress) -> Job:
        row = self._visible(job_id, actor)
        assert self.adapter is not None
        again = self.adapter.reply(reply, Memo({}))
        row.task = asyncio.create_task(self._again(lambda: again.finished(row.job, ())))
        return row.job

    async def watch(self, job_id: str, *, after: int = 0) -> AsyncIterator[JobEvent]:
        return
        yield

    async def history(self, actor: Requester, *, limit: int = 10, before: float | None = None) -> Sequence[Job]:
        mine = [
            row.job
            for row in self.rows.values()
            if (row.job.requester.workspace_id, row.job.requester.user_id) == (actor.workspace_id, actor.user_id)
        ]
        return list(reversed(mine))[:limit]

    async def queue(self, actor: Requester) -> OpenHere:
        authorization.check_moderator(actor)
        here = tuple(j for j in self.jobs.values() if not j.state.terminal)
        return OpenHere(tuple(j for j in here if j.requester.workspace_id == actor.workspace_id), len(here))

    async def estimate(
        self, width_px: int, height_px: int, actor: Requester, *, text: str = "", fields: Any = None
    ) -> Any:
        return quote(width_px, height_px, 2.0, 100_000_000)

    def check(self, text: str, fields: Mapping[str, Any]) -> None:
        parse_request(text, dict(fields))

    # ----------------------------------------------------------------------- account

    def status(self) -> LimitStatus:
        limit = Limit(Scope(ScopeKind.USER, "slack", "", ""), Measure.USD, Window.DAY, 5_000_000_000)
        return LimitStatus(limit, 1_800_000_000, 0, self.clock.now() + 3600)

    async def usage(self, actor: Requester, *, period: str = "month", member_id: str | None = None) -> UsageReport:
        mine = await self.history(actor)
        members = (UsageRow("U1", "anna", 400_000_000, 1, 1.0),) if actor.is_moderator else ()
        return UsageReport(
            "workspace" if actor.is_moderator else "user", period, "UTC", "2026-11-01", "2026-11-30",
            400_000_000 * len(mine), 0, len(mine), 1.0, (), members, 5_000_000_000, False,
        )  # fmt: skip

    async def usage_chart(self, report: UsageReport, *, locale: str, dark: bool = True) -> Path:
        path = self.folder / f"chart{next(self._numbers)}.png"
        path.write_bytes(png(80, 40))
        return path

    async def limits(self, actor: Requester) -> Sequence[LimitStatus]:
        return [self.status()]

    async def set_limit(
        self, actor: Requester, scope: Any, scope_id: str, measure: Any, window: Any, amount: int | None
    ) -> Sequence[LimitStatus]:
        if not actor.is_moderator:
            raise NotAllowed(needs="moderator")
        self.limit_calls.append((actor.workspace_id, scope, scope_id, measure, window, amount))
        return [self.status()]

    async def workspace_limits(self, actor: Requester) -> Sequence[LimitStatus]:
        if not actor.is_moderator:
            raise NotAllowed(needs="moderator")
        return [self.status()]

    async def sponsor(
        self, actor: Requester, channel_id: str, amount_nanousd: int | None, ends_at: float = 0.0
    ) -> None:
        if not actor.is_moderator:
            raise NotAllowed(needs="moderator")
        self.limit_calls.append((channel_id, amount_nanousd, round((ends_at - self.clock.now()) / 86_400)))

    async def pause(self, actor: Requester, paused: bool) -> None:
        if not actor.is_moderator:
            raise NotAllowed(needs="moderator")

    async def set_alert_channel(self, actor: Requester, channel_id: str | None) -> None:
        self.alert_channels.append(channel_id)

    async def defaults(self, actor: Requester) -> Mapping[str, Any]:
        return self.saved_defaults.get((actor.workspace_id, actor.user_id), {})

    async def set_defaults(self, actor: Requester, text: str, fields: Any = None) -> Mapping[str, Any]:
        parsed, _ = parse_request(text, {})
        saved = dict(parsed.values) | ({"preset": parsed.preset} if parsed.preset else {})
        self.saved_defaults[(actor.workspace_id, actor.user_id)] = saved
        return saved

    async def export(self, actor: Requester) -> Path:
        path = self.folder / "export.zip"
        path.write_bytes(b"PK\x05\x06" + b"\0" * 18)
        return path

    async def erase(self, actor: Requester) -> int:
        mine = await self.history(actor)
        for job in mine:
            del self.rows[job.id]
        return len(mine)

    async def forget_workspace(self, platform: str, workspace_id: str) -> None:
        self.forgotten.append((platform, workspace_id))
        for row in self.rows.values():
            if row.job.requester.workspace_id == workspace_id and row.task:
                row.task.cancel()

    async def unforeseen(self, area: str, error: BaseException) -> UpscaleError:
        if isinstance(error, UpscaleError):
            return error
        if isinstance(error, DatabaseAway):
            return StorageUnavailable()
        return InternalError(reference=await self.incident(area, error))

    async def incident(self, area: str, error: BaseException) -> str:
        self.incidents.append(error)
        return "ref123"

    def notice(self, error: UpscaleError, locale: str, job: Job | None = None) -> Notice:
        return explain(error, locale, reference=job.id if job else "")


__all__ = ["CAPTION", "FakeMedia", "FakeService", "FakeState", "InternalError", "InvalidParameters", "Memo"]
