"""Who may see and change what. One place, so that all platforms say the same.

A job belongs to its requester; moderators of its workspace may stop and delete it; people of the same workspace may
see it unless it is private; to everybody else it does not exist.
"""

from core.domain.errors import JobNotFound, NotAllowed
from core.domain.identity import is_same_person
from core.domain.job import Job, Requester


def is_requester(job: Job, actor: Requester) -> bool:
    """Whether the job is this person's own."""
    return is_same_person(job.requester, actor)


def same_workspace(job: Job, actor: Requester) -> bool:
    """Whether the person acts in the workspace that the job was made in."""
    here = (actor.platform, actor.workspace_id)
    return bool(actor.workspace_id) and (job.requester.platform, job.requester.workspace_id) == here


def check_visible(job: Job | None, actor: Requester | None) -> Job:
    """The job, if this person may know of it. Raises JobNotFound."""
    if job is None:
        raise JobNotFound
    if actor is None or actor.is_operator or is_requester(job, actor):
        return job
    if same_workspace(job, actor) and not job.private:
        return job
    raise JobNotFound


def check_requester(job: Job | None, actor: Requester) -> Job:
    """The job, if it is the person's own. Raises JobNotFound, NotAllowed."""
    job = check_visible(job, actor)
    if not is_requester(job, actor):
        raise NotAllowed(needs="requester")
    return job


def check_may_stop(job: Job | None, actor: Requester) -> Job:
    """The job, if the person is its requester, a moderator there, or the operator. Raises JobNotFound, NotAllowed.

    Moderators stop and delete private jobs too, of which they see nothing.
    """
    if job is not None and actor.is_moderator and same_workspace(job, actor):
        return job
    job = check_visible(job, actor)
    if is_requester(job, actor) or actor.is_operator:
        return job
    raise NotAllowed(needs="requester_or_moderator")


def check_operator(actor: Requester) -> None:
    """Raises NotAllowed unless the person runs the bot."""
    if not actor.is_operator:
        raise NotAllowed(needs="operator")


def check_moderator(actor: Requester) -> None:
    """Raises NotAllowed unless the person is a moderator somewhere, or the operator."""
    if not actor.is_operator and not (actor.is_moderator and actor.workspace_id):
        raise NotAllowed(needs="moderator")
