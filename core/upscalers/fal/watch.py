"""Waiting for a request: the status stream, polling that slows down behind it, and a webhook that ends the wait.

A connection carries a job's whole wait, so an ordinary job costs one request here. It must not judge the outcome
(`results` does) and never resubmits.
"""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import AsyncGenerator, Callable
from contextlib import aclosing
from dataclasses import dataclass, field
from http import HTTPStatus

import aiohttp
import structlog
from yarl import URL

from core.domain.errors import ProviderUnavailable, RequestLost
from core.domain.models import MODELS, ModelSpec
from core.net.retry import Backoff
from core.ports import Clock, RemoteCompleted, RemoteStatus
from core.upscalers.fal.answers import Answer
from core.upscalers.fal.config import FalConfig
from core.upscalers.fal.statuses import EventLines, status_from
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


@dataclass
class Arrival:
    """Where a webhook for one watched request knocks."""

    event: asyncio.Event = field(default_factory=asyncio.Event)
    interrupt: Callable[[], None] | None = None

    def fire(self) -> None:
        """End the wait now."""
        self.event.set()
        if self.interrupt is not None:
            self.interrupt()


@dataclass
class Trouble:
    """What has gone wrong so far, and what to do next because of it."""

    clock: Clock
    config: FalConfig
    began_at: float
    pauses: int = 0
    not_found: int = 0
    stream_failures: int = 0
    polls: int = 0
    asked_s: float | None = None
    since: float | None = None
    unknown_since: float | None = None

    def heard(self) -> None:
        """A proper status came in."""
        self.not_found, self.since, self.unknown_since = 0, None, None

    def note(self, status: int | None, retry_after_s: float | None = None) -> None:
        """A call failed: with this HTTP status, or without any answer. Raises RequestLost or ProviderUnavailable."""
        now = self.clock.now()
        self.since = self.since if self.since is not None else now
        self.asked_s = retry_after_s
        if status == HTTPStatus.NOT_FOUND:
            self.not_found += 1
            self.unknown_since = self.unknown_since if self.unknown_since is not None else now
            if self.not_found >= NOT_FOUND_LIMIT and now - self.unknown_since >= NOT_FOUND_S:
                raise RequestLost
        if now - self.since > self.config.outage_limit_s:
            raise ProviderUnavailable

    def check_age(self) -> None:
        """Raise ProviderUnavailable once this watch is older than any request can be."""
        if self.clock.now() - self.began_at > self.config.watch_limit_s:
            raise ProviderUnavailable

    def may_stream(self) -> bool:
        """Whether the stream is worth a try: not right after it failed three times running."""
        return self.stream_failures < STREAM_FAILURES or self.polls >= POLLS_BETWEEN_STREAMS

    def pause_s(self) -> float:
        """Seconds until the next call: 1, 2, 4 … 16 with jitter, or what Retry-After said."""
        asked_s, self.asked_s = self.asked_s, None
        self.pauses += 1
        own_s = _PAUSES.pause_s(self.pauses)
        return own_s if asked_s is None else max(own_s, asked_s)


class Watcher:
    """Watches requests. One instance for all; keeps only who waits for a webhook."""

    def __init__(self, transport: Transport) -> None:
        self._transport = transport
        self._arrivals: dict[str, Arrival] = {}

    def webhook_arrived(self, request_id: str) -> None:
        """End the wait of whoever watches this request in this process."""
        if (arrival := self._arrivals.get(request_id)) is not None:
            arrival.fire()

    async def watch(self, request_id: str, model: ModelSpec = MODELS.default) -> AsyncGenerator[RemoteStatus, None]:
        """See `core.ports.Upscaler.watch`."""
        clock = self._transport.clock
        trouble = Trouble(clock, self._transport.config, clock.now())
        arrival = self._arrivals.setdefault(request_id, Arrival())
        last: RemoteStatus | None = None
        try:
            async with aclosing(self._statuses(request_path(model, request_id), trouble, arrival)) as statuses:
                async for status in statuses:
                    if status != last:
                        last = status
                        yield status
                    if isinstance(status, RemoteCompleted):
                        return
        finally:
            if self._arrivals.get(request_id) is arrival:
                del self._arrivals[request_id]

    async def _statuses(self, path: str, trouble: Trouble, arrival: Arrival) -> AsyncGenerator[RemoteStatus, None]:
        """Statuses with repeats, until completed; `Trouble` bounds the tries and the time."""
        for attempt in itertools.count():
            if attempt:
                await self._pause(trouble, arrival)
            if arrival.event.is_set():
                yield RemoteCompleted()
                return
            heard = False
            if trouble.may_stream():
                async with aclosing(self._stream(path, trouble, arrival)) as statuses:
                    async for status in statuses:
                        heard = True
                        yield status
            # Where fal just said when to come back, the poll waits for that too.
            if not heard and trouble.asked_s is None and not arrival.event.is_set():
                polled = await self._poll(path, trouble)
                if polled is not None:
                    yield polled
            trouble.check_age()

    async def _stream(self, path: str, trouble: Trouble, arrival: Arrival) -> AsyncGenerator[RemoteStatus, None]:
        """Statuses of one stream until it ends in whatever way; its failure is noted, not raised."""
        heard = False
        opened_at = self._transport.clock.now()
        try:
            async with self._open(path) as response:
                if response.status != HTTPStatus.OK:
                    self._refused(response, trouble)
                    return
                arrival.interrupt = lambda: response.content.set_exception(WebhookArrived())
                lines = EventLines()
                async for chunk in response.content.iter_any():
                    for status in lines.feed(chunk):
                        heard = True
                        trouble.heard()
                        trouble.stream_failures = trouble.polls = 0
                        yield status
        except WebhookArrived:
            return
        except NETWORK_ERRORS as error:
            log.info("fal_stream_broke", kind=type(error).__name__, heard=heard)
            trouble.note(None)
        finally:
            arrival.interrupt = None
            if not heard:
                trouble.stream_failures += 1
                trouble.polls = 0
            elif self._transport.clock.now() - opened_at >= HEALTHY_STREAM_S:
                trouble.pauses = 0

    def _open(self, path: str) -> aiohttp.client._RequestContextManager:
        url = self._url(path, "/status/stream")
        config = self._transport.config
        return self._transport.session.get(
            url,
            headers={"Accept": "text/event-stream", **self._transport.authorised(url, "api")},
            allow_redirects=False,
            timeout=timeout_for(config, total_s=config.watch_limit_s, silence_s=config.stream_idle_s),
        )

    def _url(self, path: str, what: str) -> URL:
        return self._transport.url("queue", path + what, {"logs": "1"})

    def _refused(self, response: aiohttp.ClientResponse, trouble: Trouble) -> None:
        log.info("fal_stream_refused", status=response.status)
        # Not found may mean that there is no stream, so only the poll that follows may count it.
        status = None if response.status == HTTPStatus.NOT_FOUND else response.status
        answer = Answer(response.status, response.headers, b"")
        trouble.note(status, answer.retry_after_s(self._transport.clock.now()))

    async def _poll(self, path: str, trouble: Trouble) -> RemoteStatus | None:
        trouble.polls += 1
        try:
            answer = await self._transport.once_or_backup("GET", self._url(path, "/status"))
        except NETWORK_ERRORS as error:
            log.info("fal_poll_failed", kind=type(error).__name__)
            trouble.note(None)
            return None
        status = status_from(answer.data()) if answer.ok else None
        if status is None:
            trouble.note(answer.status, answer.retry_after_s(self._transport.clock.now()))
        else:
            trouble.heard()
        return status

    async def _pause(self, trouble: Trouble, arrival: Arrival) -> None:
        """Sleep on the clock, or less when the webhook arrives."""
        sleeping = asyncio.ensure_future(self._transport.clock.sleep(trouble.pause_s()))
        knocking = asyncio.ensure_future(arrival.event.wait())
        try:
            await asyncio.wait({sleeping, knocking}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            sleeping.cancel()
            knocking.cancel()
            await asyncio.gather(sleeping, knocking, return_exceptions=True)
