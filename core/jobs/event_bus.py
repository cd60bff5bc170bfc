"""Job events of this process, and views that combine them with the stored jobs.

The newest few events per job are kept in memory, until a minute after the terminal one. Late followers, and those of a
job that runs in another process, get the stored snapshot (`follow_job`).
"""

import asyncio
import dataclasses
from collections import deque
from collections.abc import AsyncIterator
from weakref import WeakValueDictionary

from core.domain import identity
from core.domain.errors import JobNotFound
from core.domain.events import JobEvent
from core.domain.job import Job, Requester
from core.net.turns import Turns
from core.ports import Clock, UnfinishedJobs
from core.storage.jobs import SqlJobStore

_KEPT_EVENTS = 16
_KEPT_JOBS = 2_000
_KEPT_ENDED = 200
_KEPT_S = 60.0
"""After the terminal event, for followers to read it."""

_IDLE_S = 2.0
"""How often the row is read while this process has no events; the job may run in another one."""

LISTED = 20
"""As many as fit into a message, which also states the total."""


class EventBus:
    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._events: dict[str, list[JobEvent]] = {}
        self._changed: WeakValueDictionary[str, asyncio.Event] = WeakValueDictionary()
        """Held by the followers."""
        self._ended: deque[tuple[float, str]] = deque()
        self._turns = Turns()

    def publish(self, job: Job) -> JobEvent:
        """Publish an event with this snapshot. Its id is unix time in milliseconds, or the job's last id plus one."""
        now = self._clock.now()
        log = self._events.setdefault(job.id, [])
        event = JobEvent(max(log[-1].id + 1 if log else 0, int(now * 1000)), job)
        log.append(event)
        del log[:-_KEPT_EVENTS]
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
        """Yield events, and None after each `idle_s` without one. Endless: the caller stops at the terminal one."""
        while True:
            events = self.recent(job_id, after)
            for event in events:
                after = event.id
                yield event
            if not events:
                changed = self._changed.setdefault(job_id, asyncio.Event())
                try:
                    async with asyncio.timeout(idle_s):
                        await changed.wait()
                except TimeoutError:
                    await self._turns.wait(job_id)  # followers that began together read their rows one by one
                    yield None


async def follow_job(store: SqlJobStore, event_bus: EventBus, job_id: str, after: int) -> AsyncIterator[JobEvent]:
    """Yield events newer than `after`, starting with the current state, up to the terminal one. Raises JobNotFound."""
    job = await store.get(job_id)
    if job is None:
        raise JobNotFound
    if job.state.terminal or not event_bus.recent(job_id, 0):
        current = JobEvent.stored(job)
        if current.id > after:
            after = current.id
            yield current
        if job.state.terminal:
            return
    shown = job
    async for event in event_bus.follow(job.id, after, idle_s=_IDLE_S):
        if event is None:
            stored = await store.get(job.id)
            if stored is None:
                return
            changed_at = JobEvent.stored(stored).id
            progressed = stored.progress not in (None, shown.progress) and changed_at > after
            if stored.state is shown.state and not progressed:
                continue
            event = JobEvent(max(after + 1, changed_at), stored)
        after, shown = event.id, event.job
        yield event
        if event.job.state.terminal:
            return


async def unfinished_here(store: SqlJobStore, event_bus: EventBus, actor: Requester) -> UnfinishedJobs:
    """The unfinished jobs of the moderator's workspace (the operator: of all), oldest first. Raises NotAllowed."""
    identity.check_moderator(actor)
    place = None if actor.is_operator else (actor.platform, actor.workspace_id)
    found = await store.open_in(place, limit=LISTED)
    return dataclasses.replace(found, jobs=tuple(with_newest_progress(event_bus, job) for job in found.jobs))


def with_newest_progress(event_bus: EventBus, job: Job) -> Job:
    """The job with the newest progress that this process knows."""
    events = event_bus.recent(job.id, 0)
    newest = events[-1].job if events else None
    if newest is None or job.state.terminal or newest.state is not job.state:
        return job
    # Only the progress: the stored row may have a result that the event lacks.
    return dataclasses.replace(job, progress=newest.progress)
