"""Job events inside this process: published by the pipeline, followed by the page, the terminal and tests.

Events are bounded in memory: the newest few per job, dropped a minute after the terminal one, or when many more jobs
have ended. Whoever comes later, or follows a job that another process runs, is served from the stored snapshot
(`core.jobs.watch`).
"""

import asyncio
from collections import deque
from collections.abc import AsyncIterator
from weakref import WeakValueDictionary

from core.domain.events import JobEvent
from core.domain.job import Job
from core.ports import Clock

_KEPT_EVENTS = 16
_KEPT_JOBS = 2_000
_KEPT_ENDED = 200
_KEPT_S = 60.0
"""After the terminal event: long enough for everybody who follows to have read it."""


class EventBus:
    """Publish and follow."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._events: dict[str, deque[JobEvent]] = {}
        self._changed: WeakValueDictionary[str, asyncio.Event] = WeakValueDictionary()
        """Held by who follows."""
        self._ended: deque[tuple[float, str]] = deque()

    def publish(self, job: Job) -> JobEvent:
        """The event for this snapshot, given to everybody who follows the job.

        Its id is milliseconds of unix time, or one more than the job's last one.
        """
        now = self._clock.now()
        log = self._events.setdefault(job.id, deque(maxlen=_KEPT_EVENTS))
        event = JobEvent(max(log[-1].id + 1 if log else 0, int(now * 1000)), job)
        log.append(event)
        if (changed := self._changed.pop(job.id, None)) is not None:
            changed.set()
        if job.state.terminal:
            self._ended.append((now, job.id))
        while len(self._ended) > _KEPT_ENDED or (self._ended and self._ended[0][0] < now - _KEPT_S):
            self._events.pop(self._ended.popleft()[1], None)
        while len(self._events) > _KEPT_JOBS:
            del self._events[next(iter(self._events))]
        return event

    def recent(self, job_id: str, after: int) -> list[JobEvent]:
        """The kept events newer than `after`, oldest first."""
        return [event for event in self._events.get(job_id, ()) if event.id > after]

    async def follow(self, job_id: str, after: int, *, idle_s: float) -> AsyncIterator[JobEvent | None]:
        """Events as they come; None after each `idle_s` without one. Endless: the caller stops at the terminal one."""
        while True:
            events = self.recent(job_id, after)
            for event in events:
                after = event.id
                yield event
            if not events:
                changed = self._changed.setdefault(job_id, asyncio.Event())
                try:
                    await asyncio.wait_for(changed.wait(), idle_s)
                except TimeoutError:
                    yield None
