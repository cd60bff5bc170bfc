"""Pictures of finished jobs in the shapes that platforms need, made once and kept beside the result.

Same question, same file: a delivery that is tried again costs no second encoding.
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
        """The full result; fetched again from the provider if this machine does not have it. Raises ResultExpired."""
        if job.result is None:
            raise ResultExpired
        path = await ensure_result(self._ctx, job)
        r = job.result
        return MediaFile(path, r.mime, "original", r.width_px, r.height_px, path.stat().st_size)

    async def source(self, job: Job) -> MediaFile:
        """The upright picture that went into the job, as the model got it. Raises ResultExpired where it is gone."""
        if job.input is None or job.images_deleted:
            raise ResultExpired
        await ensure_input(self._ctx, job)
        path = self._ctx.files.input(job.id)
        mime = await asyncio.to_thread(_mime_of, path)
        size = path.stat().st_size
        return MediaFile(path, mime, "original", job.input.width_px, job.input.height_px, size)

    async def fit(self, job: Job, *, max_bytes: int) -> MediaFile:
        """The best shape of the result within `max_bytes`; a look at a part is shown beside the original, at 100 %."""
        if previewed_job_id(job) and (beside := await self.compare(job)).bytes <= max_bytes:
            return dataclasses.replace(beside, shape="original")
        full = await self.original(job)
        if full.bytes <= max_bytes:
            return full

        fit = self._ctx.images.fit
        return await self._kept(job, f"fit-{max_bytes}", lambda out: fit(full.path, out.parent, max_bytes))

    async def converted(self, job: Job, *, saved_as: SavedAs, quality: int) -> MediaFile:
        """The full result in another format, made in the requester's turn; of each format the newest is kept."""
        full = await self.original(job)
        if full.mime == MIME[saved_as] and (saved_as == "png" or quality >= 100):
            return full
        name = f"saved-{saved_as}-{quality}"

        async def make(out: Path) -> WrittenImage:
            for older in out.parent.glob(f"saved-{saved_as}-*"):
                older.unlink(missing_ok=True)
            return await self._ctx.images.convert(full.path, out, saved_as, quality)

        async with self._ctx.running.admission.pixels.slot(Share.of(job.requester)):
            return await self._kept(job, name, make)

    async def preview(self, job: Job, *, max_side_px: int, max_bytes: int, of: PictureOf = "result") -> MediaFile:
        full = await self._picture(job, of)

        make = partial(self._ctx.images.preview, full.path, max_side_px=max_side_px, max_bytes=max_bytes)
        name = "preview" if of == "result" else f"preview-{of}"
        return await self._kept(job, f"{name}-{max_side_px}-{max_bytes}", make)

    async def tiles(self, job: Job, *, of: PictureOf = "result") -> TileSet:
        """The picture in tiles. The set's note is written last, so a set that was cut short is cut again."""
        folder = self._ctx.files.folder(job.id)
        note, out = folder / f"tiles-{of}.json", folder / f"tiles-{of}"
        async with self._ctx.running.lock(f"tiles-{of}:{job.id}"):  # the longest: they hold up nothing but themselves
            if not note.exists():
                full = await self._picture(job, of)
                levels, suffix = await self._ctx.images.tiles(full.path, out, tile_px=TILE_PX)
                note.write_text(json.dumps({"halvings": levels - 1, "suffix": suffix}))
            known = json.loads(note.read_text())
        mime = "image/png" if known["suffix"] == ".png" else "image/jpeg"
        return TileSet(out, mime, known["suffix"], known["halvings"])

    async def _picture(self, job: Job, of: PictureOf) -> MediaFile:
        return await (self.original(job) if of == "result" else self.source(job))

    async def compare(self, job: Job) -> MediaFile:
        before, after = await self.source(job), await self.original(job)

        return await self._kept(job, "compared", partial(self._ctx.images.compare, before.path, after.path))

    async def _kept(self, job: Job, name: str, make: Callable[[Path], Awaitable[WrittenImage]]) -> MediaFile:
        """The file made earlier under this name, else made now."""
        folder = self._ctx.files.folder(job.id)
        note = folder / f"{name}.json"
        async with self._ctx.running.lock(f"media:{job.id}"):
            if note.exists():
                facts = json.loads(note.read_text())
                known = MediaFile(path=folder / facts.pop("name"), **facts)
                if known.path.exists():
                    return known
            made = await make(folder / name)
            file = MediaFile(made.path, made.mime, made.kind, made.width_px, made.height_px, made.bytes, made.rows)
            facts = {k: v for k, v in dataclasses.asdict(file).items() if k != "path"}
            note.write_text(json.dumps({"name": made.path.name, **facts}))
            return file


def _mime_of(path: Path) -> str:
    with path.open("rb") as file:
        return media_type_of(file.read(512))
