"""A small world around the pipeline: a database, a fake model and a fake chat that outlive "crashes", and an engine.

`World.crash` throws away everything that lives in a process and keeps what a machine keeps; the next `World.open` is
the restarted process.
"""

from __future__ import annotations

import asyncio
import shutil
from collections import Counter
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, cast
from zoneinfo import ZoneInfo

from sqlalchemy import func, inspect, select

from bot.http.signed_links import FileLinks
from core.accounts.service import Accounts
from core.domain.errors import DeliveryUnavailable
from core.domain.job import Job, JobState, ReplyAddress, Requester, Source, UpscaleRequest, job_id_for
from core.domain.limits import Rule
from core.engine.cluster import new_name
from core.engine.hand_over import HandOver
from core.engine.replicas import Replicas
from core.engine.workflows import _FIRST
from core.images.service import ImageService
from core.jobs.eta import FinishTimes
from core.jobs.event_bus import EventBus
from core.jobs.maintenance import Maintenance
from core.jobs.null_adapter import NullAdapter
from core.jobs.service import JobService
from core.jobs.steps import Next, Pipeline, PipelineSettings, Tools
from core.jobs.steps.runner import StorageTrouble
from core.net.fetch import SourceFetcher
from core.ports import LogOnly
from core.storage import tables_ledger
from core.storage.database import Database
from core.storage.encryption import Vault
from core.storage.files.job_files import JobFiles
from core.storage.jobs import SqlJobStore
from core.storage.ledger import LedgerDatabase, LedgerSettings, SqlLedger
from core.storage.obligations import SqlObligations
from core.storage.state import SqlAppState
from core.storage.tables import metadata
from tests.fakes.core import (
    FakeAdapter,
    FakeClock,
    FakeImages,
    FakePrices,
    FakeSources,
    FakeUpscaler,
    NoMetrics,
    OwnLease,
    fake_picture,
    until,
)

USD = 1_000_000_000
STEP_LIMIT = 80
_VAULT = Vault("a secret for tests")

ANN = Requester("fake", "ann", "Ann", workspace_id="w1", channel_id="c1")
BOB = Requester("fake", "bob", "Bob", workspace_id="w1", channel_id="c1")
MOD = Requester("fake", "mod", "Mod", workspace_id="w1", channel_id="c1", is_moderator=True)


class Crash(BaseException):
    """The process dies here."""


@dataclass
class Fuse:
    """Counts the instants at which a process can die, and kills it at the one that `left` says (0: never)."""

    left: int = 0
    burnt: int = 0

    async def burn(self) -> None:
        self.burnt += 1
        if self.left > 0:
            self.left -= 1
            if self.left == 0:
                raise Crash


_STORE_CALLS = frozenset(
    {"get", "claim", "update", "mark_submit", "transition", "earlier_result", "delivery_state", "change_delivery_state"}
)
_LEDGER_CALLS = frozenset({"hold", "admit", "settle", "release", "statuses"})
_UPSCALER_CALLS = frozenset({"stage", "submit", "find", "result", "cancel", "fetch"})
_REPLY_CALLS = frozenset({"ask", "finished", "failed", "closed"})


class Fused:
    """A port whose named calls can die just before they take effect and just after."""

    def __init__(self, inner: Any, fuse: Fuse, calls: frozenset[str]) -> None:
        self._inner = inner
        self._fuse = fuse
        self._calls = calls

    def __getattr__(self, name: str) -> Any:
        found = getattr(self._inner, name)
        if name == "reply":
            return lambda *args: Fused(found(*args), self._fuse, _REPLY_CALLS)
        if name == "watch":
            return lambda *args: self._watch(found(*args))
        if name not in self._calls:
            return found

        async def call(*args: Any, **values: Any) -> Any:
            await self._fuse.burn()
            answer = await getattr(self._inner, name)(*args, **values)
            await self._fuse.burn()
            return answer

        return call

    async def _watch(self, statuses: AsyncIterator[Any]) -> AsyncIterator[Any]:
        async for status in statuses:
            await self._fuse.burn()
            yield status


class FakeEngine:
    """`core.ports.JobEngine` as the real one promises it: a part starts once, and each step's answer is written down.

    `steps` survives a crash; nothing runs by itself: `World.drive` runs what is unfinished.
    """

    def __init__(self) -> None:
        self.steps: dict[str, Next] = {}

    async def start(
        self, job_id: str, *, part: Literal["request", "confirmed", "deliver", "announce"] = "request"
    ) -> None:
        self.steps.setdefault(f"{job_id}:{part}", _FIRST[part])

    async def revive(self, job_id: str, first: Next, attempt: int) -> None:
        self.steps.setdefault(f"{job_id}:revived-{attempt}", first)

    async def active(self) -> set[str]:
        return {name.split(":")[0] for name, step in self.steps.items() if step != "end"}

    async def resume_broken(self) -> int:
        return 0

    async def forget_before(self, at: float) -> int:
        return 0

    def unfinished(self) -> list[str]:
        return [name for name, step in self.steps.items() if step != "end"]


class OpenBudgets:
    """The part of the budgets that a request meets; everything is open."""

    limits = None

    async def check_open(self, actor: Requester) -> None:
        """Open."""

    async def export(self, actor: Requester) -> Sequence[Any]:
        return ()

    async def anonymise(self, actor: Requester) -> int:
        return 0

    async def forget_workspace(self, platform: str, workspace_id: str) -> None:
        """Nothing is set."""


@dataclass(frozen=True)
class Money:
    """What the ledger holds for one job, from its entries."""

    charged: int
    held: int
    settlements: int
    open_holds: int


class World:
    """Everything around a job. The attributes up to `engine` survive a crash; `tools` and the rest are a process."""

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

    async def open(self) -> None:
        """Start a process."""
        self.database = Database.connect(self.url)
        self.store = SqlJobStore(self.database, _VAULT, self.clock)
        self.state = SqlAppState(self.database, _VAULT, self.clock)
        limits = LedgerSettings(self.rules, ZoneInfo("UTC"))
        self.ledger = SqlLedger(LedgerDatabase(self.database, pauses_s=(0.0,)), self.clock, limits)
        self.tools = self.make_tools()
        self.pipeline = Pipeline(self.tools)
        budgets: Any = OpenBudgets()
        self.members = Accounts(self.tools, self.state, budgets)
        self.service = JobService(self.tools, self.engine, self.members, budgets, allow_unsafe=False)
        engine: Any = self.engine
        self.handed_over = HandOver(self.database, self.clock)
        parts = (self.pipeline, engine, self.members)
        self.maintenance = Maintenance(*parts, retention_s=7 * 86_400, handed_over=self.handed_over)
        async with self.database.read() as connection:
            known = await connection.run_sync(lambda sync: inspect(sync).has_table("replicas"))
        if known:
            await self.sign_in()

    def put(self, **ports: Any) -> None:
        """Have these ports in the place of those that the running parts hold already."""
        for name, port in ports.items():
            object.__setattr__(self.tools, name, port)

    def make_tools(self, **changes: Any) -> Tools:
        parts: dict[str, Any] = {
            "store": Fused(self.store, self.fuse, _STORE_CALLS),
            "obligations": SqlObligations(self.database, _VAULT, self.clock),
            "ledger": Fused(self.ledger, self.fuse, _LEDGER_CALLS),
            "upscaler": Fused(self.upscaler, self.fuse, _UPSCALER_CALLS),
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
            "operator": LogOnly(),
            "lease": OwnLease(),
        }
        return Tools(**(parts | changes))

    async def create_tables(self) -> None:
        async with self.database.write() as connection:
            await connection.run_sync(metadata.create_all)
        await self.sign_in()

    async def sign_in(self) -> None:
        """This process may claim jobs."""
        await Replicas(self.database).sign_in(self.replica, self.tools.lease.token)

    async def close(self) -> None:
        """End the process, orderly or not: what is not on disk is gone."""
        for job_id in list(self.tools.running.loops):
            await self.tools.running.quiet(job_id)
        await self.ledger.close()
        await self.database.close()

    async def crash(self) -> None:
        """The process dies and is started again."""
        await self.close()
        await self.open()

    def forget_files(self) -> None:
        """Another machine goes on: it has the database, not the pictures."""
        shutil.rmtree(self.folder / "jobs", ignore_errors=True)

    # --- asking ---------------------------------------------------------------------------------------------------

    def upload(self, width_px: int = 600, height_px: int = 400) -> Source:
        """A picture that lies on this machine."""
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
        """Hand a request in; nothing runs yet."""
        return await self.service.request(self.request(**changes))

    async def done(self, **changes: Any) -> Job:
        """Hand a request in and carry it on until nothing is left to do."""
        job = await self.ask(**changes)
        await self.drive()
        return await self.job(job.id)

    async def job(self, job_id: str) -> Job:
        job = await self.store.get(job_id)
        assert job is not None
        return job

    # --- carrying on ----------------------------------------------------------------------------------------------

    async def drive(self) -> None:
        """Run every unfinished workflow to its end, as the engine would."""
        async with asyncio.timeout(30):
            while names := self.engine.unfinished():
                for name in names:
                    await self.run_workflow(name)

    async def run_workflow(self, name: str) -> None:
        job_id = name.split(":")[0]
        for _ in range(STEP_LIMIT):
            if self.engine.steps[name] == "end":
                return
            await self.run_step(name, job_id)
        raise AssertionError(f"{name} does not end")

    async def run_step(self, name: str, job_id: str) -> None:
        """One step, with the retries of the engine, and its checkpoint."""
        for attempt in range(12):
            try:
                run = self.pipeline.run_on if self.grouped else self.pipeline.run
                answer = await run(self.engine.steps[name], job_id)
                await self.fuse.burn()  # the step is done, but not yet written down
                self.engine.steps[name] = answer
            except StorageTrouble:
                await self.clock.sleep(0.5 * 1.7**attempt)
            else:
                return
        raise AssertionError(f"{name}: the database did not come back")

    async def pass_time(self, seconds: float, *, every_s: float = 2.0) -> None:
        """Let time go by while the maintenance looks for what is owed."""
        until_at = self.clock.now() + seconds
        while self.clock.now() < until_at:
            await self.maintenance.fulfil_obligations()
            await self.clock.sleep(every_s)

    async def steps_until(self, job_id: str, step: Next) -> None:
        """Run the job's steps one by one until this one is the next."""
        name = f"{job_id}:request"
        while self.engine.steps[name] != step:
            assert self.engine.steps[name] != "end", f"the job ended before {step}"
            await self.run_step(name, job_id)

    @asynccontextmanager
    async def driving(self) -> AsyncIterator[asyncio.Task[None]]:
        """Carry on in the background; the work must be over when this is left."""
        task = asyncio.create_task(self.drive())
        try:
            yield task
            async with asyncio.timeout(20):
                await task
        finally:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)

    async def shows(self, job: Job, stage: str) -> None:
        """Until the job's message shows this stage."""
        message = self.adapter.message(job)
        await until(lambda: stage in [progress.stage for progress in message.progress])

    async def accepts(self, number: int) -> None:
        """Until the model has taken so many requests."""
        await until(lambda: len(self.upscaler.taken) >= number)

    # --- looking --------------------------------------------------------------------------------------------------

    async def money(self, job_id: str) -> Money:
        e, h = tables_ledger.entries.c, tables_ledger.holds.c
        async with self.database.read() as connection:
            sums = select(func.coalesce(func.sum(e.used_nanousd), 0), func.coalesce(func.sum(e.held_nanousd), 0))
            charged, held = (await connection.execute(sums.where(e.job_key == job_id))).one()
            kinds = select(func.count()).where(e.job_key == job_id, e.kind == "settle")
            still = select(func.count()).where(h.key == job_id, h.state.in_(("waiting", "running")))
            settlements = (await connection.execute(kinds)).scalar_one()
            open_holds = (await connection.execute(still)).scalar_one()
        return Money(int(charged), int(held), int(settlements), int(open_holds))

    async def open_holds(self) -> int:
        h = tables_ledger.holds.c
        async with self.database.read() as connection:
            query = select(func.count()).where(h.state.in_(("waiting", "running")))
            return int((await connection.execute(query)).scalar_one())

    async def check_end(self, job: Job, state: JobState, *, charged: int) -> None:
        """The job ended so, the money says the same, nothing is held, and the member has read exactly that."""
        assert job.state is state, f"{job.state}, {job.error!r}"
        money = await self.money(job.id)
        assert job.receipt is not None
        assert (money.charged, job.receipt.charged_nanousd) == (charged, charged)
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
    await made.open()
    await made.create_tables()
    try:
        yield made
    finally:
        await made.close()


def away(times: int, retry_after_s: float | None = None) -> list[BaseException]:
    """The platform does not answer, so many times."""
    return [DeliveryUnavailable(retry_after_s=retry_after_s) for _ in range(times)]


def counted(items: Sequence[str]) -> Counter[str]:
    return Counter(items)
