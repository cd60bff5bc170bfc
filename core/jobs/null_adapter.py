"""The answer to jobs that nobody listens to: the command line's own, and those of a platform no longer configured.

Results are kept; whoever asked finds them in the history.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from typing import Any

from core.domain.errors import DownloadFailed
from core.domain.job import Delivery, DeliveryKind, Job, Progress, ReplyAddress, Source
from core.domain.limits import LimitStatus
from core.ports import Capabilities, Download, ReplyMemo
from core.presentation import Notice


class SilentReply:
    """Says nothing, anywhere."""

    def __init__(self, shape: DeliveryKind) -> None:
        self._shape = shape

    async def ask(self, job: Job) -> None:
        """Nothing."""

    async def progress(self, job: Job, progress: Progress) -> None:
        """Nothing."""

    async def finished(self, job: Job, left: tuple[LimitStatus, ...]) -> Delivery:
        """The file lies on this machine."""
        return Delivery(self._shape)

    async def failed(self, job: Job, notice: Notice) -> None:
        """Nothing."""

    async def closed(self, job: Job, notice: Notice) -> None:
        """Nothing."""

    async def reachable(self, job: Job) -> bool:
        """The file lies on this machine."""
        return True


class SilentAdapter:
    """`core.ports.ChatAdapter` without a platform."""

    capabilities = Capabilities(min_edit_interval_s=0)

    def __init__(self, name: str = "silent", *, shape: DeliveryKind = "kept") -> None:
        self.name = name
        self._shape: DeliveryKind = shape

    async def serve(self, ready: Callable[[], None]) -> None:
        """Wait to be cancelled."""
        ready()
        await asyncio.Event().wait()

    def reply(self, address: ReplyAddress, memo: ReplyMemo) -> SilentReply:
        """A reply that says nothing."""
        return SilentReply(self._shape)

    async def download(self, source: Source) -> Download:
        """There are no attachments without a platform."""
        raise DownloadFailed(reason="gone")

    async def notify(self, workspace_id: str, channel_id: str, notice: Notice) -> None:
        """Nothing."""

    def routes(self) -> Sequence[Any]:
        """None."""
        return ()

    async def problem(self) -> str | None:
        """Always well."""
        return None
