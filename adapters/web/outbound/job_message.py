"""The page's `Reply`: nearly nothing, because the page follows the job's events itself and fetches the result."""

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
        """The file lies on this machine; the page fetches it when somebody looks. What is too large to be loaded whole
        is reduced now, so that looking does not begin with waiting.
        """
        result = job.result
        if result is not None and is_large(result.bytes, result.width_px, result.height_px):
            with contextlib.suppress(UpscaleError, OSError):  # whoever looks is told then
                await self._media.preview(job, max_side_px=PREVIEW_SIDE_PX, max_bytes=PREVIEW_MAX_BYTES)
                await self._media.tiles(job)
        return await super().finished(job, left)
