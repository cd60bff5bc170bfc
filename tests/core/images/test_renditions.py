"""Renditions of a result: cached, fetched again if this machine lacks the file, deleted with the job."""

import asyncio
import dataclasses
import itertools
import math
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pyvips

from core.domain.errors import ResultExpired
from core.domain.job import Job, Source
from core.images.renditions import JobMedia
from core.images.service import ImageService
from core.ports import TILE_PX
from tests.core.jobs.pipeline_kit import World, world

SIZE = (900, 700)


@pytest.fixture
async def w(tmp_path: Path) -> AsyncIterator[World]:
    async with world(tmp_path) as made, ImageService(workers=1) as image_service:
        made.real_images = image_service
        await made.close()
        await made.open()
        noise(tmp_path / "result.png", *SIZE)
        noise(tmp_path / "source.png", SIZE[0] // 2, SIZE[1] // 2)
        made.sources.pages["https://example.org/a.png"] = (tmp_path / "source.png").read_bytes()

        async def fetch(url: str, dest: Path, *, max_bytes: int) -> None:
            made.upscaler.calls["fetch"] += 1
            dest.write_bytes((tmp_path / "result.png").read_bytes())

        made.upscaler.fetch = fetch  # type: ignore[method-assign]
        yield made


def noise(path: Path, width_px: int, height_px: int) -> None:
    band = pyvips.Image.gaussnoise(width_px, height_px, mean=128, sigma=50).cast("uchar")
    band.bandjoin([band.rot180(), band.fliphor()]).copy(interpretation="srgb").pngsave(str(path))


async def finished(w: World) -> Job:
    return await w.done(source=Source("link", url="https://example.org/a.png"))


def size_of(path: Path) -> tuple[int, int]:
    picture = pyvips.Image.new_from_file(str(path))
    return picture.width, picture.height


async def test_a_result_in_another_format_is_whole_and_the_newest_of_each_format_is_kept(w: World) -> None:
    media, job = JobMedia(w.ctx), await finished(w)
    original = await media.original(job)
    assert await media.converted(job, saved_as="png", quality=90) == original
    webp = await media.converted(job, saved_as="webp", quality=80)
    assert (size_of(webp.path), webp.mime) == (SIZE, "image/webp")
    assert await media.converted(job, saved_as="webp", quality=80) == webp
    jpeg = await media.converted(job, saved_as="jpeg", quality=80)
    assert (size_of(jpeg.path), jpeg.mime, webp.path.exists()) == (SIZE, "image/jpeg", True)
    await media.converted(job, saved_as="jpeg", quality=70)
    assert (jpeg.path.exists(), webp.path.exists()) == (False, True)


async def test_every_rendition_keeps_its_limits(w: World) -> None:
    media, job = JobMedia(w.ctx), await finished(w)
    original = await media.original(job)
    assert (size_of(original.path), original.shape, original.mime) == (SIZE, "original", "image/png")
    assert await media.fit(job, max_bytes=original.bytes) == original
    smaller = await media.fit(job, max_bytes=original.bytes // 4)
    assert smaller.bytes <= original.bytes // 4
    assert smaller.path.stat().st_size == smaller.bytes
    assert smaller.shape in {"webp", "jpeg", "preview"}
    preview = await media.preview(job, max_side_px=300, max_bytes=100_000)
    assert max(size_of(preview.path)) == 300
    assert preview.bytes <= 100_000
    before = await media.source(job)
    assert size_of(before.path) == (SIZE[0] // 2, SIZE[1] // 2)
    compared = await media.compare(job)
    assert min(size_of(compared.path)) > 100


async def test_tiles_cover_the_picture_at_every_halving(w: World) -> None:
    media, job = JobMedia(w.ctx), await finished(w)
    tiles = await media.tiles(job)
    again = await JobMedia(w.ctx).tiles(job)
    assert again == tiles
    for halved in range(tiles.halvings + 1):
        width_px, height_px = (math.ceil(side / 2**halved) for side in SIZE)
        columns, rows = math.ceil(width_px / TILE_PX), math.ceil(height_px / TILE_PX)
        covered = 0
        for x, y in itertools.product(range(columns), range(rows)):
            path = tiles.tile(halved, x, y)
            assert path is not None
            covered += math.prod(size_of(path))
        assert covered == width_px * height_px
        assert tiles.tile(halved, columns, 0) is None
    assert tiles.tile(tiles.halvings + 1, 0, 0) is None
    assert (await media.tiles(job, of="source")).folder != tiles.folder


async def test_a_rendition_is_made_once_for_concurrent_callers(w: World) -> None:
    media, job = JobMedia(w.ctx), await finished(w)
    assert w.real_images
    before = w.real_images.stats["jobs"]
    made = await asyncio.gather(*(media.preview(job, max_side_px=200, max_bytes=90_000) for _ in range(5)))
    again = await JobMedia(w.ctx).preview(job, max_side_px=200, max_bytes=90_000)
    assert len({(one.path, one.bytes) for one in (*made, again)}) == 1
    assert w.real_images.stats["jobs"] == before + 1


async def test_a_machine_without_the_files_fetches_them_again(w: World) -> None:
    job = await finished(w)
    first = await JobMedia(w.ctx).original(job)
    w.forget_files()
    media = JobMedia(w.ctx)
    again = await asyncio.gather(*(media.original(job) for _ in range(3)))
    assert {(one.path, one.bytes) for one in again} == {(first.path, first.bytes)}
    assert size_of(again[0].path) == SIZE
    assert size_of((await media.source(job)).path) == (SIZE[0] // 2, SIZE[1] // 2)
    assert size_of((await media.compare(job)).path)[0] > 100


async def test_a_deleted_or_missing_image_is_expired(w: World) -> None:
    media, job = JobMedia(w.ctx), await finished(w)
    deleted = await w.service.delete(job.id, job.requester)
    for shape in (media.original(deleted), media.fit(deleted, max_bytes=10_000), media.source(deleted)):
        with pytest.raises(ResultExpired):
            await shape
    unfinished = dataclasses.replace(job, result=None)
    with pytest.raises(ResultExpired):
        await media.original(unfinished)


async def test_the_result_of_a_preview_job_is_shown_beside_the_original(w: World) -> None:
    media, job = JobMedia(w.ctx), await finished(w)
    part = dataclasses.replace(job, source=dataclasses.replace(job.source, data={"whole": job.id}))
    beside, compared = await media.fit(part, max_bytes=10**8), await media.compare(part)
    assert (beside.path, beside.shape) == (compared.path, "original")
    assert (await media.fit(job, max_bytes=10**8)).path != compared.path
