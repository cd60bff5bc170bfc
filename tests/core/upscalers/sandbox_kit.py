"""Shared helpers of the sandbox's tests."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest
import pyvips

from core.domain.errors import ModelError
from core.ports import RemoteCompleted
from core.upscalers.sandbox import SandboxConfig, SandboxUpscaler
from core.upscalers.sandbox.model import Pace
from tests.core.upscalers.fal_kit import inputs, no_op, picture, statuses
from tests.fakes.clock import JumpingClock

JOB = "0123456789ab"
SLOW = Pace(base_s=10_000, per_megapixel_s=0, limit_s=10_000)
"""Never over in real time; used with a `JumpingClock` that stands still."""


def sized(width_px: int, height_px: int, size_bytes: int = 0) -> Any:
    """The facts of an image that the sandbox uses."""
    return SimpleNamespace(width_px=width_px, height_px=height_px, mime="image/png", bytes=size_bytes)


class QuickImages:
    """Enlarges in this process, or raises a given error."""

    def __init__(self, error: Exception | None = None) -> None:
        self.error = error

    async def probe(self, path: Path, *, decode: bool = True) -> Any:
        image = pyvips.Image.new_from_file(str(path))
        return sized(image.width, image.height)

    async def enlarge(self, path: Path, out_path: Path, factor: float, *, network: bool) -> Any:
        if self.error is not None:
            raise self.error
        image = pyvips.Image.new_from_file(str(path)).resize(factor)
        out_path.write_bytes(image.pngsave_buffer(compression=1))
        return sized(image.width, image.height, out_path.stat().st_size)


@asynccontextmanager
async def sandbox(
    folder: Path, *, clock: JumpingClock | None = None, image_service: Any = None, **config: Any
) -> AsyncIterator[SandboxUpscaler]:
    settings = SandboxConfig(folder / "sandbox", **config)
    upscaler = SandboxUpscaler(settings, image_service or cast(Any, QuickImages()), clock or JumpingClock(nap_s=0.001))
    await upscaler.start()
    try:
        yield upscaler
    finally:
        await upscaler.close()


async def submitted(
    upscaler: SandboxUpscaler, folder: Path, size_px: tuple[int, int] = (64, 48), **changes: Any
) -> str:
    url = await upscaler.stage(await asyncio.to_thread(picture, folder, *size_px), "image/png", job_id=JOB)
    return await upscaler.submit(inputs(url, **changes), job_id=JOB, on_sending=no_op)


async def ended_well(upscaler: SandboxUpscaler, folder: Path, **changes: Any) -> str:
    request_id = await submitted(upscaler, folder, **changes)
    assert (await statuses(upscaler, request_id))[-1] == RemoteCompleted()
    return request_id


async def ended(upscaler: SandboxUpscaler, request_id: str) -> ModelError:
    assert (await statuses(upscaler, request_id))[-1] == RemoteCompleted()
    with pytest.raises(ModelError) as caught:
        await upscaler.result(request_id)
    assert caught.value.billed is False
    return caught.value
