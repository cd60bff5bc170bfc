"""What the measurements share: a bot in this process, a model that answers at once, pictures, and memory readings."""

from __future__ import annotations

import asyncio
import os
import shutil
import tempfile
import time
import zlib
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager, suppress
from decimal import Decimal
from pathlib import Path
from typing import Any, Literal
from unittest.mock import patch

import psutil
import pyvips
import structlog

import bot.app
from bot.app import App
from bot.settings import Settings
from core.domain.errors import ProviderHalted
from core.domain.job import Job, JobState, ModelOutput, ReplyAddress, Requester, Source, UpscaleRequest
from core.domain.models import ModelSpec
from core.ports import (
    BillingEvent,
    Clock,
    ModelInputs,
    RemoteCompleted,
    RemoteRunning,
    RemoteStatus,
    SearchResult,
    Upscaler,
)
from tests.pg import fresh_database, server

MEMBER = Requester("cli", "bench", is_operator=True)


class InstantModel:
    """The model port without a model: done at once, and its answer is always `picture`."""

    name = "instant"
    real_money = True
    halted: ProviderHalted | None = None

    def __init__(self, picture: Path) -> None:
        self._picture = picture
        self._count = 0

    async def start(self) -> None:
        """Nothing to open."""

    async def close(self) -> None:
        """Nothing to close."""

    async def stage(self, path: Path, mime: str, *, job_id: str) -> str:
        return f"instant://{job_id}"

    async def submit(self, inputs: ModelInputs, *, job_id: str, on_sending: Callable[[], Awaitable[None]]) -> str:
        await on_sending()
        self._count += 1
        return f"request-{os.getpid()}-{self._count}"

    async def find(self, staged_url: str, *, since: float, model: ModelSpec) -> SearchResult:
        return SearchResult(None, conclusive=True)

    async def watch(self, request_id: str, model: ModelSpec) -> AsyncIterator[RemoteStatus]:
        yield RemoteRunning(10.0)
        yield RemoteCompleted()

    async def result(self, request_id: str, model: ModelSpec) -> ModelOutput:
        return ModelOutput("instant://result", 1, 0.0, "A picture.", Decimal(1))

    async def cancel(
        self, request_id: str, model: ModelSpec
    ) -> Literal["requested", "removed", "already_completed", "not_found"]:
        return "already_completed"

    async def fetch(self, url: str, dest: Path, *, max_bytes: int) -> None:
        def copy() -> None:
            dest.unlink(missing_ok=True)
            shutil.copyfile(self._picture, dest)

        await asyncio.to_thread(copy)

    async def unit_price(self, model: ModelSpec) -> int | None:
        return None

    async def billing_events(self, since: float, until: float) -> list[BillingEvent]:
        return []

    async def erase(self, request_id: str) -> None:
        """Nothing is kept."""


def settings_for(folder: Path, database: str | None = None, **values: Any) -> Settings:
    """Settings that read nothing from this machine, with no limit in the way."""
    no_limits: dict[str, Any] = {
        "limit_user_day_usd": None,
        "limit_workspace_day_usd": None,
        "limit_global_day_usd": None,
        "limit_user_running": None,
        "limit_user_waiting": None,
    }
    given = no_limits | {"data_dir": folder, "web_port": 0, "secret_key": "a key of the benchmarks"} | values
    if database is not None:
        given["database_url"] = database
    return Settings.model_validate(given)


@asynccontextmanager
async def running_bot(
    folder: Path, model: Upscaler, database: str | None = None, *, clock: Clock | None = None, **settings: Any
) -> AsyncIterator[App]:
    """The whole application, but for its model; no platform connects."""
    quiet()
    with patch.object(bot.app, "make_upscaler", lambda *_: model):
        app = App(settings_for(folder, database, fal_key="id:secret", **settings), clock=clock)
    async with app:
        yield app


@asynccontextmanager
async def a_database(kind: str) -> AsyncIterator[str]:
    """The address of a new database, "sqlite" or "postgresql", thrown away afterwards."""
    if kind == "sqlite":
        with tempfile.TemporaryDirectory() as folder:
            yield f"sqlite:///{folder}/bot.db"
        return
    with server() as address:
        async with fresh_database(address) as url:
            yield url


def quiet() -> None:
    """Only what goes wrong is logged."""
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(40))


def noise_picture(path: Path, width_px: int, height_px: int, *, sigma: float = 40.0) -> Path:
    """A PNG of noise; the more of it (`sigma`), the less it compresses: 40 hardly does at all."""
    bands = [pyvips.Image.gaussnoise(width_px, height_px, mean=128, sigma=sigma, seed=seed) for seed in (1, 2, 3)]
    rgb = bands[0].bandjoin(bands[1:]).cast("uchar").copy(interpretation="srgb")
    rgb.pngsave(str(path), compression=1)
    return path


async def ask(app: App, source: Path, number: int, run: str = "r") -> Job:
    """One job over an uploaded picture; a seed of its own, so that nothing is a free repeat."""
    upload = app.settings.data_dir / "uploads" / f"{run}-{number}.png"
    upload.parent.mkdir(exist_ok=True)
    os.link(source, upload)
    request = UpscaleRequest(
        key=f"bench:{run}:{number}",
        requester=MEMBER,
        source=Source("upload", path=f"uploads/{upload.name}"),
        reply=ReplyAddress("cli"),
        fields={"seed": zlib.crc32(f"{run}:{number}".encode())},
    )
    return await app.service.request(request)


async def ended(app: App, job_id: str) -> Job:
    """The job, once it has ended. Raises RuntimeError where it did not succeed."""
    async for event in app.service.watch(job_id):
        if event.job.state is JobState.SUCCEEDED:
            return event.job
        if event.job.state.terminal:
            raise RuntimeError(f"job {job_id} ended as {event.job.state}: {event.job.error!r}")
    raise RuntimeError("the stream of events ended early")


def rss_bytes(pid: int | None = None) -> int:
    """Resident memory of a process without its children."""
    return int(psutil.Process(pid).memory_info().rss)


class LoopWatch:
    """Measures how long the event loop was not free: the longest delay of a 5 ms timer.

    The time that its thread was ready but had no core, which the kernel counts, is not its doing and is left out.
    """

    def __init__(self) -> None:
        self.longest_s = 0.0

    async def run(self) -> None:
        while True:
            before, queued_s = time.perf_counter(), _queued_s()
            await asyncio.sleep(0.005)
            late_s = time.perf_counter() - before - 0.005
            self.longest_s = max(self.longest_s, late_s - (_queued_s() - queued_s))

    @asynccontextmanager
    async def watching(self) -> AsyncIterator[LoopWatch]:
        task = asyncio.create_task(self.run())
        try:
            yield self
        finally:
            task.cancel()
            with suppress(asyncio.CancelledError):
                await task


def _queued_s() -> float:
    """Seconds that this thread has waited for a core so far (Linux; 0 elsewhere)."""
    try:
        return int(Path("/proc/thread-self/schedstat").read_text(encoding="ascii").split()[1]) / 1e9
    except (OSError, IndexError, ValueError):
        return 0.0


@contextmanager
def cpu_of_this_process() -> Iterator[Callable[[], float]]:
    """Share of one core used since the block began, 0–1."""
    began_cpu_s, began_s = time.process_time(), time.perf_counter()
    yield lambda: (time.process_time() - began_cpu_s) / max(1e-9, time.perf_counter() - began_s)
