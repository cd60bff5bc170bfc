"""The queue behind the emulated API: slots, progress lines, the model's run, endings and webhooks."""

from __future__ import annotations

import asyncio
import base64
import json
import math
import secrets
import time
from collections import OrderedDict
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING, Any

from aiohttp import ClientError, ClientTimeout

from tests.emulators.fal import model
from tests.emulators.fal.outcomes import BlackImage, InfraError, ModelErrorOutcome, OddImage, Ok
from tests.emulators.fal.state import FalJob, StoredFile

if TYPE_CHECKING:
    from tests.emulators.fal.server import FalEmulator

_WEBHOOK_RETRY_S = (0.05, 0.1, 0.2)
MAX_IMAGE_DOWNLOAD_BYTES = 50 * 1024**2
"""fal's toolkit refuses larger input downloads."""


class Runner:
    """Runs at most `emulator.slots` jobs at once, first come first served. Owns all its tasks."""

    def __init__(self, emulator: FalEmulator) -> None:
        self._fal = emulator
        self.waiting: OrderedDict[str, FalJob] = OrderedDict()
        self._running: set[str] = set()
        self._tasks: set[asyncio.Task[None]] = set()

    async def close(self) -> None:
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def accept(self, job: FalJob) -> None:
        self._fal.jobs[job.request_id] = job
        self.waiting[job.request_id] = job
        self.start_waiting()

    def position(self, job: FalJob) -> int:
        for index, request_id in enumerate(self.waiting):
            if request_id == job.request_id:
                return index
        return 0

    def cancel(self, job: FalJob) -> None:
        job.cancel_requested = True
        if self.waiting.pop(job.request_id, None) is not None:
            job.removed = self._fal.cancel_removes
            self._fail(job, InfraError("client_cancelled"))
            self._tell_waiting()
        job.touch()

    def start_waiting(self) -> None:
        """Begin as many of those that wait as there are slots."""
        started = False
        while self.waiting and len(self._running) < self._fal.slots:
            _, job = self.waiting.popitem(last=False)
            self._running.add(job.request_id)
            self._spawn(self._run(job))
            started = True
        if started:
            self._tell_waiting()

    def _tell_waiting(self) -> None:
        for job in self.waiting.values():
            job.touch()

    def _spawn(self, coroutine: Any) -> None:
        task = asyncio.ensure_future(coroutine)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _run(self, job: FalJob) -> None:
        job.status, job.started_at = "IN_PROGRESS", datetime.now(UTC)
        began_s = time.monotonic()
        job.touch()
        try:
            await self._work(job)
        finally:
            self._running.discard(job.request_id)
        job.inference_s = round(time.monotonic() - began_s, 4)
        if isinstance(job.result_body, dict) and "timings" in job.result_body:
            job.result_body["timings"] = {"inference": job.inference_s}
        self._complete(job)
        self.start_waiting()

    async def _work(self, job: FalJob) -> None:
        wrong = self._fal.schemas[job.endpoint].mistakes(job.model_input)
        if wrong:
            self._refuse_input(job, wrong)
            return
        source = await self._download(job)
        if source is None:
            return
        if await self._stopped_while_stepping(job):
            return
        if isinstance(job.outcome, Ok | BlackImage | OddImage):
            await self._make(job, source)
        else:
            self._set_failure(job, job.outcome)

    async def _stopped_while_stepping(self, job: FalJob) -> bool:
        steps = max(1, self._fal.steps_logged)
        for step in range(1, steps + 1):
            await asyncio.sleep(self._fal.job_s / steps)
            if job.cancel_requested:
                self._set_failure(job, InfraError("client_cancelled"))
                return True
            bar = "█" * (10 * step // steps)
            job.log(f"{100 * step // steps:3d}%|{bar:<10}| {step}/{steps} [00:01<00:02,  2.1it/s]", "STDERR")
        return False

    async def _download(self, job: FalJob) -> Path | None:
        """What the runner does with image_url: fetch it without any authorisation."""
        url = job.model_input["image_url"]
        target = self._fal.folder / f"in-{secrets.token_hex(8)}"
        try:
            async with self._fal.http.get(url, timeout=ClientTimeout(total=30)) as response:
                if response.status != 200:
                    self._set_failure(job, ModelErrorOutcome("file_download_error", "0"))
                    return None
                size = 0
                with target.open("wb") as file:
                    async for chunk in response.content.iter_chunked(1 << 18):
                        size += len(chunk)
                        file.write(chunk)
        except (ClientError, TimeoutError, ValueError):
            self._set_failure(job, ModelErrorOutcome("file_download_error", "0"))
            return None
        if size > MAX_IMAGE_DOWNLOAD_BYTES:
            self._set_failure(job, ModelErrorOutcome("file_too_large", "0"))
            return None
        return target

    async def _make(self, job: FalJob, source: Path) -> None:
        name = f"{secrets.token_hex(8)}.png"
        target = self._fal.folder / name
        factor = float(job.model_input.get("upscale_factor", 2))
        black = isinstance(job.outcome, BlackImage)
        try:
            made = await asyncio.to_thread(model.enlarge, source, target, factor, black=black)
            if isinstance(job.outcome, OddImage):
                made = await asyncio.to_thread(model.make_odd, source, target, made, job.outcome)
        except model.CannotLoad:
            self._set_failure(job, ModelErrorOutcome("image_load_error", "0"))
            return
        except model.TooLarge:
            self._set_failure(job, ModelErrorOutcome("image_too_large", "0"))
            return
        finally:
            source.unlink(missing_ok=True)
        if made.has_gps:
            self._fal.violations.append("the input carried a GPS position")
        path = f"/files/b/{secrets.token_hex(4)}/{name}"
        lifecycle = _json_header(job.headers.get("x-fal-object-lifecycle-preference"))
        self._fal.files[path] = StoredFile(target, "image/png", name, made.size_bytes, lifecycle, False)
        image: dict[str, Any] = {"url": self._fal.cdn_url + path}
        if self._fal.data_uris or (isinstance(job.outcome, OddImage) and job.outcome.data_uri):
            image["url"] = "data:image/png;base64," + base64.b64encode(target.read_bytes()).decode()
        if not self._fal.bare_image:
            image |= {"width": made.width_px, "height": made.height_px, "file_size": made.size_bytes}
            image |= {"file_name": name, "content_type": "image/png"}
        outputs = {
            "image": image,
            "seed": job.model_input.get("seed", secrets.randbelow(2**32)),
            "timings": {"inference": 0.0},
            "caption": model.caption_for(job.model_input, made),
        }
        schema = self._fal.schemas[job.endpoint]
        job.result_body = {name: value for name, value in outputs.items() if name in schema.outputs}
        if getattr(schema.model_validate(job.model_input), "output_format", "png") != "png":
            self._fal.violations.append("the result is not asked for as PNG")
        if isinstance(job.outcome, OddImage) and job.outcome.flagged:
            job.result_body["has_nsfw_concepts"] = [True]
        self._bill(job, made.width_px * made.height_px)

    def _bill(self, job: FalJob, pixels: int) -> None:
        megapixels = Decimal(pixels) / Decimal(1_000_000)
        units = megapixels if self._fal.exact_units else Decimal(math.ceil(megapixels))
        job.units = str(units)
        self._fal.credit_usd -= float(units) * self._fal.price_of(job.endpoint)
        if self._fal.units_header:
            job.result_headers["X-Fal-Billable-Units"] = job.units

    def _refuse_input(self, job: FalJob, wrong: list[dict[str, Any]]) -> None:
        job.result_status, job.result_body = 422, {"detail": wrong}
        job.result_headers["X-Fal-Billable-Units"] = "0"
        job.error, job.error_type = "Invalid status code: 422", wrong[0]["type"]

    def _set_failure(self, job: FalJob, outcome: InfraError | ModelErrorOutcome) -> None:
        job.result_status = outcome.status()
        job.error, job.error_type = f"Invalid status code: {outcome.status()}", outcome.type
        if isinstance(outcome, ModelErrorOutcome):
            job.result_body = outcome.body(job.model_input)
            if outcome.units is not None:
                job.units = outcome.units
                job.result_headers["X-Fal-Billable-Units"] = outcome.units
        else:
            job.result_body = outcome.body()
            job.result_headers["X-Fal-Error-Type"] = outcome.type

    def _fail(self, job: FalJob, outcome: InfraError) -> None:
        self._set_failure(job, outcome)
        self._complete(job)

    def _complete(self, job: FalJob) -> None:
        job.status, job.ended_at = "COMPLETED", datetime.now(UTC)
        job.completed_at_s = time.monotonic()
        job.touch()
        if job.webhook:
            self._spawn(self._call_webhook(job))

    async def _call_webhook(self, job: FalJob) -> None:
        ok = job.result_status == 200
        payload: dict[str, Any] = {
            "request_id": job.request_id,
            "gateway_request_id": f"gw-{job.request_id}",
            "status": "OK" if ok else "ERROR",
            "payload": job.result_body,
        }
        if not ok:
            payload["error"] = f"Invalid status code: {job.result_status}"
        body = json.dumps(payload).encode()
        for _ in range(self._fal.webhook_repeats):
            await self._deliver(job, body)

    async def _deliver(self, job: FalJob, body: bytes) -> None:
        assert job.webhook is not None
        for delay_s in (*_WEBHOOK_RETRY_S, None):
            headers = self._fal.signer.headers(job.request_id, "github|emulated-user", body)
            try:
                async with self._fal.http.post(
                    job.webhook, data=body, headers=headers, allow_redirects=False
                ) as response:
                    if response.status < 400:
                        return
            except (ClientError, TimeoutError):
                pass
            if delay_s is not None:
                await asyncio.sleep(delay_s)


def _json_header(value: str | None) -> dict[str, Any] | None:
    if value is None:
        return None
    parsed = json.loads(value)
    return parsed if isinstance(parsed, dict) else None
