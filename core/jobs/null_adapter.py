"""The adapter for jobs without a chat: those of the command line, and of a platform that is no longer configured.

Results are kept and appear in the history.
"""

import asyncio
from collections.abc import Callable, Sequence
from typing import Any

from core.domain.errors import DownloadFailed
from core.domain.job import Delivery, DeliveryKind, Job, ReplyAddress, Source
from core.domain.limits import LimitStatus
from core.ports import Download, Reply, ReplyState


async def _do_nothing(*_: Any) -> None:
    pass


class NullReply:
    ask = progress = failed = closed = _do_nothing

    def __init__(self, shape: DeliveryKind) -> None:
        self._shape = shape

    async def finished(self, job: Job, left: tuple[LimitStatus, ...]) -> Delivery:
        return Delivery(self._shape)

    async def reachable(self, job: Job) -> bool:
        return True


class NullAdapter:
    min_edit_interval_s = 0.0
    notify = _do_nothing

    def __init__(self, name: str = "silent", *, shape: DeliveryKind = "kept") -> None:
        self.name = name
        self._shape: DeliveryKind = shape

    async def serve(self, ready: Callable[[], None]) -> None:
        ready()
        await asyncio.Event().wait()

    def reply(self, address: ReplyAddress, state: ReplyState) -> Reply:
        return NullReply(self._shape)

    async def download(self, source: Source) -> Download:
        raise DownloadFailed(reason="gone")

    def routes(self) -> Sequence[Any]:
        return ()

    async def problem(self) -> str | None:
        return None
