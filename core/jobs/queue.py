"""What runs and waits in a place now, for its moderators."""

from __future__ import annotations

import dataclasses

from core.domain import authorization
from core.domain.job import Job, Requester
from core.jobs.event_bus import JobFeed
from core.ports import JobStore, OpenHere

LISTED = 20
"""As many as a message has room for; the total is told beside them."""


async def open_here(store: JobStore, feed: JobFeed, actor: Requester) -> OpenHere:
    """The unfinished jobs of the moderator's workspace (the operator: of all), oldest first. Raises NotAllowed."""
    authorization.check_moderator(actor)
    place = None if actor.is_operator else (actor.platform, actor.workspace_id)
    found = await store.open_in(place, limit=LISTED)
    return dataclasses.replace(found, jobs=tuple(with_newest_progress(feed, job) for job in found.jobs))


def with_newest_progress(feed: JobFeed, job: Job) -> Job:
    """The job with what this process has last heard of it."""
    events = feed.recent(job.id, 0)
    newest = events[-1].job if events else None
    if newest is None or job.state.terminal or newest.state is not job.state:
        return job
    # Only the progress: the stored row may already know the result that this event was published without.
    return dataclasses.replace(job, progress=newest.progress)
