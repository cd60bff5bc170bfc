"""The sandbox's queue: first come first served, a few slots, progress that can be watched.

It owns its tasks. Whatever is unfinished when it closes (or dies) stays on disk and is taken up by the next start.
"""

import asyncio
import dataclasses
from dataclasses import dataclass, field

import structlog

from core.domain.errors import Draining, ModelFailed, to_json
from core.domain.money import megapixels
from core.domain.parameters.spec import Parameters
from core.images.service import ImageService
from core.ports import Clock, RemoteCompleted, RemoteQueued, RemoteRunning, RemoteStatus
from core.upscalers.sandbox.model import SandboxConfig, failure_of
from core.upscalers.sandbox.records import Record, RequestStore

log = structlog.get_logger(__name__)

OTHER_PROCESS_POLL_S = 1.0
OTHER_PROCESS_POLLS = 86_400
MOST_TICKS = 20
CANCELLED = ModelFailed(kind="client_cancelled", billed=False)


class _Cancelled(Exception):
    """A cancel was asked for."""


@dataclass
class Live:
    """An unfinished request in this process. `changed` is replaced at every change, so that watchers can wait."""

    request_id: str
    status: RemoteStatus
    changed: asyncio.Event = field(default_factory=asyncio.Event)

    def show(self, status: RemoteStatus) -> None:
        """Tell watchers."""
        self.status = status
        event, self.changed = self.changed, asyncio.Event()
        event.set()


class Queue:
    """Works through requests."""

    def __init__(self, store: RequestStore, images: ImageService, clock: Clock, config: SandboxConfig) -> None:
        self._config = config
        self._store = store
        self._images = images
        self._clock = clock
        self._live: dict[str, Live] = {}
        self._waiting: dict[str, Live] = {}
        self._tasks: set[asyncio.Task[None]] = set()

    def live(self, request_id: str) -> Live | None:
        """The request if it is waiting or being worked on here."""
        return self._live.get(request_id)

    def add(self, request_id: str) -> Live:
        """Put it at the end of the queue; does nothing for one that is in already."""
        if (known := self._live.get(request_id)) is not None:
            return known
        live = Live(request_id, RemoteQueued(len(self._waiting)))
        self._live[request_id] = self._waiting[request_id] = live
        if len(self._tasks) < self._config.slots:
            self._start_next()
        return live

    def take(self, request_id: str) -> Live | None:
        """Take it out of the queue; None if it is not waiting there. The caller shows its end."""
        live = self._waiting.pop(request_id, None)
        if live is not None:
            del self._live[request_id]
            self._show_positions()
        return live

    async def close(self) -> None:
        """Stop working; nothing on disk changes."""
        self._waiting.clear()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def _start_next(self) -> None:
        while self._waiting and len(self._tasks) < self._config.slots:
            request_id = next(iter(self._waiting))
            live = self._waiting.pop(request_id)
            task = asyncio.create_task(self._run(live), name=f"sandbox-{request_id}")
            self._tasks.add(task)
            task.add_done_callback(self._ended)
        self._show_positions()

    def _ended(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        if not task.cancelled():
            self._start_next()

    def _show_positions(self) -> None:
        for position, live in enumerate(self._waiting.values()):
            if live.status != RemoteQueued(position):
                live.show(RemoteQueued(position))

    async def _run(self, live: Live) -> None:
        try:
            for _ in range(OTHER_PROCESS_POLLS):
                record = await asyncio.to_thread(self._store.load, live.request_id)
                if record is None or record.done or await self._work_if_free(live):
                    break
                # Another process has it: until that is done with it, or gone.
                await self._clock.sleep(OTHER_PROCESS_POLL_S)
        except Draining:
            return  # the image workers are going, and so is this process: the next start goes on
        except OSError as error:
            log.error("sandbox_disk_failed", kind=type(error).__name__)
        self._live.pop(live.request_id, None)
        live.show(RemoteCompleted())

    async def _work_if_free(self, live: Live) -> bool:
        """Work on it to its end unless another process does; False in that case."""
        lock = await asyncio.to_thread(self._store.try_lock, live.request_id)
        if lock is None:
            return False
        try:
            record = await asyncio.to_thread(self._store.load, live.request_id)
            if record is not None and not record.done:
                live.show(RemoteRunning(None))
                ended = await self._work(record, live)
                await asyncio.to_thread(self._store.save, ended)
        finally:
            lock.release()
        return True

    async def _work(self, record: Record, live: Live) -> Record:
        try:
            ended = await self._make(record, live)
        except Draining:
            raise
        except _Cancelled:
            ended = dataclasses.replace(record, error=to_json(CANCELLED))
        except Exception as error:
            log.warning("sandbox_request_failed", job=record.job_id, kind=type(error).__name__)
            ended = dataclasses.replace(record, error=to_json(failure_of(error)))
        return dataclasses.replace(ended, finished_at=self._clock.now())

    async def _make(self, record: Record, live: Live) -> Record:
        model = self._config.models.of(Parameters(model=record.model))
        source = self._store.file_at(str(record.inputs["image_url"]))
        if source is None or not await asyncio.to_thread(source.exists):
            raise FileNotFoundError
        began_at = self._clock.now()
        factor = float(record.inputs[model.inputs["factor"].api_name])
        facts = await self._images.probe(source, decode=False)
        address, out = self._store.new_file(record.request_id, "out")
        enlarging = asyncio.create_task(self._images.enlarge(source, out, factor, network=self._config.network))
        ticking = asyncio.create_task(
            self._tick(live, self._config.pace.duration_s(facts, factor), int(record.inputs.get("steps", MOST_TICKS)))
        )
        try:
            if self._config.pace.is_guess:
                await asyncio.wait({enlarging, ticking}, return_when=asyncio.FIRST_COMPLETED)
            if not enlarging.done() or not self._config.pace.is_guess:
                await ticking
            made = await enlarging
        finally:
            enlarging.cancel()
            ticking.cancel()
            await asyncio.gather(enlarging, ticking, return_exceptions=True)
        outputs = {
            "image_url": address,
            "file_bytes": made.bytes,
            "seed": record.inputs.get("seed") if "seed" in model.gives else None,
            "inference_s": round(self._clock.now() - began_at, 3),
            "caption": self._config.caption(facts, factor, made) if "caption" in model.gives else "",
            "billable_units": megapixels(made.width_px, made.height_px),
        }
        return dataclasses.replace(record, outputs=outputs)

    async def _tick(self, live: Live, duration_s: float, steps: int) -> None:
        ticks = max(1, min(steps, MOST_TICKS))
        for tick in range(1, ticks + 1):
            await self._clock.sleep(duration_s / ticks)
            if await asyncio.to_thread(self._store.cancel_asked, live.request_id):
                raise _Cancelled
            live.show(RemoteRunning(100.0 * tick / ticks))
