"""`SandboxUpscaler`, which implements the `Upscaler` port.

A request is processed by the process that watches it, a few at a time, first in, first out. One that is unfinished when
its process ends stays on disk and is started again by its next watcher.
"""

import asyncio
import dataclasses
import secrets
import shutil
from collections.abc import AsyncGenerator, Awaitable, Callable, Sequence
from contextlib import aclosing
from decimal import Decimal
from pathlib import Path
from typing import Any

import structlog

from core import ports
from core.domain import errors
from core.domain.job import ModelOutput
from core.domain.media_types import suffix_for
from core.domain.models import DEFAULT_MODEL, MODELS, ModelSpec
from core.domain.money import megapixels
from core.domain.parameters.spec import Parameters
from core.images.job_folder import link_or_copy
from core.images.service import ImageFacts, ImageService, WrittenImage
from core.net.retry import first_of
from core.ports import CancelAnswer, is_staged
from core.upscalers.sandbox.model import SandboxConfig, model_error_for
from core.upscalers.sandbox.records import Record, RequestStore

log = structlog.get_logger(__name__)

_FIRST = MODELS.default
SWEEP_EVERY_S = 3600.0
SAVE_RETRY_S = 10.0
MAX_PROGRESS_STEPS = 20
CANCELLED = errors.ModelFailed(kind="client_cancelled", billed=False)


class SandboxUpscaler:
    """Enlarges by Lanczos and bills play money. One instance per process; many processes may share the folder."""

    name = "sandbox"
    real_money = False
    halted = None

    def __init__(self, config: SandboxConfig, images: ImageService, clock: ports.Clock) -> None:
        self._config = config
        self._clock = clock
        self._images = images
        self._store = RequestStore(config.folder)
        self._queue: dict[object, str] = {}
        """The request of each watcher, in order of arrival; the first `slots` are processed."""
        self._queue_changed = asyncio.Event()
        self._sweeper: asyncio.Task[None] | None = None

    async def start(self) -> None:
        self._sweeper = asyncio.create_task(self._sweep(), name="sandbox-sweep")

    async def close(self) -> None:
        if self._sweeper is not None:
            self._sweeper.cancel()
            await asyncio.gather(self._sweeper, return_exceptions=True)

    async def _sweep(self) -> None:
        while True:
            try:
                await asyncio.to_thread(self._store.sweep, self._clock.now() - self._config.result_ttl_s)
            except OSError as error:
                log.error("sandbox_sweep_failed", kind=type(error).__name__)
            await self._clock.sleep(SWEEP_EVERY_S)

    async def stage(self, path: Path, mime: str, *, job_id: str) -> str:
        address, dest = self._store.new_file(job_id, suffix_for(mime)[1:])
        await asyncio.to_thread(link_or_copy, path, dest)
        return address

    async def submit(self, inputs: ports.ModelInputs, *, job_id: str, on_sending: Callable[[], Awaitable[None]]) -> str:
        await on_sending()
        record = Record(secrets.token_hex(16), job_id, self._clock.now(), dict(inputs.values), model=inputs.model.id)
        await asyncio.to_thread(self._store.save, record)
        return record.request_id

    async def find(self, staged_url: str, *, since: float, model: ModelSpec = _FIRST) -> ports.SearchResult:
        for record in await asyncio.to_thread(self._store.all_records):
            if is_staged(record.inputs.get("image_url"), staged_url):
                return ports.SearchResult(record.request_id, conclusive=True)
        return ports.SearchResult(None, conclusive=True)

    async def watch(self, request_id: str, model: ModelSpec = _FIRST) -> AsyncGenerator[ports.RemoteStatus, None]:
        """Process the request in its turn; yield statuses as they change, RemoteCompleted last. Raises RequestLost."""
        record = await self._load(request_id)
        if record is None:
            raise errors.RequestLost
        ticket = object()
        self._queue[ticket] = request_id
        try:
            while True:
                changed = self._queue_changed
                ahead = list(self._queue).index(ticket) - self._config.slots if ticket in self._queue else -1
                if ahead < 0 or record.done:
                    break
                yield ports.RemoteQueued(ahead)
                await changed.wait()
            while (record := await self._load(request_id)) is not None and not record.done:
                async with aclosing(self._process(record, ticket)) as statuses:
                    async for status in statuses:
                        yield status
        finally:
            self._queue.pop(ticket, None)
            self._notify_queue_changed()
        yield ports.RemoteCompleted()

    def _notify_queue_changed(self) -> None:
        changed, self._queue_changed = self._queue_changed, asyncio.Event()
        changed.set()

    async def _process(self, record: Record, ticket: object) -> AsyncGenerator[ports.RemoteStatus, None]:
        """Enlarge the image and save the outcome, unless the ticket leaves the queue meanwhile."""
        yield ports.RemoteRunning(None)
        began_at, pace = self._clock.now(), self._config.pace
        enlarging: asyncio.Task[WrittenImage] | None = None
        try:
            model = self._config.models.of(Parameters(model=record.model))
            factor = float(record.inputs[model.inputs["factor"].api_name])
            source = self._store.file_at(str(record.inputs["image_url"]))
            if source is None or not await asyncio.to_thread(source.exists):
                raise FileNotFoundError
            facts = await self._images.probe(source, decode=False)
            address, out = self._store.new_file(record.request_id, "out")
            enlarging = asyncio.create_task(
                self._images.enlarge(source, out, factor, network=self._config.network), name=f"enlarge-{record.job_id}"
            )
            steps = max(1, min(int(record.inputs.get("steps", MAX_PROGRESS_STEPS)), MAX_PROGRESS_STEPS))
            for step in range(1, steps + 1):
                pause = self._clock.sleep(pace.duration_s(facts, factor) / steps)
                await (first_of(pause, enlarging) if pace.is_estimate else pause)
                if ticket not in self._queue:
                    return
                yield ports.RemoteRunning(100.0 * step / steps)
                if pace.is_estimate and enlarging.done():
                    break
            outputs = self._outputs(record, model, address, facts, await enlarging, began_at)
            ended = dataclasses.replace(record, outputs=outputs)
        except errors.Draining:  # the image workers and this process are stopping; another process will continue
            await asyncio.Event().wait()
            return
        except Exception as error:
            log.warning("sandbox_request_failed", job=record.job_id, kind=type(error).__name__)
            ended = dataclasses.replace(record, error=errors.to_json(model_error_for(error)))
        finally:
            if enlarging is not None:
                enlarging.cancel()
                await asyncio.gather(enlarging, return_exceptions=True)
        try:
            await asyncio.to_thread(self._store.save, dataclasses.replace(ended, finished_at=self._clock.now()))
        except OSError as error:
            log.error("sandbox_disk_failed", kind=type(error).__name__)
            await self._clock.sleep(SAVE_RETRY_S)

    def _outputs(
        self, record: Record, model: ModelSpec, address: str, facts: ImageFacts, made: WrittenImage, began_at: float
    ) -> dict[str, Any]:
        factor = float(record.inputs[model.inputs["factor"].api_name])
        return {
            "image_url": address,
            "file_bytes": made.bytes,
            "seed": record.inputs.get("seed") if "seed" in model.gives else None,
            "inference_s": round(self._clock.now() - began_at, 3),
            "caption": self._config.caption(facts, factor, made) if "caption" in model.gives else "",
            "billable_units": megapixels(made.width_px, made.height_px),
        }

    async def result(self, request_id: str, model: ModelSpec = _FIRST) -> ModelOutput:
        record = await self._load(request_id)
        if record is not None and record.finished_at is None:
            raise errors.ProviderUnavailable
        if record is None or self._clock.now() - (record.finished_at or 0.0) > self._config.result_ttl_s:
            raise errors.ResultExpired
        if record.error is not None:
            raise errors.from_json(record.error)
        if record.outputs is None:
            raise errors.ModelFailed(kind="no_image_in_result", billed=False)
        known = {field.name for field in dataclasses.fields(ModelOutput)}  # records of earlier versions hold more
        outputs = {name: value for name, value in record.outputs.items() if name in known}
        return ModelOutput(**outputs, units=Decimal(record.outputs["billable_units"]))

    async def cancel(self, request_id: str, model: ModelSpec = _FIRST) -> CancelAnswer:
        """Stop the request: at once while it waits, at its next progress step while it runs."""
        record = await self._load(request_id)
        if record is None:
            return "not_found"
        if record.done:
            return "already_completed"
        is_running = request_id in list(self._queue.values())[: self._config.slots]
        ended = dataclasses.replace(record, finished_at=self._clock.now(), error=errors.to_json(CANCELLED))
        await asyncio.to_thread(self._store.save, ended)
        self._dequeue_request(request_id)
        return "requested" if is_running else "removed"

    def _dequeue_request(self, request_id: str) -> None:
        self._queue = {ticket: wanted for ticket, wanted in self._queue.items() if wanted != request_id}
        self._notify_queue_changed()

    async def fetch(self, url: str, dest: Path, *, max_bytes: int) -> None:
        path = self._store.file_at(url)
        if path is None:
            raise errors.ModelFailed(kind="foreign_result_address")
        try:
            if (await asyncio.to_thread(path.stat)).st_size > max_bytes:
                raise errors.ModelFailed(kind="result_file_too_large")
            part = dest.with_name(dest.name + ".part")
            # A copy, not a link: later changes at `dest` must not change the stored result.
            await asyncio.to_thread(shutil.copyfile, path, part)
            await asyncio.to_thread(part.replace, dest)
        except FileNotFoundError as error:
            raise errors.ResultExpired from error

    async def unit_price(self, model: ModelSpec = _FIRST) -> int:
        return self._config.unit_price_nanousd if model.id == DEFAULT_MODEL else model.unit_price_nanousd

    async def billing_events(self, start: float, end: float) -> Sequence[ports.BillingEvent]:
        found = []
        for record in await asyncio.to_thread(self._store.all_records):
            at = record.finished_at or 0.0
            if record.outputs is not None and start <= at <= end:
                units = int(record.outputs["billable_units"])
                price = await self.unit_price(self._config.models.of(Parameters(model=record.model)))
                found.append(ports.BillingEvent(record.request_id, at, Decimal(units), units * price))
        return found

    async def erase(self, request_id: str) -> None:
        if (record := await self._load(request_id)) is not None:
            await asyncio.to_thread(self._store.delete, record)
            self._dequeue_request(request_id)

    async def _load(self, request_id: str) -> Record | None:
        return await asyncio.to_thread(self._store.load, request_id)
