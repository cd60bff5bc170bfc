"""Waiting for a request: the status stream, polling that slows down behind it, and a webhook that ends the wait.

A connection carries a job's whole wait, so an ordinary job costs one request here. It must not judge the outcome
(`results` does) and never resubmits.
"""

import asyncio
import itertools
from collections.abc import AsyncGenerator, Callable
from contextlib import aclosing
from http import HTTPStatus

import aiohttp
import structlog
from yarl import URL

from core.domain.errors import ProviderUnavailable, RequestLost
from core.domain.models import MODELS, ModelSpec
from core.net.retry import Backoff, first_of
from core.ports import RemoteCompleted, RemoteStatus
from core.upscalers.fal.json_answer import Answer, EventLines, status_from
from core.upscalers.fal.submit import request_path
from core.upscalers.fal.transport import NETWORK_ERRORS, Transport, timeout_for

log = structlog.get_logger(__name__)

_PAUSES = Backoff(first_s=1.0, cap_s=16.0)
NOT_FOUND_LIMIT = 4
NOT_FOUND_S = 600.0
"""A request may be unknown for a moment, or while fal has a fault; always unknown for ten minutes, it is lost."""

STREAM_FAILURES = 3
POLLS_BETWEEN_STREAMS = 5
HEALTHY_STREAM_S = 30.0
"""A stream that lasted so long and then broke is opened again soon, however often."""


class WebhookArrived(Exception):
    """Ends a stream from outside: the webhook was quicker."""


class Watcher:
    """Watches requests, and knows those that a webhook may tell about."""

    def __init__(self, transport: Transport) -> None:
        self._transport = transport
        self._watches: set[_Watch] = set()

    def webhook_arrived(self, request_id: str) -> None:
        for watch in self._watches:
            if watch.request_id == request_id:
                watch.end()

    async def watch(self, request_id: str, model: ModelSpec = MODELS.default) -> AsyncGenerator[RemoteStatus, None]:
        watch = _Watch(self._transport, request_id, request_path(model, request_id))
        self._watches.add(watch)
        last: RemoteStatus | None = None
        try:
            async with aclosing(watch.statuses()) as statuses:
                async for status in statuses:
                    if status != last:
                        last = status
                        yield status
                    if isinstance(status, RemoteCompleted):
                        return
        finally:
            self._watches.discard(watch)


class _Watch:
    """One wait: what has gone wrong so far, and what to do next because of it."""

    def __init__(self, transport: Transport, request_id: str, path: str) -> None:
        self.request_id = request_id
        self._transport = transport
        self._config = transport.config
        self._clock = transport.clock
        self._path = path
        self._began_at = transport.clock.now()
        self._ended = asyncio.Event()
        self._end_stream: Callable[[], object] | None = None
        self._pauses = self._not_found = self._stream_failures = self._polls = 0
        self._asked_s: float | None = None
        self._silent_since: float | None = None
        self._unknown_since: float | None = None

    def end(self) -> None:
        """End the wait now: a webhook said that the request is over."""
        self._ended.set()
        if self._end_stream is not None:
            self._end_stream()

    async def statuses(self) -> AsyncGenerator[RemoteStatus, None]:
        """Statuses with repeats, until completed; `_note` and the watch's age bound the tries and the time."""
        for attempt in itertools.count():
            if attempt:
                await self._pause()
            if self._ended.is_set():
                yield RemoteCompleted()
                return
            heard = False
            # Right after the stream failed three times running it is not worth a try.
            if self._stream_failures < STREAM_FAILURES or self._polls >= POLLS_BETWEEN_STREAMS:
                async with aclosing(self._stream()) as statuses:
                    async for status in statuses:
                        heard = True
                        yield status
            # Where fal just said when to come back, the poll waits for that too.
            if not heard and self._asked_s is None and not self._ended.is_set():
                polled = await self._poll()
                if polled is not None:
                    yield polled
            if self._clock.now() - self._began_at > self._config.watch_limit_s:
                raise ProviderUnavailable

    async def _stream(self) -> AsyncGenerator[RemoteStatus, None]:
        """Statuses of one stream until it ends in whatever way; its failure is noted, not raised."""
        heard = False
        opened_at = self._clock.now()
        try:
            async with await self._open() as response:
                if response.status != HTTPStatus.OK:
                    log.info("fal_stream_refused", status=response.status)
                    # Not found may mean that there is no stream, so only the poll that follows may count it.
                    unknown = response.status == HTTPStatus.NOT_FOUND
                    self._note(Answer(0 if unknown else response.status, response.headers, b""))
                    return
                self._end_stream = lambda: response.content.set_exception(WebhookArrived())
                lines = EventLines()
                async for chunk in response.content.iter_any():
                    for status in lines.feed(chunk):
                        heard = True
                        self._heard()
                        self._stream_failures = self._polls = 0
                        yield status
        except WebhookArrived:
            return
        except NETWORK_ERRORS as error:
            log.info("fal_stream_broke", kind=type(error).__name__, heard=heard)
            self._note(None)
        finally:
            self._end_stream = None
            if not heard:
                self._stream_failures += 1
                self._polls = 0
            elif self._clock.now() - opened_at >= HEALTHY_STREAM_S:
                self._pauses = 0

    async def _open(self) -> aiohttp.ClientResponse:
        """Awaited, because what `get` returns would keep the whole request's frame until the response is closed."""
        url = self._url("/status/stream")
        return await self._transport.session.get(
            url,
            headers={"Accept": "text/event-stream", **self._transport.authorised(url, "api")},
            allow_redirects=False,
            timeout=timeout_for(self._config, total_s=self._config.watch_limit_s, silence_s=self._config.stream_idle_s),
        )

    def _url(self, what: str) -> URL:
        return self._transport.url("queue", self._path + what, {"logs": "1"})

    async def _poll(self) -> RemoteStatus | None:
        self._polls += 1
        try:
            answer = await self._transport.once_or_backup("GET", self._url("/status"))
        except NETWORK_ERRORS as error:
            log.info("fal_poll_failed", kind=type(error).__name__)
            self._note(None)
            return None
        status = status_from(answer.data()) if answer.ok else None
        if status is None:
            self._note(answer)
        else:
            self._heard()
        return status

    def _heard(self) -> None:
        self._not_found, self._silent_since, self._unknown_since = 0, None, None

    def _note(self, answer: Answer | None) -> None:
        """A call failed, with this answer or without any. Raises RequestLost or ProviderUnavailable."""
        now = self._clock.now()
        if self._silent_since is None:
            self._silent_since = now
        self._asked_s = answer.retry_after_s(now) if answer is not None else None
        if answer is not None and answer.status == HTTPStatus.NOT_FOUND:
            self._not_found += 1
            if self._unknown_since is None:
                self._unknown_since = now
            if self._not_found >= NOT_FOUND_LIMIT and now - self._unknown_since >= NOT_FOUND_S:
                raise RequestLost
        if now - self._silent_since > self._config.outage_limit_s:
            raise ProviderUnavailable

    async def _pause(self) -> None:
        """Sleep on the clock: 1, 2, 4 … 16 seconds with jitter or what Retry-After said, or until the wait is ended."""
        asked_s, self._asked_s = self._asked_s, None
        self._pauses += 1
        pause_s = max(_PAUSES.pause_s(self._pauses), asked_s or 0.0)
        await first_of(self._clock.sleep(pause_s), self._ended.wait())
