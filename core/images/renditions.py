"""Pictures of finished jobs in the shapes that platforms need, made once and kept beside the result.

Implements `core.ports.Media`. Same question, same file: a delivery that is tried again costs no second encoding.
"""

from __future__ import annotations

import asyncio
import dataclasses
import json
from collections.abc import Awaitable, Callable
from pathlib import Path

from core.domain.errors import ResultExpired
from core.domain.job import DeliveryKind, Job
from core.domain.media_types import media_type_of
from core.images.service import ImageShop
from core.jobs.context import Tools
from core.jobs.steps.prepare import ensure_input, ensure_result
from core.ports import MediaFile


class JobMedia:
    """Shapes of results, from the job's folder."""

    def __init__(self, tools: Tools) -> None:
        self._tools = tools
        self._locks: dict[str, asyncio.Lock] = {}

    @property
    def _images(self) -> ImageShop:
        return self._tools.images

    async def original(self, job: Job) -> MediaFile:
        """The full result; fetched again from the provider if this machine does not have it."""
        if job.result is None:
            raise ResultExpired
        path = await ensure_result(self._tools, job)
        r = job.result
        return MediaFile(path, r.mime, "original", r.width_px, r.height_px, path.stat().st_size)

    async def source(self, job: Job) -> MediaFile:
        """The upright picture as the model got it."""
        if job.input is None or job.images_deleted:
            raise ResultExpired
        await ensure_input(self._tools, job)
        path = self._tools.files.input(job.id)
        mime = await asyncio.to_thread(_mime_of, path)
        size = path.stat().st_size
        return MediaFile(path, mime, "original", job.input.width_px, job.input.height_px, size)

    async def fit(self, job: Job, *, max_bytes: int) -> MediaFile:
        """The best shape of the result within `max_bytes`."""
        full = await self.original(job)
        if full.bytes <= max_bytes:
            return full

        async def make(_: Path) -> MediaFile:
            folder = self._tools.files.folder(job.id)
            made = await self._images.fit(full.path, folder, max_bytes)
            return MediaFile(made.path, made.mime, made.kind, made.width_px, made.height_px, made.bytes)

        return await self._kept(job, f"fit-{max_bytes}", make)

    async def preview(self, job: Job, *, max_side_px: int, max_bytes: int) -> MediaFile:
        """A reduced picture of the result."""
        full = await self.original(job)

        async def make(out: Path) -> MediaFile:
            made = await self._images.preview(full.path, out, max_side_px=max_side_px, max_bytes=max_bytes)
            return _file(made.path, made.mime, "preview", made.width_px, made.height_px)

        return await self._kept(job, f"preview-{max_side_px}-{max_bytes}", make)

    async def compare(self, job: Job) -> MediaFile:
        """Before and after of the most detailed region."""
        before, after = await self.source(job), await self.original(job)

        async def make(out: Path) -> MediaFile:
            made = await self._images.compare(before.path, after.path, out)
            return _file(made.path, made.mime, "preview", made.width_px, made.height_px)

        return await self._kept(job, "compare", make)

    async def _kept(self, job: Job, name: str, make: Callable[[Path], Awaitable[MediaFile]]) -> MediaFile:
        """The file made earlier under this name, else made now; one maker at a time per job."""
        folder = self._tools.files.folder(job.id)
        note = folder / f"{name}.json"
        lock = self._locks.setdefault(job.id, asyncio.Lock())
        try:
            async with lock:
                if note.exists():
                    facts = json.loads(note.read_text())
                    known = MediaFile(path=folder / facts.pop("name"), **facts)
                    if known.path.exists():
                        return known
                made = await make(folder / name)
                facts = {k: v for k, v in dataclasses.asdict(made).items() if k != "path"}
                note.write_text(json.dumps({"name": made.path.name, **facts}))
                return made
        finally:
            if not lock.locked():
                self._locks.pop(job.id, None)


def _file(path: Path, mime: str, shape: DeliveryKind, width_px: int, height_px: int) -> MediaFile:
    return MediaFile(path, mime, shape, width_px, height_px, path.stat().st_size)


def _mime_of(path: Path) -> str:
    with path.open("rb") as file:
        return media_type_of(file.read(512))
