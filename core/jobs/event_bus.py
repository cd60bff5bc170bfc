"""Job events inside this process: published by the pipeline, followed by the page, the terminal and tests.

Events are bounded in memory: the newest few per job, dropped a minute after the terminal one. Whoever comes later,
or follows a job that another process runs, is served from the stored snapshot (`core.jobs.service.watch`).
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncIterator

from core.domain.events import Cancelled, Failed, Finished, JobEvent, PriceAsked, Progressed
from core.domain.job import Job, JobState, Progress
from core.ports import Clock

_KEPT_EVENTS = 64
_KEPT_JOBS = 2_000


class EventBus:
    """Publish and follow."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._events: dict[str, deque[JobEvent]] = {}
        self._changed: dict[str, asyncio.Event] = {}

    def publish(self, job: Job) -> JobEvent:
        """The event for this snapshot, given to everybody who follows the job."""
        log = self._events.setdefault(job.id, deque(maxlen=_KEPT_EVENTS))
        event = event_of(job, self.next_id(job.id))
        log.append(event)
        changed = self._changed.pop(job.id, None)
        if changed is not None:
            changed.set()
        self._forget_oldest()
        return event

    def next_id(self, job_id: str) -> int:
        """Milliseconds of unix time, or one more than the job's last id."""
        log = self._events.get(job_id)
        last = log[-1].id if log else 0
        return max(last + 1, int(self._clock.now() * 1000))

    def recent(self, job_id: str, after: int) -> list[JobEvent]:
        """The kept events newer than `after`, oldest first."""
        return [event for event in self._events.get(job_id, ()) if event.id > after]

    async def wait(self, job_id: str, timeout_s: float) -> None:
        """Return when the job has a new event, or after `timeout_s`."""
        changed = self._changed.setdefault(job_id, asyncio.Event())
        try:
            async with asyncio.timeout(timeout_s):
                await changed.wait()
        except TimeoutError:
            return

    async def follow(self, job_id: str, after: int, *, idle_s: float) -> AsyncIterator[JobEvent | None]:
        """Events as they come; None after each `idle_s` without one. Endless: the caller stops at the terminal one."""
        while True:
            events = self.recent(job_id, after)
            for event in events:
                after = event.id
                yield event
            if not events:
                await self.wait(job_id, idle_s)
                if not self.recent(job_id, after):
                    yield None

    def _forget_oldest(self) -> None:
        while len(self._events) > _KEPT_JOBS:
            oldest = next(iter(self._events))
            del self._events[oldest]


def event_of(job: Job, event_id: int) -> JobEvent:
    """The event that a snapshot amounts to."""
    if job.state is JobState.AWAITING_CONFIRMATION:
        return PriceAsked(id=event_id, job=job)
    if job.state is JobState.SUCCEEDED:
        return Finished(id=event_id, job=job)
    if job.state is JobState.CANCELLED:
        return Cancelled(id=event_id, job=job)
    if job.state in {JobState.FAILED, JobState.REFUSED}:
        return Failed(id=event_id, job=job)
    return Progressed(id=event_id, job=job, progress=job.progress or Progress("preparing"))
