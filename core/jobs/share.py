"""Showing a result to people who have no account: a signed address that ends with the picture."""

from __future__ import annotations

from core.domain import authorization
from core.domain.errors import JobNotFound, ResultExpired, TooLate
from core.domain.job import Job, JobState, Requester
from core.jobs.context import Tools


async def share(tools: Tools, job_id: str, actor: Requester) -> str | None:
    """The address for the requester to hand on; None without a public address. Raises NotAllowed, TooLate."""
    job = authorization.check_requester(await tools.store.get(job_id), actor)
    if job.result is None or job.images_deleted:
        raise TooLate(state="images_deleted" if job.images_deleted else job.state.value)
    return tools.links.share(job.id, job.finished_at or tools.clock.now())


async def shared(tools: Tools, job_id: str, signature: str) -> Job:
    """The job behind such an address, whoever asks. Raises JobNotFound for a wrong one, ResultExpired after its end."""
    job = await tools.store.get(job_id) if tools.links.shares(job_id, signature) else None
    if job is None:
        raise JobNotFound
    if job.images_deleted or job.result is None or job.state is not JobState.SUCCEEDED:
        raise ResultExpired
    return job
