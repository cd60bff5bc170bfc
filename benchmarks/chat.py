"""A chat platform for measuring: the thinnest adapter that does what the real ones do, against `benchmarks.outside`.

Edits are posted, the finished picture is streamed from disk as a multipart upload. Attachments are fetched from it.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence

import aiohttp
from aiohttp import web

from core.domain.job import Delivery, Job, Progress, ReplyAddress, Source
from core.domain.limits import LimitStatus
from core.jobs.steps import JobContext
from core.ports import Download, ReplyState
from core.presentation import Notice


class BenchAdapter:
    """`core.ports.ChatAdapter`. Needs `start` inside the loop."""

    name = "bench"
    min_edit_interval_s = 2.0

    def __init__(self, chat_url: str, ctx: JobContext) -> None:
        self.url = chat_url
        self.ctx = ctx

    async def start(self) -> None:
        self.http = aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=100))

    async def close(self) -> None:
        await self.http.close()

    async def serve(self, ready: Callable[[], None]) -> None:
        ready()
        await asyncio.Event().wait()

    def reply(self, address: ReplyAddress, state: ReplyState) -> BenchReply:
        return BenchReply(self, str(address.data["message"]))

    async def download(self, source: Source) -> Download:
        return Download(source.url, hosts=(source.url.split("/")[2],))

    async def notify(self, workspace_id: str, channel_id: str, notice: Notice) -> None:
        """Nothing."""

    def routes(self) -> Sequence[web.AbstractRouteDef]:
        return ()

    async def problem(self) -> str | None:
        return None


class BenchReply:
    """One message."""

    def __init__(self, adapter: BenchAdapter, message: str) -> None:
        self._adapter = adapter
        self._message = message

    async def _edit(self, text: str) -> None:
        url = f"{self._adapter.url}/messages/{self._message}"
        async with self._adapter.http.post(url, json={"text": text}) as response:
            response.raise_for_status()

    async def ask(self, job: Job) -> None:
        await self._edit("ask")

    async def progress(self, job: Job, progress: Progress) -> None:
        await self._edit(progress.stage)

    async def finished(self, job: Job, left: tuple[LimitStatus, ...]) -> Delivery:
        assert job.result is not None
        path = self._adapter.ctx.files.absolute(job.result.path)
        with path.open("rb") as file:
            form = aiohttp.FormData()
            form.add_field("file", file, filename="upscaled.png", content_type="image/png")
            url = f"{self._adapter.url}/messages/{self._message}/file"
            async with self._adapter.http.post(url, data=form) as response:
                response.raise_for_status()
        return Delivery("original")

    async def failed(self, job: Job, notice: Notice) -> None:
        await self._edit(notice.text)

    async def closed(self, job: Job, notice: Notice) -> None:
        await self._edit(notice.text)

    async def reachable(self, job: Job) -> bool:
        return True
