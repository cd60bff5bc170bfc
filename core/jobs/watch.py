"""Following a job from anywhere: live from this process's feed, else from the stored row."""

from __future__ import annotations

from collections.abc import AsyncIterator

from core.domain.errors import JobNotFound
from core.domain.events import Cancelled, Failed, Finished, JobEvent
from core.domain.job import Job
from core.jobs.event_bus import event_of
from core.jobs.steps import Tools

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
    if not tools.feed.recent(job_id, 0) or job.state.terminal:
        event = event_of(job, _stamp(job))
        if job.state.terminal and event.id <= after:
            return
        if event.id > after:
            after = event.id
            yield event
        if job.state.terminal:
            return
    async for event in _live(tools, job, after):
        yield event
        if isinstance(event, Finished | Failed | Cancelled):
            return


async def _live(tools: Tools, job: Job, after: int) -> AsyncIterator[JobEvent]:
    seen = (job.state, job.updated_at)
    async for event in tools.feed.follow(job.id, after, idle_s=_IDLE_S):
        if event is not None:
            after = event.id
            seen = (event.job.state, event.job.updated_at)
            yield event
            continue
        stored = await tools.store.get(job.id)
        if stored is None:
            return
        if (stored.state, stored.updated_at) != seen and stored.state is not seen[0]:
            seen = (stored.state, stored.updated_at)
            yield event_of(stored, max(after + 1, _stamp(stored)))


def _stamp(job: Job) -> int:
    return int(job.updated_at * 1000)
