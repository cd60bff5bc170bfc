"""Waits for a request by its status stream, with polling with backoff as fallback; a webhook ends the wait early.

One connection lasts for a job's whole wait, so an ordinary job costs one request here. The outcome is read by
`results`; nothing here submits again.
"""

import asyncio
import itertools
from collections.abc import AsyncGenerator, Coroutine
from contextlib import aclosing
from http import HTTPStatus
from typing import Any, TypeVar

import aiohttp
import structlog
from yarl import URL

from core.domain.errors import ProviderUnavailable, RequestLost
from core.domain.models import MODELS, ModelSpec
from core.net.retry import Backoff, Flag, first_of
from core.ports import RemoteCompleted, RemoteStatus, RemoteUnanswered
from core.upscalers.fal.json_answer import Answer, EventLines, status_from
from core.upscalers.fal.submit import request_path
from core.upscalers.fal.transport import NETWORK_ERRORS, Transport, timeout_for

log = structlog.get_logger(__name__)

T = TypeVar("T")

_PAUSES = Backoff(first_s=1.0, cap_s=16.0)
NOT_FOUND_LIMIT = 4
NOT_FOUND_S = 600.0
"""A request may be not found for a moment, or during an outage; after ten minutes of that it is lost."""

UNANSWERED_S = 30.0
STREAM_FAILURES = 3
POLLS_BETWEEN_STREAMS = 5
HEALTHY_STREAM_S = 30.0
"""A stream that broke after this time is reopened without a longer backoff."""


class WebhookArrived(Exception):
    """Ends a stream because the webhook arrived first."""


class Watcher:
    """Watches requests, and routes webhooks to their watches."""

    def __init__(self, transport: Transport) -> None:
        self._transport = transport
        self._watches: set[_Watch] = set()

    def webhook_arrived(self, request_id: str) -> None:
        for watch in self._watches:
            if watch.request_id == request_id:
                watch.end()

    def watch(self, request_id: str, model: ModelSpec = MODELS.default) -> AsyncGenerator[RemoteStatus, None]:
        return _Watch(self._transport, request_id, request_path(model, request_id)).statuses(self._watches)


class _Watch:
    """One wait: its failures so far, and what they mean for the next attempt."""

    def __init__(self, transport: Transport, request_id: str, path: str) -> None:
        self.request_id = request_id
        self._transport = transport
        self._config = transport.config
        self._clock = transport.clock
        self._path = path
        self._began_at = transport.clock.now()
        self._ended = Flag()
        self._response: aiohttp.ClientResponse | None = None
        self._pauses = self._not_found = self._stream_failures = self._polls = 0
        self._retry_after_s: float | None = None
        self._last: RemoteStatus | None = None
        self._unreachable_since: float | None = None
        self._not_found_since: float | None = None

    def end(self) -> None:
        self._ended.set()
        if self._response is not None:
            self._response.content.set_exception(WebhookArrived())

    async def statuses(self, watches: "set[_Watch]") -> AsyncGenerator[RemoteStatus, None]:
        """Yield new statuses until completed, listed in `watches`. Bounded by `_record_failure` and the watch's age."""
        watches.add(self)
        try:
            for attempt in itertools.count():
                if attempt:
                    await self._pause()
                if self._ended.done():
                    yield RemoteCompleted()
                    return
                heard = False
                # After three failed streams in a row, only every few polls tries one again.
                if self._stream_failures < STREAM_FAILURES or self._polls >= POLLS_BETWEEN_STREAMS:
                    async with aclosing(self._stream()) as statuses:
                        async for status in statuses:
                            heard = True
                            if self._is_new(status):
                                yield status
                # If fal just sent Retry-After, the poll waits for that too.
                if not heard and self._retry_after_s is None and not self._ended.done():
                    polled = await self._poll()
                    if polled is not None and self._is_new(polled):
                        yield polled
                if isinstance(self._last, RemoteCompleted):
                    return
                now = self._clock.now()
                if now - self._began_at > self._config.watch_limit_s:
                    raise ProviderUnavailable
                unanswered = self._unreachable_since is not None and now - self._unreachable_since > UNANSWERED_S
                if unanswered and self._is_new(RemoteUnanswered()):
                    yield RemoteUnanswered()
        finally:
            watches.discard(self)

    def _is_new(self, status: RemoteStatus) -> bool:
        last, self._last = self._last, status
        return status != last

    async def _stream(self) -> AsyncGenerator[RemoteStatus, None]:
        """Yield the statuses of one stream until it ends; its failure is recorded, not raised."""
        heard = False
        opened_at = self._clock.now()
        try:
            async with await self._unless_ended(self._open()) as response:
                if response.status != HTTPStatus.OK:
                    log.info("fal_stream_refused", status=response.status)
                    # 404 may mean that there is no stream endpoint, so only the following poll counts it.
                    unknown = response.status == HTTPStatus.NOT_FOUND
                    self._record_failure(Answer(0 if unknown else response.status, response.headers, b""))
                    return
                self._response = response
                lines = EventLines()
                async for chunk in response.content.iter_any():
                    for status in lines.feed(chunk):
                        heard = True
                        self._record_answer()
                        self._stream_failures = self._polls = 0
                        yield status
                        if isinstance(status, RemoteCompleted):
                            return
        except WebhookArrived:
            return
        except NETWORK_ERRORS as error:
            log.info("fal_stream_broke", kind=type(error).__name__, heard=heard)
            self._record_failure(None)
        finally:
            self._response = None
            if not heard:
                self._stream_failures += 1
                self._polls = 0
            elif self._clock.now() - opened_at >= HEALTHY_STREAM_S:
                self._pauses = 0

    async def _unless_ended(self, call: Coroutine[Any, Any, T]) -> T:
        """Await a call. Raises WebhookArrived if that comes first: a call may be without an answer for a minute."""
        task = asyncio.ensure_future(call)
        try:
            await first_of(task, self._ended)
            if self._ended.done():
                raise WebhookArrived
            return task.result()
        finally:
            task.cancel()

    async def _open(self) -> aiohttp.ClientResponse:
        """Await the response here, because the context manager of `get` would keep its frame until the close."""
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
            answer = await self._unless_ended(self._transport.once_or_backup("GET", self._url("/status")))
        except WebhookArrived:
            return None
        except NETWORK_ERRORS as error:
            log.info("fal_poll_failed", kind=type(error).__name__)
            self._record_failure(None)
            return None
        status = status_from(answer.data()) if answer.ok else None
        if status is None:
            self._record_failure(answer)
        else:
            self._record_answer()
        return status

    def _record_answer(self) -> None:
        self._not_found, self._unreachable_since, self._not_found_since = 0, None, None

    def _record_failure(self, answer: Answer | None) -> None:
        """Record a failed call and its response, if any. Raises RequestLost or ProviderUnavailable past the limits."""
        now = self._clock.now()
        if self._unreachable_since is None:
            self._unreachable_since = now
        self._retry_after_s = answer.retry_after_s(now) if answer is not None else None
        if answer is not None and answer.status == HTTPStatus.NOT_FOUND:
            self._not_found += 1
            if self._not_found_since is None:
                self._not_found_since = now
            if self._not_found >= NOT_FOUND_LIMIT and now - self._not_found_since >= NOT_FOUND_S:
                raise RequestLost
        if now - self._unreachable_since > self._config.outage_limit_s:
            raise ProviderUnavailable

    async def _pause(self) -> None:
        """Sleep for 1, 2, 4 … 16 seconds with jitter, or longer if Retry-After said so, or until the wait ends."""
        asked_s, self._retry_after_s = self._retry_after_s, None
        self._pauses += 1
        pause_s = max(_PAUSES.pause_s(self._pauses), asked_s or 0.0)
        await first_of(self._clock.sleep(pause_s), self._ended)
