"""Which shapes of a result to try for one place: full, lossless WebP, WebP/JPEG, preview with link, link alone.

The limits are read from the interaction; what Discord refuses all the same is made smaller.
"""

import re
from collections.abc import AsyncIterator
from dataclasses import dataclass

from core.domain.errors import DeliveryRefused
from core.domain.job import DeliveryKind, Job
from core.domain.media_types import suffix_for
from core.images.renditions import JobMedia
from core.ports import MediaFile
from core.presentation.job_texts import reached_factor

KIB, MIB = 1024, 1024 * 1024
REQUEST_MAX_BYTES = 25 * MIB - 64 * KIB
"""Discord takes 25 MiB per request ("maximum request size when sending a message", message page, read 2026-11-22),
boosted servers included; 64 KiB are left for the other parts of the request."""

PREVIEW_CEILING_PX = 9500 * 9500
PREVIEW_CEILING_BYTES = 73 * MIB
"""Above these no client shows a picture (observed, discord-api-docs thread 6392, read 2026-11-22)."""

PREVIEW_SIDE_PX = 4096
PREVIEW_BYTES = 4 * MIB
SMALLEST_TRY_BYTES = 16 * KIB
"""No copy is made for less than this; a picture that fits as it is goes through any limit."""

TRIES = 4
NAME_MAX_CHARS = 60
_REWRITTEN = re.compile(r"[^A-Za-z0-9._-]+")


@dataclass(frozen=True, slots=True)
class UploadSet:
    """Files for one attempt; `file` is the full picture when `picture` is only its preview."""

    shape: DeliveryKind
    picture: MediaFile | None = None
    file: MediaFile | None = None

    @property
    def bytes(self) -> int:
        return sum(part.bytes for part in (self.picture, self.file) if part is not None)


def file_name(job: Job, media: MediaFile, mark: str = "") -> str:
    """`harbour-2x.png`: the image's own name, in ASCII that Discord will not rewrite, so that `attachment://` finds it.

    `mark` says what else it is than the result.
    """
    stem = _REWRITTEN.sub("-", job.source.name.rsplit(".", 1)[0]).strip("-._")[:NAME_MAX_CHARS] or "image"
    return f"{stem}-{mark or f'{reached_factor(job):g}x'}{suffix_for(media.mime)}"


async def parcels(job: Job, media: JobMedia, *, limit_bytes: int) -> AsyncIterator[UploadSet]:
    """Parcels from best to least; take the next one when Discord says that the last was too large.

    Ends with the link alone. Raises ResultExpired when the picture is gone, DeliveryRefused without any way left.
    """
    budget = min(limit_bytes, REQUEST_MAX_BYTES)
    for _ in range(TRIES):
        if budget < SMALLEST_TRY_BYTES and (job.result is None or job.result.bytes > budget):
            break
        parcel = await _best(job, media, budget)
        if parcel.bytes <= budget:
            yield parcel
        budget = min(budget, parcel.bytes) // 2
    if job.result is None or not job.result.link:
        raise DeliveryRefused(reason="refused")
    yield UploadSet("link")


async def _best(job: Job, media: JobMedia, budget: int) -> UploadSet:
    if _shown_by_clients(job) or budget < 2 * PREVIEW_BYTES:
        fitting = await media.fit(job, max_bytes=budget)
        return UploadSet(fitting.shape, picture=fitting)
    full = await media.fit(job, max_bytes=budget - PREVIEW_BYTES)
    if full.shape == "preview" or full.width_px * full.height_px <= PREVIEW_CEILING_PX:
        return UploadSet(full.shape, picture=full)
    preview = await media.preview(job, max_side_px=PREVIEW_SIDE_PX, max_bytes=PREVIEW_BYTES)
    return UploadSet(full.shape, picture=preview, file=full)


def _shown_by_clients(job: Job) -> bool:
    result = job.result
    if result is None:
        return True
    return result.width_px * result.height_px <= PREVIEW_CEILING_PX and result.bytes <= PREVIEW_CEILING_BYTES
