"""The core in memory that carries each job through the adapter's own Reply, and can hold it at a stage."""

import asyncio
from collections import defaultdict
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from core.domain.errors import DeliveryRefused, DeliveryUnavailable, DownloadFailed, UpscaleError
from core.domain.job import InputFacts, Job, JobState, Progress, Receipt, Remote, Requester
from core.domain.money import quote
from core.jobs.progress import ProgressLoop
from core.net.fetch import SourceFetcher
from core.ports import Clock
from core.presentation import Notice
from tests.emulators.slack.api_files import measure
from tests.fakes.jobs import MovingJobs
from tests.fakes.media import png
from tests.typed import unwrap

CAPTION = "A cat <!channel> on a *red* sofa & <@U0BEN00001> looks _up_"
STAGES = ("preparing", "waiting", "upscaling")
CHARGED_NANOUSD = 400_000_000


@dataclass
class Row:
    """A job as it moves; `job` is always the newest snapshot. `go` lets it pass a stage at which it waits."""

    service: "FakeService"
    id: str
    go: defaultdict[str, asyncio.Event] = field(default_factory=lambda: defaultdict(asyncio.Event))
    task: asyncio.Task[Any] | None = None

    @property
    def job(self) -> Job:
        return self.service.jobs[self.id]

    @property
    def memo(self) -> dict[str, Any]:
        return self.service.memos[self.id]


class FakeService(MovingJobs):
    """`hold_at` names the stage at which jobs wait for `release`."""

    platform = "slack"
    seed = 1234
    delivery_tries = 30
    gives_up = (DeliveryRefused, DeliveryUnavailable)

    def __init__(self, clock: Clock, folder: Path) -> None:
        super().__init__(folder, clock)
        self.used_today_nanousd = 1_800_000_000
        self.rows: dict[str, Row] = {}
        self.hold_at: str | None = None
        self.ask_above_px = 10**9
        self.fetched: dict[str, bytes] = {}
        self.link = "https://bot.example/files/full.png"

    def row(self, job_id: str) -> Row:
        return self.rows.setdefault(job_id, Row(self, job_id))

    def _start(self, job: Job) -> None:
        self.row(job.id)
        self.carry_on(job.id)

    def carry_on(self, job_id: str) -> None:
        """Run (or, after a restart, continue) a job."""
        self.rows[job_id].task = self.go(self._run(self.rows[job_id]))

    async def _run(self, row: Row) -> None:
        loop = ProgressLoop(self.reply(row.id), self.clock, min_interval_s=unwrap(self.adapter).min_edit_interval_s)
        try:
            await self._steps(row, loop)
        except UpscaleError as error:
            if row.job.state is not JobState.SUCCEEDED:  # what is delivered nowhere is kept
                await loop.stop()
                await self.fail(row.id, error)

    async def _steps(self, row: Row, loop: ProgressLoop) -> None:
        if row.job.result is None:
            loop.show(row.job, Progress("preparing"))
            await self._stage(row)
            asked = unwrap(row.job.quote)
            if asked.out_width_px * asked.out_height_px > self.ask_above_px and not row.job.confirmed_nanousd:
                await loop.stop()
                ask = self.set(row.id, state=JobState.AWAITING_CONFIRMATION, confirm_by_at=self.clock.now() + 600)
                await self.tried(lambda: self.reply(row.id).ask(ask))
                return
            for stage in STAGES:
                await self._at(row, loop, stage)
            if self.fail_with is not None:
                raise self.fail_with
            self.made(row.id, CAPTION, Receipt(CHARGED_NANOUSD, CHARGED_NANOUSD, "units"), size_bytes=100)
            self.spent_nanousd += CHARGED_NANOUSD
        await self._at(row, loop, "delivering")
        await loop.stop()
        await self.deliver(row.id)

    def _deliver_again(self, job: Job) -> None:
        self.row(job.id).task = self.go(self.deliver(job.id))

    async def _at(self, row: Row, loop: ProgressLoop, stage: str) -> None:
        percent = 40.0 if stage == "upscaling" else None
        progress = Progress(stage, 2 if stage == "waiting" else None, percent, self.clock.now() + 40)  # type: ignore[arg-type]
        remote = Remote("fake", request_id="r1") if stage == "upscaling" else row.job.remote
        state = JobState.RUNNING if stage != "delivering" else JobState.DELIVERING
        loop.show(self.set(row.id, progress=progress, remote=remote, state=state), progress)
        await asyncio.sleep(0.02)
        if stage == self.hold_at:
            await row.go[stage].wait()

    async def _stage(self, row: Row) -> None:
        data = png(64, 48)
        if row.job.source.kind == "attachment":
            data = await self._fetched(row)
        self.fetched[row.id] = data
        mime, width, height = measure(data)
        facts = InputFacts(mime.removeprefix("image/"), width, height, len(data), "0" * 64)
        asked = quote(width, height, row.job.parameters.factor, 100_000_000)
        self.set(row.id, input=facts, quote=replace(asked, left=(self.status(),)))

    async def _fetched(self, row: Row) -> bytes:
        """The picture; one that is only away is looked for again, as the core does."""
        path, fetcher = self.folder / f"{row.id}-source", SourceFetcher(allow_private=True)
        for tries_left in range(5, -1, -1):
            try:
                found = await unwrap(self.adapter).download(row.job.source)
                await fetcher.fetch_trusted(found.url, path, found.headers, found.hosts)
                break
            except DownloadFailed as failure:
                if failure.reason != "connection" or not tries_left:
                    raise
            await self.clock.sleep(0.2)
        return path.read_bytes()

    def release(self, stage: str, *, hold_at: str | None = None) -> None:
        """Let every job go on that is held at `stage`, as far as `hold_at`."""
        self.hold_at = hold_at
        for row in self.rows.values():
            row.go[stage].set()

    async def _stop(self, job: Job, actor: Requester) -> Job:
        row = self.rows[job.id]
        if row.task:
            row.task.cancel()
        ended = self.set(job.id, state=JobState.CANCELLED, cancel_requested_by=actor.user_id)
        said = Notice("Cancelled.", tone="info")
        row.task = self.go(self.tried(lambda: self.reply(job.id).failed(ended, said)))
        return job

    async def erase(self, actor: Requester) -> int:
        count = await super().erase(actor)
        self.rows = {job_id: row for job_id, row in self.rows.items() if job_id in self.jobs}
        return count

    async def forget_workspace(self, platform: str, workspace_id: str) -> None:
        await super().forget_workspace(platform, workspace_id)
        for row in self.rows.values():
            if row.job.requester.workspace_id == workspace_id and row.task:
                row.task.cancel()
