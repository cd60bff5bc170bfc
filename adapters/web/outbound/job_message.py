"""The page's `Reply`: nearly nothing, because the page follows the job's events itself and fetches the result."""

from __future__ import annotations

from core.domain.job import Delivery, Job, Progress
from core.domain.limits import LimitStatus
from core.presentation import Notice


class WebReply:
    """Says nothing anywhere: whoever looks at the page sees the job's own state."""

    async def ask(self, job: Job) -> None:
        """The page shows `job.quote` from the event."""

    async def progress(self, job: Job, progress: Progress) -> None:
        """The page shows it from the event."""

    async def finished(self, job: Job, left: tuple[LimitStatus, ...]) -> Delivery:
        """The file lies on this machine; the page fetches it when somebody looks."""
        return Delivery("page")

    async def failed(self, job: Job, notice: Notice) -> None:
        """The page shows the notice from the event."""
