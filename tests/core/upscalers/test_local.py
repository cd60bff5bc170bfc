"""The local model as a backend: the sandbox's queue and records, real enlargement, and a true caption."""

import asyncio
from pathlib import Path
from typing import Any

import pytest

from core.domain.errors import ModelFailed
from core.images.operations.enlarge import available
from core.images.service import ImageService, WrittenImage
from core.ports import RemoteCompleted
from core.upscalers.local import LocalUpscaler, caption_for
from core.upscalers.sandbox import SandboxConfig
from tests.core.images import pictures
from tests.core.upscalers.fal_kit import inputs, no_op
from tests.core.upscalers.sandbox_kit import sized
from tests.fakes.clock import JumpingClock

JOB = "0123456789ab"


class Held:
    """An image service whose jobs end on demand."""

    def __init__(self) -> None:
        self.go = asyncio.Event()

    async def probe(self, path: Path, *, decode: bool = True) -> Any:
        return sized(64, 48)

    async def enlarge(self, path: Path, out_path: Path, factor: float, *, network: bool) -> WrittenImage:
        assert network
        await self.go.wait()
        out_path.write_bytes(b"made")
        return WrittenImage(out_path, "image/png", 128, 96, 4, network_share=0.0)


async def test_a_picture_comes_back_larger_and_the_caption_says_what_ran(tmp_path: Path) -> None:
    (tmp_path / "in.png").write_bytes(pictures.encoded(pictures.scene(200, 150), "PNG"))
    async with ImageService(workers=1) as images:
        local = LocalUpscaler(SandboxConfig(tmp_path / "local", result_ttl_s=1e9), images, JumpingClock(nap_s=0.01))
        await local.start()
        url = await local.stage(tmp_path / "in.png", "image/png", job_id=JOB)
        request_id = await local.submit(inputs(url, upscale_factor=2.5), job_id=JOB, on_sending=no_op)
        async with asyncio.timeout(20):
            assert [status async for status in local.watch(request_id)][-1] == RemoteCompleted()
        result = await local.result(request_id)
        await local.fetch(result.image_url, tmp_path / "out.png", max_bytes=10**8)
        made = await images.probe(tmp_path / "out.png")
        await local.close()
    assert (made.width_px, made.height_px) == (500, 375)
    assert result.caption.startswith("An image of 200×150 pixels, enlarged 2.5× on this machine by Lanczos resampling")
    assert ("ACNet" in result.caption) == available()


@pytest.mark.parametrize(
    ("share", "ending"), [(0.0, "by Lanczos resampling."), (0.5, "50% of the way by the small network ACNet.")]
)
def test_the_caption_names_the_network_only_where_it_had_a_share(share: float, ending: str, tmp_path: Path) -> None:
    made = WrittenImage(tmp_path, "image/png", 128, 96, 4, network_share=share)
    assert caption_for(sized(64, 48), 2.0, made).endswith(ending)


async def test_it_is_over_as_soon_as_the_work_is_and_can_be_cancelled_before(tmp_path: Path) -> None:
    (tmp_path / "in.png").write_bytes(b"any")
    for cancelled in (False, True):
        held = Held()
        local = LocalUpscaler(SandboxConfig(tmp_path / "local"), held, JumpingClock(nap_s=0.01))  # type: ignore[arg-type]
        await local.start()
        url = await local.stage(tmp_path / "in.png", "image/png", job_id=JOB)
        request_id = await local.submit(inputs(url), job_id=JOB, on_sending=no_op)
        if cancelled:
            await local.cancel(request_id)
        else:
            held.go.set()
        async with asyncio.timeout(20):
            assert [status async for status in local.watch(request_id)][-1] == RemoteCompleted()
        if cancelled:
            with pytest.raises(ModelFailed):
                await local.result(request_id)
        else:
            assert (await local.result(request_id)).file_bytes == 4
        await local.close()
