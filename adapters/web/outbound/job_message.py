"""The page's `Reply`. It does little, because the page follows the job's events and fetches the result itself."""

import contextlib

from adapters.web.outbound.image_routes import PREVIEW_MAX_BYTES, PREVIEW_SIDE_PX
from adapters.web.views.card import is_large
from core.domain.errors import UpscaleError
from core.domain.job import Delivery, Job
from core.domain.limits import LimitStatus
from core.images.renditions import JobMedia
from core.jobs.null_adapter import NullReply


class WebReply(NullReply):
    def __init__(self, media: JobMedia) -> None:
        super().__init__("page")
        self._media = media

    async def finished(self, job: Job, left: tuple[LimitStatus, ...]) -> Delivery:
        """Make the preview and tiles of a large picture now, so that nobody waits for them when viewing it."""
        result = job.result
        if result is not None and is_large(result.bytes, result.width_px, result.height_px):
            with contextlib.suppress(UpscaleError, OSError):  # reported when somebody views it
                await self._media.preview(job, max_side_px=PREVIEW_SIDE_PX, max_bytes=PREVIEW_MAX_BYTES)
                await self._media.tiles(job)
        return await super().finished(job, left)
