"""The pipeline with a real database, a fake model, chat and engine that survive a simulated crash.

`World.crash` discards everything in process memory; the next `World.open` is the restarted process.
"""

import asyncio
import shutil
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast
from zoneinfo import ZoneInfo

from sqlalchemy import func, select

from core.accounts.service import Accounts
from core.budgets.prices import PriceBook
from core.budgets.service import Budgets
from core.domain.job import Job, JobState, ReplyAddress, Requester, Source, UpscaleRequest, job_id_for
from core.domain.limits import Rule
from core.engine.cluster import new_name
from core.engine.replicas import Replicas
from core.engine.work import Work
from core.images.service import ImageService
from core.jobs.event_bus import EventBus
from core.jobs.maintenance import Maintenance
from core.jobs.null_adapter import NullAdapter
from core.jobs.progress import FinishTimes
from core.jobs.service import JobService
from core.jobs.steps import JobContext, Pipeline, PipelineSettings, StepName
from core.jobs.steps.runner import StorageTrouble
from core.net.fetch import SourceFetcher
from core.net.signed_links import FileLinks
from core.storage import tables_ledger
from core.storage.database import Database
from core.storage.encryption import Vault
from core.storage.files.job_files import JobFiles
from core.storage.jobs import SqlJobStore
from core.storage.ledger import LedgerDatabase, LedgerSettings, SqlLedger
from core.storage.obligations import SqlObligations
from core.storage.state import SqlAppState
from tests.fakes.chat import FakeAdapter
from tests.fakes.core import FakeClock, NoMetrics, OwnLease, closing, meanwhile, until
from tests.fakes.images import FakeImages, fake_picture
from tests.fakes.operator import Told
from tests.fakes.process import LEDGER_CALLS, STORE_CALLS, UPSCALER_CALLS, FakeEngine, Fuse, Fused
from tests.fakes.sources import FakePrices, FakeSources
from tests.fakes.upscaler import FakeUpscaler
from tests.pg import open_database
from tests.typed import unwrap

USD = 1_000_000_000
PRICE = USD // 10
"""What the small picture of `World.upload` costs, doubled."""
VAULT = Vault("a secret for tests")

ANN = Requester("fake", "ann", "Ann", workspace_id="w1", channel_id="c1")
BOB = Requester("fake", "bob", "Bob", workspace_id="w1", channel_id="c1")
MOD = Requester("fake", "mod", "Mod", workspace_id="w1", channel_id="c1", is_moderator=True)


@dataclass(frozen=True)
class Money:
    """The ledger's totals for one job, from its entries."""

    charged: int
    held: int
    settlements: int
    open_holds: int


class World:
    """Everything around a job. The attributes up to `engine` survive a crash; `ctx` and the rest are a process."""

    def __init__(
        self, folder: Path, url: str, *rules: Rule, settings: PipelineSettings | None = None, prefix: str = "fake"
    ) -> None:
        self.prefix = prefix
        self.grouped = False
        self.fuse = Fuse()
        self.folder = folder
        self.url = url
        self.rules = rules
        self.settings = settings or PipelineSettings(cancel_grace_s=0.05)
        self.clock = FakeClock()
        self.upscaler = FakeUpscaler(self.clock)
        self.adapter = FakeAdapter(self.clock)
        self.images = FakeImages()
        self.real_images: ImageService | None = None
        self.sources = FakeSources()
        self.prices = FakePrices()
        self.engine = FakeEngine()
        self.replica = new_name()
        self._keys = 0

    async def open(self, *, first: bool = False) -> None:
        """Start a process that may claim jobs; the first one creates the tables."""
        self.database = await open_database(self.url) if first else Database.connect(self.url)
        self.store = SqlJobStore(self.database, VAULT, self.clock)
        self.state = SqlAppState(self.database, VAULT, self.clock)
        limits = LedgerSettings(self.rules, ZoneInfo("UTC"))
        self.ledger = SqlLedger(LedgerDatabase(self.database, pauses_s=(0.0,)), self.clock, limits)
        self.ctx = self.make_context()
        self.pipeline = Pipeline(self.ctx)
        budgets = Budgets(self.ledger, cast(PriceBook, self.prices))
        self.members = Accounts(self.ctx, self.state, budgets)
        self.service = JobService(self.ctx, self.engine, self.members, budgets, allow_unsafe=False)
        self.work = Work(self.database, self.clock)
        parts = (self.pipeline, cast(Any, self.engine), self.members)
        self.maintenance = Maintenance(*parts, retention_s=7 * 86_400, work=self.work)
        await Replicas(self.database).sign_in(self.replica, self.ctx.lease.token)

    def put(self, **ports: Any) -> None:
        """Replace these ports in the context that the running parts hold."""
        for name, port in ports.items():
            object.__setattr__(self.ctx, name, port)

    def make_context(self, **changes: Any) -> JobContext:
        parts: dict[str, Any] = {
            "store": Fused(self.store, self.fuse, STORE_CALLS),
            "obligations": SqlObligations(self.database, VAULT, self.clock),
            "ledger": Fused(self.ledger, self.fuse, LEDGER_CALLS),
            "upscaler": Fused(self.upscaler, self.fuse, UPSCALER_CALLS),
            "images": self.real_images or cast(ImageService, self.images),
            "sources": cast(SourceFetcher, self.sources),
            "files": JobFiles(self.folder),
            "event_bus": EventBus(self.clock),
            "prices": self.prices,
            "finish_times": FinishTimes(self.state, "fake"),
            "clock": self.clock,
            "adapters": {"fake": Fused(self.adapter, self.fuse, frozenset())},
            "fallback_adapter": NullAdapter(),
            "links": FileLinks(b"key", None, 0, self.clock),
            "settings": self.settings,
            "metrics": NoMetrics(),
            "operator": Told(),
            "lease": OwnLease(),
        }
        return JobContext(**(parts | changes))

    async def close(self) -> None:
        """End the process; only what is on disk stays."""
        for job_id in list(self.ctx.running.loops):
            await self.ctx.running.stop_edits(job_id)
        await self.ledger.close()
        await self.database.close()

    async def crash(self) -> None:
        """Kill and restart the process."""
        await self.close()
        await self.open()

    def forget_files(self) -> None:
        """Go on as another machine: with the database, without the files."""
        shutil.rmtree(self.folder / "jobs", ignore_errors=True)

    def upload(self, width_px: int = 600, height_px: int = 400) -> Source:
        """An image file on this machine."""
        self._keys += 1
        path = self.folder / "uploads" / f"u{self._keys}.png"
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(fake_picture(width_px, height_px, salt=f"{self.prefix}{self._keys}"))
        return Source("upload", path=str(path.relative_to(self.folder)))

    def request(self, **changes: Any) -> UpscaleRequest:
        self._keys += 1
        key = changes.pop("key", f"{self.prefix}:{self._keys}")
        values: dict[str, Any] = {
            "key": key,
            "requester": ANN,
            "source": changes.pop("source", None) or self.upload(),
            "reply": ReplyAddress("fake", {"message": job_id_for(key)}),
            "fields": {"seed": 7},
        }
        return UpscaleRequest(**(values | changes))

    async def ask(self, **changes: Any) -> Job:
        """Submit a request; nothing runs yet."""
        return await self.service.request(self.request(**changes))

    async def done(self, **changes: Any) -> Job:
        """Submit a request and run it to its end."""
        return await self.driven((await self.ask(**changes)).id)

    async def driven(self, job_id: str) -> Job:
        """The job, after all jobs have run to their ends."""
        await self.drive()
        return await self.job(job_id)

    async def ends(self, state: JobState, *, charged: int, job: Job | None = None, **changes: Any) -> Job:
        """Run this job, or that of a new request, to its end, which is checked."""
        ended = await self.driven((job or await self.ask(**changes)).id)
        await self.check_end(ended, state, charged=charged)
        return ended

    async def paid(self, job: Job | None = None, **changes: Any) -> Job:
        """The same, for an end with its picture at the usual price."""
        return await self.ends(JobState.SUCCEEDED, charged=PRICE, job=job, **changes)

    async def ask_until(self, step: StepName, **changes: Any) -> Job:
        """Submit a request and run it until this step is the next."""
        job = await self.ask(**changes)
        await self.steps_until(job.id, step)
        return job

    async def job(self, job_id: str) -> Job:
        job = await self.store.get(job_id)
        assert job is not None
        return job

    async def drive(self) -> None:
        """Run every unfinished part to its end, as the engine would."""
        async with asyncio.timeout(30):
            while names := self.engine.unfinished():
                for name in names:
                    await self.run_part(name)

    async def run_part(self, name: str) -> None:
        while self.engine.steps[name] != "end":
            await self.run_step(name)

    async def run_step(self, name: str) -> None:
        """Run one step with the engine's retries, and store its checkpoint."""
        for attempt in range(12):
            try:
                run = self.run_on if self.grouped else self.pipeline.run
                answer = await run(self.engine.steps[name], name.split(":")[0])
                await self.fuse.burn()  # the step is done, but not yet written down
                self.engine.steps[name] = answer
            except StorageTrouble:
                await self.clock.sleep(0.5 * 1.7**attempt)
            else:
                return
        raise AssertionError(f"{name}: the database did not come back")

    async def run_on(self, step: StepName, job_id: str) -> StepName:
        while (step := await self.pipeline.run(step, job_id, skip=True)) not in ("wait", "collect", "end"):
            pass
        return step

    async def pass_time(self, seconds: float, *, every_s: float = 2.0) -> None:
        until_at = self.clock.now() + seconds
        while self.clock.now() < until_at:
            await self.maintenance.fulfil_obligations()
            await self.clock.sleep(every_s)

    async def steps_until(self, job_id: str, step: StepName) -> None:
        """Run the job's steps until this one is the next."""
        name = f"{job_id}:request"
        while self.engine.steps[name] != step:
            assert self.engine.steps[name] != "end", f"the job ended before {step}"
            await self.run_step(name)

    @asynccontextmanager
    async def driving(self) -> AsyncIterator[None]:
        """Run jobs in the background; they must have ended when the block is left."""
        async with meanwhile(self.drive()) as task:
            yield
            async with asyncio.timeout(20):
                await task

    async def shows(self, job: Job, stage: str) -> None:
        """Wait until the job's message shows this stage."""
        await until(lambda: stage in [progress.stage for progress in self.adapter.message(job).progress])

    async def accepts(self, number: int) -> None:
        """Wait until the model has accepted so many requests."""
        await until(lambda: len(self.upscaler.taken) >= number)

    async def money(self, job_id: str) -> Money:
        e, h = tables_ledger.entries.c, tables_ledger.holds.c
        still = select(func.count()).where(h.key == job_id, h.state.in_(("waiting", "running"))).scalar_subquery()
        used, held = (func.coalesce(func.sum(column), 0) for column in (e.used_nanousd, e.held_nanousd))
        query = select(used, held, func.count().filter(e.kind == "settle"), still).where(e.job_key == job_id)
        async with self.database.read() as connection:
            return Money(*map(int, (await connection.execute(query)).one()))

    async def check_end(self, job: Job, state: JobState, *, charged: int) -> None:
        """Check the job's state, money, holds and final message."""
        assert job.state is state, f"{job.state}, {job.error!r}"
        money = await self.money(job.id)
        assert (money.charged, unwrap(job.receipt).charged_nanousd) == (charged, charged)
        assert (money.held, money.open_holds) == (0, 0)
        assert money.settlements == (1 if charged else 0)
        assert self.upscaler.accepted[job.id] <= 1
        message = self.adapter.message(job)
        assert message.endings == {f"{'finished' if state is JobState.SUCCEEDED else 'failed'}:{state}"}
        assert message.last.kind in {"finished", "failed", "closed"}


@asynccontextmanager
async def world(
    folder: Path, url: str | None = None, *rules: Rule, settings: PipelineSettings | None = None
) -> AsyncIterator[World]:
    """A fresh world; on SQLite unless an address is given."""
    made = World(folder, url or f"sqlite:///{folder / 'bot.db'}", *rules, settings=settings)
    await made.open(first=True)
    async with closing(made):
        yield made
