"""Shared helpers of the fal backend's tests."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyvips

from core.domain.models import MODELS, ModelSpec
from core.domain.parameters.spec import Parsed
from core.ports import ModelInputs, RemoteStatus
from core.upscalers.fal import FalConfig, FalUpscaler
from core.upscalers.sandbox import SandboxUpscaler
from tests.emulators.fal import ADMIN_KEY, API_KEY, FalEmulator
from tests.fakes.clock import JumpingClock


def config_for(fal: FalEmulator, **changes: Any) -> FalConfig:
    values: dict[str, Any] = {
        "key": API_KEY,
        "admin_key": ADMIN_KEY,
        "queue_url": fal.queue_url,
        "rest_url": fal.rest_url,
        "cdn_url": fal.cdn_url,
        "api_url": fal.api_url,
        "reply_timeout_s": 5.0,
    }
    return FalConfig(**(values | changes))


@asynccontextmanager
async def backend(
    fal: FalEmulator, clock: JumpingClock | None = None, *, on_halt: Any = None, **changes: Any
) -> AsyncIterator[FalUpscaler]:
    upscaler = FalUpscaler(config_for(fal, **changes), clock or JumpingClock(), on_halt=on_halt)
    await upscaler.start()
    try:
        yield upscaler
    finally:
        await upscaler.close()


def picture(folder: Path, width_px: int = 64, height_px: int = 48) -> Path:
    path = folder / f"in-{width_px}x{height_px}.png"
    if not path.exists():  # never written anew: the sandbox may be reading a second name of the same file
        pyvips.Image.gaussnoise(width_px, height_px, mean=128, sigma=40).cast("uchar").pngsave(str(path))
    return path


def inputs(image_url: str, model: ModelSpec = MODELS.default, **changes: Any) -> ModelInputs:
    parameters = MODELS.resolve(Parsed({"model": model.id, "seed": 7}))
    return ModelInputs(model, {**model.request(parameters, image_url), **changes})


async def no_op() -> None:
    """An `on_sending` that does nothing."""


async def submitted(upscaler: FalUpscaler, folder: Path, job_id: str = "0123456789ab", **changes: Any) -> str:
    """Stage and submit an image; return the request id."""
    url = await upscaler.stage(await asyncio.to_thread(picture, folder), "image/png", job_id=job_id)
    return await upscaler.submit(inputs(url, **changes), job_id=job_id, on_sending=no_op)


async def statuses(upscaler: FalUpscaler | SandboxUpscaler, request_id: str) -> list[RemoteStatus]:
    """All statuses of `watch`, with a timeout."""
    async with asyncio.timeout(20):
        return [status async for status in upscaler.watch(request_id)]


async def completed(upscaler: FalUpscaler, folder: Path, **changes: Any) -> str:
    """Submit an image and watch it to its end; return the request id."""
    request_id = await submitted(upscaler, folder, **changes)
    await statuses(upscaler, request_id)
    return request_id


@dataclass(frozen=True)
class Rig:
    """The fal emulator, a backend that uses it, and a folder for images."""

    fal: FalEmulator
    upscaler: FalUpscaler
    folder: Path

    async def submitted(self, **changes: Any) -> str:
        return await submitted(self.upscaler, self.folder, **changes)

    async def completed(self, **changes: Any) -> str:
        return await completed(self.upscaler, self.folder, **changes)
