"""The core in memory that carries each job through the adapter's own Reply, and can hold it at a stage."""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import aiohttp

from core.domain import identity
from core.domain.errors import DeliveryRefused, DeliveryUnavailable, DownloadFailed, QuoteExpired, TooLate, UpscaleError
from core.domain.job import Delivery, InputFacts, Job, JobState, Progress, Receipt, Remote, Requester, Result
from core.domain.money import quote
from core.jobs.progress import ProgressLoop
from core.ports import Clock
from core.presentation import Notice
from core.presentation.texts.delivery_texts import undelivered_notice
from tests.emulators.slack.picture import measure
from tests.fakes import service
from tests.fakes.media import png
from tests.fakes.state import CutStates, MemoryReplyState
from tests.typed import unwrap

CAPTION = "A cat <!channel> on a *red* sofa & <@U0BEN00001> looks _up_"
STAGES = ("preparing", "waiting", "upscaling", "delivering")
CHARGED_NANOUSD = 400_000_000


@dataclass
class Row:
    """A job as it moves; `job` is always the newest snapshot."""

    jobs: dict[str, Job]
    id: str
    memo: dict[str, Any] = field(default_factory=dict)
    go: dict[str, asyncio.Event] = field(default_factory=dict)
    task: asyncio.Task[None] | None = None

    @property
    def job(self) -> Job:
        return self.jobs[self.id]


class FakeService(service.FakeService):
    """`hold_at` names the stage at which jobs wait for `release`."""

    platform = "slack"
    seed = 1234

    def __init__(self, clock: Clock, folder: Path) -> None:
        super().__init__(folder, clock)
        self.used_today_nanousd = 1_800_000_000
        self.rows: dict[str, Row] = {}
        self.hold_at: str | None = None
        self.fail_with: UpscaleError | None = None
        self.ask_above_px = 10**9
        self.fetched: dict[str, bytes] = {}
        self.delivery_tries = 30
        self.states: CutStates | None = None
        self.link: str | None = "https://bot.example/files/full.png"

    def row(self, job_id: str) -> Row:
        return self.rows.setdefault(job_id, Row(self.jobs, job_id))

    def _start(self, job: Job) -> None:
        self.row(job.id)
        self.carry_on(job.id)

    def carry_on(self, job_id: str) -> None:
        """Run (or, after a restart, continue) a job."""
        row = self.rows[job_id]
        row.task = asyncio.get_running_loop().create_task(self._run(row))

    def crash(self) -> None:
        """As if the process died: every job stops where it is."""
        for row in self.rows.values():
            if row.task:
                row.task.cancel()

    def _reply(self, row: Row) -> Any:
        state = self.states.of(row.job) if self.states else MemoryReplyState(row.memo)
        return unwrap(self.adapter).reply(row.job.reply, state)

    async def _run(self, row: Row) -> None:
        reply = self._reply(row)
        loop = ProgressLoop(reply, self.clock, min_interval_s=unwrap(self.adapter).min_edit_interval_s)
        try:
            await self._steps(row, reply, loop)
        except UpscaleError as error:
            await loop.stop()
            self._set(row.id, state=JobState.FAILED, error=error)
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
                ask = self._set(row.id, state=JobState.AWAITING_CONFIRMATION, confirm_by_at=self.clock.now() + 600)
                await self._again(lambda: reply.ask(ask))
                return
            for stage in STAGES[:-1]:
                await self._at(row, loop, stage)
            if self.fail_with is not None:
                raise self.fail_with
            self._made(row)
        await self._at(row, loop, "delivering")
        await loop.stop()
        await self._deliver(row, reply)

    def _made(self, row: Row) -> None:
        path = self.folder / f"{row.id}.png"
        path.write_bytes(png(8, 8))
        assert row.job.quote
        size = row.job.quote.out_width_px, row.job.quote.out_height_px
        result = Result(*size, 100, "image/png", path.name, 1234, 4.2, CAPTION, link=self.link)
        receipt = Receipt(CHARGED_NANOUSD, CHARGED_NANOUSD, "units")
        self._set(row.id, result=result, receipt=receipt, state=JobState.DELIVERING)
        self.spent_nanousd += CHARGED_NANOUSD

    async def _deliver(self, row: Row, reply: Any) -> None:
        try:
            delivery = await self._again(lambda: reply.finished(row.job, (self.status(),)))
        except (DeliveryRefused, DeliveryUnavailable):
            delivery = Delivery("kept")
        job = self._set(row.id, state=JobState.SUCCEEDED, delivery=delivery, finished_at=self.clock.now())
        if job.needs_closing_message:
            try:
                await self._again(lambda: reply.closed(job, undelivered_notice(job)))
            except DeliveryRefused as refusal:
                self.unsaid.append(refusal)

    def _deliver_again(self, job: Job) -> None:
        row = self.row(job.id)
        row.task = asyncio.create_task(self._deliver(row, self._reply(row)))

    async def _at(self, row: Row, loop: ProgressLoop, stage: str) -> None:
        percent = 40.0 if stage == "upscaling" else None
        progress = Progress(stage, 2 if stage == "waiting" else None, percent, self.clock.now() + 40)  # type: ignore[arg-type]
        remote = Remote("fake", request_id="r1") if stage == "upscaling" else row.job.remote
        state = JobState.RUNNING if stage != "delivering" else JobState.DELIVERING
        loop.show(self._set(row.id, progress=progress, remote=remote, state=state), progress)
        await asyncio.sleep(0.02)
        if stage == self.hold_at:
            await row.go.setdefault(stage, asyncio.Event()).wait()

    async def _stage(self, row: Row) -> None:
        data = png(64, 48)
        if row.job.source.kind == "attachment":
            download = await self._found(row)
            async with aiohttp.ClientSession() as session:
                data = await self._fetch(session, download)
        self.fetched[row.id] = data
        mime, width, height = measure(data)
        facts = InputFacts(mime.removeprefix("image/"), width, height, len(data), "0" * 64)
        asked = quote(width, height, row.job.parameters.factor, 100_000_000)
        self._set(row.id, input=facts, quote=replace(asked, left=(self.status(),)))

    async def _found(self, row: Row) -> Any:
        """A picture that is only away is looked for again, as the core does."""
        for _ in range(5):
            try:
                return await unwrap(self.adapter).download(row.job.source)
            except DownloadFailed as failure:
                if failure.reason != "connection":
                    raise
            await self.clock.sleep(0.2)
        return await unwrap(self.adapter).download(row.job.source)

    async def _fetch(self, session: aiohttp.ClientSession, download: Any) -> bytes:
        """As core.net.fetch: redirects by hand, headers only to trusted hosts, a web page is a login page."""
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

    def release(self, stage: str, *, hold_at: str | None = None) -> None:
        """Let every job go on that is held at `stage`, as far as `hold_at`."""
        self.hold_at = hold_at
        for row in self.rows.values():
            row.go.setdefault(stage, asyncio.Event()).set()

    async def confirm(self, job_id: str, actor: Requester) -> Job:
        job = identity.check_requester(self._find(job_id, actor), actor)
        if job.confirm_by_at is not None and self.clock.now() > job.confirm_by_at:
            raise QuoteExpired
        if job.state is JobState.AWAITING_CONFIRMATION:
            job = self._set(job_id, confirmed_nanousd=1, state=JobState.QUEUED)
            self.carry_on(job_id)
        return job

    async def cancel(self, job_id: str, actor: Requester) -> Job:
        before = identity.check_may_stop(self._find(job_id, actor), actor)
        if before.state.terminal:
            raise TooLate(state=before.state.value)
        row = self.rows[job_id]
        if row.task:
            row.task.cancel()
        job = self._set(job_id, state=JobState.CANCELLED, cancel_requested_by=actor.user_id)
        reply = self._reply(row)
        row.task = asyncio.create_task(self._again(lambda: reply.failed(job, Notice("Cancelled.", tone="info"))))
        return before

    async def erase(self, actor: Requester) -> int:
        count = await super().erase(actor)
        self.rows = {job_id: row for job_id, row in self.rows.items() if job_id in self.jobs}
        return count

    async def forget_workspace(self, platform: str, workspace_id: str) -> None:
        await super().forget_workspace(platform, workspace_id)
        for row in self.rows.values():
            if row.job.requester.workspace_id == workspace_id and row.task:
                row.task.cancel()
