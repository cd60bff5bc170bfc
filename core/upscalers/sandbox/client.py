"""`SandboxUpscaler`: the sandbox model as the core's `Upscaler` port."""

import asyncio
import contextlib
import dataclasses
import secrets
import shutil
from collections.abc import AsyncGenerator, Awaitable, Callable, Sequence
from decimal import Decimal
from pathlib import Path

import structlog

from core.domain.errors import ModelFailed, ProviderUnavailable, RequestLost, ResultExpired, from_json, to_json
from core.domain.job import Made
from core.domain.media_types import suffix_for
from core.domain.models import DEFAULT_MODEL, MODELS, ModelSpec
from core.domain.parameters.spec import Parameters
from core.images.job_folder import link_or_copy
from core.images.service import ImageService
from core.ports import BillingEvent, Clock, Found, ModelInputs, RemoteCompleted, RemoteStatus
from core.ports.upscaler import CancelAnswer, is_staged
from core.upscalers.sandbox.model import SandboxConfig
from core.upscalers.sandbox.queue import CANCELLED, Queue
from core.upscalers.sandbox.records import Record, RequestStore

log = structlog.get_logger(__name__)

_FIRST = MODELS.default
SWEEP_EVERY_S = 3600.0
WATCH_ROUND_S = 60.0


class SandboxUpscaler:
    """Enlarges for real, bills in play money. One instance per process; many processes may share the folder."""

    name = "sandbox"
    real_money = False
    halted = None

    def __init__(self, config: SandboxConfig, images: ImageService, clock: Clock) -> None:
        self._config = config
        self._clock = clock
        self._store = RequestStore(config.folder)
        self._queue = Queue(self._store, images, clock, config)
        self._sweeper: asyncio.Task[None] | None = None

    async def start(self) -> None:
        for record in await asyncio.to_thread(self._store.everything):
            if not record.done:
                self._queue.add(record.request_id)
        self._sweeper = asyncio.create_task(self._sweep(), name="sandbox-sweep")

    async def close(self) -> None:
        """Stop; unfinished requests stay for the next start."""
        if self._sweeper is not None:
            self._sweeper.cancel()
            await asyncio.gather(self._sweeper, return_exceptions=True)
        await self._queue.close()

    async def _sweep(self) -> None:
        while True:
            try:
                await asyncio.to_thread(self._store.sweep, self._clock.now() - self._config.result_ttl_s)
            except OSError as error:
                log.error("sandbox_sweep_failed", kind=type(error).__name__)
            await self._clock.sleep(SWEEP_EVERY_S)

    async def stage(self, path: Path, mime: str, *, job_id: str) -> str:
        """Keep a copy; see `core.ports.Upscaler`."""
        address, dest = self._store.new_file(job_id, suffix_for(mime)[1:])
        await asyncio.to_thread(link_or_copy, path, dest)
        return address

    async def submit(self, inputs: ModelInputs, *, job_id: str, on_sending: Callable[[], Awaitable[None]]) -> str:
        """Write the request down and queue it; see `core.ports.Upscaler`."""
        await on_sending()
        record = Record(secrets.token_hex(16), job_id, self._clock.now(), dict(inputs.values), model=inputs.model.id)
        await asyncio.to_thread(self._store.save, record)
        self._queue.add(record.request_id)
        return record.request_id

    async def find(self, staged_url: str, *, since: float, model: ModelSpec = _FIRST) -> Found:
        """The request made with this staged picture; the sandbox always knows."""
        for record in await asyncio.to_thread(self._store.everything):
            if is_staged(record.inputs.get("image_url"), staged_url):
                return Found(record.request_id, conclusive=True)
        return Found(None, conclusive=True)

    async def watch(self, request_id: str, model: ModelSpec = _FIRST) -> AsyncGenerator[RemoteStatus, None]:
        """Statuses as they change; ends after RemoteCompleted. Raises RequestLost."""
        record = await self._load(request_id)
        if record is None:
            raise RequestLost
        live = self._queue.live(request_id)
        if not record.done and live is None:
            live = self._queue.add(request_id)
        last: RemoteStatus | None = None
        # Bounded by the request: every round waits for a change, and its last change is RemoteCompleted.
        while live is not None and not isinstance(live.status, RemoteCompleted):
            changed = live.changed
            if live.status != last:
                last = live.status
                yield last
                continue
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(WATCH_ROUND_S):
                    await changed.wait()
        yield RemoteCompleted()

    async def result(self, request_id: str, model: ModelSpec = _FIRST) -> Made:
        """The outputs, or the error it ended with; see `core.ports.Upscaler`."""
        record = await self._load(request_id)
        if record is None:
            raise ResultExpired
        if not record.done:
            raise ProviderUnavailable
        if record.finished_at is not None and self._clock.now() - record.finished_at > self._config.result_ttl_s:
            raise ResultExpired
        if record.error is not None:
            raise from_json(record.error)
        if record.outputs is None:
            raise ModelFailed(kind="no_image_in_result", billed=False)
        known = {field.name for field in dataclasses.fields(Made)}  # records of earlier versions hold more
        outputs = {name: value for name, value in record.outputs.items() if name in known}
        return Made(**outputs, units=Decimal(record.outputs["billable_units"]))

    async def cancel(self, request_id: str, model: ModelSpec = _FIRST) -> CancelAnswer:
        """Stop it: at once while it waits, at its next step while it runs."""
        record = await self._load(request_id)
        if record is None:
            return "not_found"
        if record.done:
            return "already_completed"
        if (live := self._queue.take(request_id)) is not None:
            ended = dataclasses.replace(record, finished_at=self._clock.now(), error=to_json(CANCELLED))
            await asyncio.to_thread(self._store.save, ended)
            live.show(RemoteCompleted())
            return "removed"
        await asyncio.to_thread(self._store.ask_to_cancel, request_id)
        return "requested"

    async def fetch(self, url: str, dest: Path, *, max_bytes: int) -> None:
        """Copy the result to `dest`. Raises ResultExpired."""
        path = self._store.file_at(url)
        if path is None:
            raise ModelFailed(kind="foreign_result_address")
        try:
            if (await asyncio.to_thread(path.stat)).st_size > max_bytes:
                raise ModelFailed(kind="result_file_too_large")
            part = dest.with_name(dest.name + ".part")
            # A copy, not a link: what is cleaned or changed at `dest` later must not change the stored result.
            await asyncio.to_thread(shutil.copyfile, path, part)
            await asyncio.to_thread(part.replace, dest)
        except FileNotFoundError as error:
            raise ResultExpired from error

    async def unit_price(self, model: ModelSpec = _FIRST) -> int:
        return self._config.unit_price_nanousd if model.id == DEFAULT_MODEL else model.unit_price_nanousd

    async def billing_events(self, start: float, end: float) -> Sequence[BillingEvent]:
        found = []
        for record in await asyncio.to_thread(self._store.everything):
            at = record.finished_at or 0.0
            if record.outputs is not None and start <= at <= end:
                units = int(record.outputs["billable_units"])
                price = await self.unit_price(self._config.models.of(Parameters(model=record.model)))
                found.append(BillingEvent(record.request_id, at, Decimal(units), units * price))
        return found

    async def erase(self, request_id: str) -> None:
        if (record := await self._load(request_id)) is not None:
            live = self._queue.take(request_id)
            await asyncio.to_thread(self._store.forget, record)
            if live is not None:
                live.show(RemoteCompleted())

    async def _load(self, request_id: str) -> Record | None:
        return await asyncio.to_thread(self._store.load, request_id)
