"""Results in the shapes that platforms ask for, as small real pictures."""

import io
from dataclasses import dataclass, field, replace
from pathlib import Path

import aiohttp
from PIL import Image

from core.domain.errors import ResultExpired
from core.domain.job import DeliveryKind, Job
from core.domain.media_types import SavedAs
from core.ports import MediaFile, PictureOf, TileSet


def png(width: int = 64, height: int = 48, colour: str = "teal", mode: str = "RGB") -> bytes:
    out = io.BytesIO()
    Image.new(mode, (width, height), colour).save(out, "PNG")
    return out.getvalue()


def image_form(data: bytes, name: str = "a.png", **fields: str) -> aiohttp.FormData:
    """A multipart body with a picture and text fields."""
    body = aiohttp.FormData(quote_fields=False)
    for key, value in fields.items():
        body.add_field(key, value)
    body.add_field("image", io.BytesIO(data), filename=name, content_type="image/png")
    return body


@dataclass
class FakeMedia:
    """Shapes of a result by size alone: original, then WebP at a third, then a preview at 64 KiB.

    The files are padded to the size that the test asks for; `px` is what they are said to measure.
    """

    directory: Path
    picture: bytes = field(default_factory=lambda: png(128, 96, "darkorange"))
    original_bytes: int | None = None
    px: tuple[int, int] = (128, 96)
    asked: list[int] = field(default_factory=list)

    def _file(self, job: Job, shape: DeliveryKind, size: int | None, suffix: str, mime: str) -> MediaFile:
        path = self.directory / f"{job.id}-{shape}-{size}.{suffix}"
        data = self.picture
        if size is not None and size > len(data):
            data = data + b"\0" * (size - len(data))
        path.write_bytes(data)
        return MediaFile(path, mime, shape, *self.px, len(data))

    async def original(self, job: Job) -> MediaFile:
        return self._file(job, "original", self.original_bytes, "png", "image/png")

    async def source(self, job: Job) -> MediaFile:
        return self._file(job, "original", None, "png", "image/png")

    async def fit(self, job: Job, *, max_bytes: int) -> MediaFile:
        self.asked.append(max_bytes)
        whole = await self.original(job)
        if whole.bytes <= max_bytes:
            return whole
        if whole.bytes // 3 <= max_bytes:
            return self._file(job, "lossless_webp", whole.bytes // 3, "webp", "image/webp")
        return self._file(job, "preview", min(max_bytes, 65_536), "jpg", "image/jpeg")

    async def preview(self, job: Job, *, max_side_px: int, max_bytes: int, of: PictureOf = "result") -> MediaFile:
        made = self._file(job, "preview", min(max_bytes, 65_536), "jpg", "image/jpeg")
        return replace(made, width_px=max_side_px, height_px=max_side_px)

    async def tiles(self, job: Job, *, of: PictureOf = "result") -> TileSet:
        raise ResultExpired

    async def converted(self, job: Job, *, saved_as: SavedAs, quality: int) -> MediaFile:
        raise ResultExpired

    async def compare(self, job: Job) -> MediaFile:
        return self._file(job, "original", None, "png", "image/png")
