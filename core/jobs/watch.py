"""What can be seen of jobs: one followed from anywhere, and what runs and waits in a place, for its moderators."""

import dataclasses
from collections.abc import AsyncIterator

from core.domain import authorization
from core.domain.errors import JobNotFound
from core.domain.events import JobEvent
from core.domain.job import Job, Requester
from core.jobs.event_bus import EventBus
from core.jobs.steps import Tools
from core.ports import OpenHere
from core.storage.jobs import SqlJobStore

_IDLE_S = 2.0
"""How often the row is looked at while this process has nothing to say (the job may run in another one)."""


async def follow_job(tools: Tools, job_id: str, after: int) -> AsyncIterator[JobEvent]:
    """Events newer than `after`, starting with the current state unless it is older; ends after the terminal one.

    Raises JobNotFound. Ids of events made from the row are its time of change in milliseconds, so that they sort
    with the live ones.
    """
    job = await tools.store.get(job_id)
    if job is None:
        raise JobNotFound
    if job.state.terminal or not tools.event_bus.recent(job_id, 0):
        event = JobEvent(_stamp(job), job)
        if event.id > after:
            after = event.id
            yield event
        if job.state.terminal:
            return
    shown = job
    async for told in tools.event_bus.follow(job.id, after, idle_s=_IDLE_S):
        if told is None:
            stored = await tools.store.get(job.id)
            if stored is None:
                return
            farther = stored.progress not in (None, shown.progress) and _stamp(stored) > after
            if stored.state is shown.state and not farther:
                continue
            told = JobEvent(max(after + 1, _stamp(stored)), stored)
        after, shown = told.id, told.job
        yield told
        if told.job.state.terminal:
            return


def _stamp(job: Job) -> int:
    return int(job.updated_at * 1000)


LISTED = 20
"""As many as a message has room for; the total is told beside them."""


async def open_here(store: SqlJobStore, feed: EventBus, actor: Requester) -> OpenHere:
    """The unfinished jobs of the moderator's workspace (the operator: of all), oldest first. Raises NotAllowed."""
    authorization.check_moderator(actor)
    place = None if actor.is_operator else (actor.platform, actor.workspace_id)
    found = await store.open_in(place, limit=LISTED)
    return dataclasses.replace(found, jobs=tuple(with_newest_progress(feed, job) for job in found.jobs))


def with_newest_progress(feed: EventBus, job: Job) -> Job:
    """The job with what this process has last heard of it."""
    events = feed.recent(job.id, 0)
    newest = events[-1].job if events else None
    if newest is None or job.state.terminal or newest.state is not job.state:
        return job
    # Only the progress: the stored row may already know the result that this event was published without.
    return dataclasses.replace(job, progress=newest.progress)
