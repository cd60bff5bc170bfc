"""Renditions of finished jobs' images in the forms that platforms need.

Each is made once and cached beside the result, so that a repeated delivery does not encode again.
"""

import asyncio
import dataclasses
import json
from collections.abc import Awaitable, Callable
from functools import partial
from pathlib import Path

from core.domain.errors import ResultExpired
from core.domain.job import Job
from core.domain.media_types import MIME, SavedAs, media_type_of
from core.domain.variations import previewed_job_id
from core.images.service import WrittenImage
from core.jobs.admission import Share
from core.jobs.context import JobContext
from core.jobs.steps.pictures import ensure_input, ensure_result
from core.ports import TILE_PX, MediaFile, PictureOf, TileSet


class JobMedia:
    def __init__(self, ctx: JobContext) -> None:
        self._ctx = ctx

    async def original(self, job: Job) -> MediaFile:
        """The full result, fetched again from the provider if it is not on this machine. Raises ResultExpired."""
        if job.result is None:
            raise ResultExpired
        path = await ensure_result(self._ctx, job)
        r = job.result
        return MediaFile(path, r.mime, "original", r.width_px, r.height_px, path.stat().st_size)

    async def source(self, job: Job) -> MediaFile:
        """The job's input as sent to the model. Raises ResultExpired if it no longer exists."""
        if job.input is None or job.images_deleted:
            raise ResultExpired
        await ensure_input(self._ctx, job)
        path = self._ctx.files.input(job.id)
        mime = await asyncio.to_thread(_mime_of, path)
        size = path.stat().st_size
        return MediaFile(path, mime, "original", job.input.width_px, job.input.height_px, size)

    async def fit(self, job: Job, *, max_bytes: int) -> MediaFile:
        """The best form of the result within `max_bytes`; for a preview job, the comparison if it fits."""
        if previewed_job_id(job) and (beside := await self.compare(job)).bytes <= max_bytes:
            return dataclasses.replace(beside, shape="original")
        full = await self.original(job)
        if full.bytes <= max_bytes:
            return full

        fit = self._ctx.images.fit
        return await self._cached(job, f"fit-{max_bytes}", lambda out: fit(full.path, out.parent, max_bytes))

    async def converted(self, job: Job, *, saved_as: SavedAs, quality: int) -> MediaFile:
        """The full result in another format, subject to the requester's fair share; one per format is cached."""
        full = await self.original(job)
        if full.mime == MIME[saved_as] and (saved_as == "png" or quality >= 100):
            return full
        name = f"saved-{saved_as}-{quality}"

        async def make(out: Path) -> WrittenImage:
            for older in out.parent.glob(f"saved-{saved_as}-*"):
                older.unlink(missing_ok=True)
            return await self._ctx.images.convert(full.path, out, saved_as, quality)

        async with self._ctx.running.admission.pixels.slot(Share.of(job.requester)):
            return await self._cached(job, name, make)

    async def preview(self, job: Job, *, max_side_px: int, max_bytes: int, of: PictureOf = "result") -> MediaFile:
        full = await self._picture(job, of)
        make = partial(self._ctx.images.preview, full.path, max_side_px=max_side_px, max_bytes=max_bytes)
        name = "preview" if of == "result" else f"preview-{of}"
        return await self._cached(job, f"{name}-{max_side_px}-{max_bytes}", make)

    async def tiles(self, job: Job, *, of: PictureOf = "result") -> TileSet:
        """The image as tiles. The JSON file is written last, so an incomplete set is made again."""
        folder = self._ctx.files.folder(job.id)
        facts_file, out = folder / f"tiles-{of}.json", folder / f"tiles-{of}"
        async with self._ctx.running.lock(f"tiles-{of}:{job.id}"):  # slow, so it has a lock of its own
            if not facts_file.exists():
                full = await self._picture(job, of)
                levels, suffix = await self._ctx.images.tiles(full.path, out, tile_px=TILE_PX)
                facts_file.write_text(json.dumps({"halvings": levels - 1, "suffix": suffix}))
            cached = json.loads(facts_file.read_text())
        mime = "image/png" if cached["suffix"] == ".png" else "image/jpeg"
        return TileSet(out, mime, cached["suffix"], cached["halvings"])

    async def _picture(self, job: Job, of: PictureOf) -> MediaFile:
        return await (self.original(job) if of == "result" else self.source(job))

    async def compare(self, job: Job) -> MediaFile:
        before, after = await self.source(job), await self.original(job)
        return await self._cached(job, "compared", partial(self._ctx.images.compare, before.path, after.path))

    async def _cached(self, job: Job, name: str, make: Callable[[Path], Awaitable[WrittenImage]]) -> MediaFile:
        folder = self._ctx.files.folder(job.id)
        facts_file = folder / f"{name}.json"
        async with self._ctx.running.lock(f"media:{job.id}"):
            if facts_file.exists():
                facts = json.loads(facts_file.read_text())
                cached = MediaFile(path=folder / facts.pop("name"), **facts)
                if cached.path.exists():
                    return cached
            made = await make(folder / name)
            file = MediaFile(made.path, made.mime, made.kind, made.width_px, made.height_px, made.bytes, made.rows)
            facts = {k: v for k, v in dataclasses.asdict(file).items() if k != "path"}
            facts_file.write_text(json.dumps({"name": made.path.name, **facts}))
            return file


def _mime_of(path: Path) -> str:
    with path.open("rb") as file:
        return media_type_of(file.read(512))
