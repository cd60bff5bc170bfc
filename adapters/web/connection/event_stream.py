"""Server-sent events of one job, or of many jobs in one stream.

Every event carries a snapshot of the job, so a client that missed some is up to date with the next. A stream ends
after the terminal events, at shutdown, or after an hour; the browser then reconnects with `Last-Event-ID`.
"""

import asyncio
import json
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from typing import Any

import structlog
from aiohttp import web

from adapters.web.connection.security import Denied, harden
from core.domain.events import JobEvent
from core.net.turns import Turns

log = structlog.get_logger(__name__)

KEEP_ALIVE_S = 15.0
MAX_STREAM_S = 3_600.0
MAX_STREAMS = 400
MAX_JOBS_PER_STREAM = 64
MAX_WATCHED_JOBS = 1_000
"""Over all streams: the row of each watched job is read every two seconds while it has no event."""
_QUEUE_SIZE = 256

Watch = Callable[[str, int], AsyncIterator[JobEvent]]
Encode = Callable[[JobEvent, web.Request], Awaitable[dict[str, Any]]]


class EventStreams:
    def __init__(self, watch: Watch, encode: Encode) -> None:
        self._watch = watch
        self._encode = encode
        self._closing = asyncio.Event()
        self._open = 0
        self._watched_jobs = 0
        self._turns = Turns()

    def close(self) -> None:
        self._closing.set()

    async def serve(self, request: web.Request, job_ids: Sequence[str], after: int) -> web.StreamResponse:
        """Stream the events of these jobs that are newer than `after`, until all jobs have ended."""
        if self._open >= MAX_STREAMS or self._watched_jobs + len(job_ids) > MAX_WATCHED_JOBS:
            raise Denied(503, "busy", "Too many jobs are followed at once. Try again in a few seconds.", 5)
        response = web.StreamResponse(
            headers={
                "Content-Type": "text/event-stream",
                "Cache-Control": "no-store",
                "X-Accel-Buffering": "no",
            }
        )
        harden(response)
        self._open += 1
        self._watched_jobs += len(job_ids)
        try:
            await response.prepare(request)
            await response.write(b"retry: 2000\n\n")
            await self._pump(request, response, job_ids, after)
            await response.write_eof()
        except ConnectionResetError:
            return response  # the client disconnected, as most do
        finally:
            self._open -= 1
            self._watched_jobs -= len(job_ids)
        return response

    async def _pump(
        self, request: web.Request, response: web.StreamResponse, job_ids: Sequence[str], after: int
    ) -> None:
        queue: asyncio.Queue[JobEvent | None] = asyncio.Queue(_QUEUE_SIZE)
        tasks = [asyncio.create_task(self._read(job_id, after, queue)) for job_id in job_ids]
        tasks.append(asyncio.create_task(self._end(queue)))
        ends_at = time.monotonic() + MAX_STREAM_S
        left = len(job_ids)
        try:
            while left and time.monotonic() < ends_at and not self._closing.is_set():
                try:
                    async with asyncio.timeout(KEEP_ALIVE_S):
                        event = await queue.get()
                except TimeoutError:
                    await response.write(b": keep-alive\n\n")
                    continue
                if event is None:
                    left -= 1
                else:
                    await self._turns.wait(event.job.id)  # so that all streams of a job send its event together
                    await response.write(await self._frame(event, request))
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    async def _end(self, queue: asyncio.Queue[JobEvent | None]) -> None:
        """Wake the stream at shutdown."""
        await self._closing.wait()
        await queue.put(None)

    async def _read(self, job_id: str, after: int, queue: asyncio.Queue[JobEvent | None]) -> None:
        """Put one job's events into the queue, and None after the last, even if watching fails."""
        try:
            async for event in self._watch(job_id, after):
                await queue.put(event)
                if event.job.state.terminal:
                    break
        except Exception:
            log.exception("event_stream_broke", job=job_id)
        await queue.put(None)

    async def _frame(self, event: JobEvent, request: web.Request) -> bytes:
        data = json.dumps(await self._encode(event, request), separators=(",", ":"), ensure_ascii=False)
        return f"id: {event.id}\ndata: {data}\n\n".encode()


def last_event_id(header: str | None) -> int:
    """`Last-Event-ID` as a number; 0 for one that is not ours."""
    return int(header) if header and header.isascii() and header.isdigit() and len(header) < 20 else 0
