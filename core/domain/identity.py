"""Identity of people and workspaces, and the access rules for jobs, the same on all platforms.

A person is identified by platform, team and user id, because a user id may be unique only within its team. A job
belongs to its requester; moderators of its workspace may cancel and delete it; people of the same workspace may see
it unless it is private; for everybody else it does not exist.
"""

from dataclasses import dataclass
from typing import Literal, Self

from core.domain.errors import JobNotFound, NotAllowed
from core.domain.job import Job, JobState, Requester, job_id_for

TEAM_SCOPED = frozenset({"slack"})
"""Platforms whose user ids are unique only within a team."""


def person_key(requester: Requester) -> tuple[str, str, str]:
    """Return (platform, team, user), equal for the same person only. `team` is empty unless `TEAM_SCOPED`."""
    team = requester.workspace_id if requester.platform in TEAM_SCOPED else ""
    return requester.platform, team, requester.user_id


def person_id(requester: Requester) -> str:
    """An id that is unique on the platform: `42`, `T1:U1`."""
    _, team, user = person_key(requester)
    return f"{team}:{user}" if team else user


def channels_of(requester: Requester) -> tuple[str, ...]:
    """The channels that a person acts in, narrowest first: of a thread itself and its channel, else at most one."""
    return tuple(filter(None, (requester.channel_id, requester.parent_channel_id)))


def is_same_person(one: Requester, other: Requester) -> bool:
    return person_key(one) == person_key(other)


@dataclass(frozen=True, slots=True)
class Place:
    """What the operator admits or refuses: a workspace, or (`user`) one person with their own install and in DMs.

    A person's `id` is that of `person_id`.
    """

    platform: str
    kind: Literal["workspace", "user"]
    id: str

    @property
    def address(self) -> str:
        """The written form: `discord:123`, `slack:T1`; a person has an @: `discord:@42`, `slack:@T1:U1`."""
        return f"{self.platform}:{'@' if self.kind == 'user' else ''}{self.id}"

    @property
    def reference(self) -> str:
        """Twelve characters that fit into a button's custom id."""
        return job_id_for(f"place:{self.address}")

    @classmethod
    def parse(cls, address: str) -> Self | None:
        platform, _, own = address.strip().partition(":")
        kind: Literal["workspace", "user"] = "user" if own.startswith("@") else "workspace"
        own = own.removeprefix("@")
        known = platform.isalnum() and own and all(part.isalnum() for part in own.split(":")) and len(own) <= 60
        of_team = kind == "user" and platform.lower() in TEAM_SCOPED  # such an id alone never matches anybody
        return cls(platform.lower(), kind, own) if known and own.count(":") == of_team else None

    @classmethod
    def of_person(cls, requester: Requester) -> Self:
        return cls(requester.platform, "user", person_id(requester))

    @classmethod
    def of_workspace(cls, requester: Requester) -> Self | None:
        return cls(requester.platform, "workspace", requester.workspace_id) if requester.workspace_id else None


def is_requester(job: Job, actor: Requester) -> bool:
    return is_same_person(job.requester, actor)


def same_workspace(job: Job, actor: Requester) -> bool:
    here = (actor.platform, actor.workspace_id)
    return bool(actor.workspace_id) and (job.requester.platform, job.requester.workspace_id) == here


def check_visible(job: Job | None, actor: Requester | None) -> Job:
    """Return the job if this person may see it. Raises JobNotFound."""
    if job is None:
        raise JobNotFound
    if actor is None or actor.is_operator or is_requester(job, actor):
        return job
    if same_workspace(job, actor) and not job.private:
        return job
    raise JobNotFound


def check_requester(job: Job | None, actor: Requester) -> Job:
    """Return the job if it is the person's own. Raises JobNotFound, NotAllowed."""
    job = check_visible(job, actor)
    if not is_requester(job, actor):
        raise NotAllowed(needs="requester")
    return job


def check_may_repeat(job: Job | None, actor: Requester, kind: str) -> Job:
    """Return the job if the person may make a new one from it by a button of this kind, and pay for that.

    Others only from what is made or has ended, and not to answer its price question. Raises JobNotFound, NotAllowed.
    """
    job = check_visible(job, actor)
    answers = kind in ("model", "preview") and job.confirm_by_at is not None
    if answers or not (job.state.terminal or job.state is JobState.DELIVERING):
        check_requester(job, actor)
    return job


def check_may_stop(job: Job | None, actor: Requester) -> Job:
    """Return the job if the person is its requester, a moderator of its workspace, or the operator.

    Moderators may cancel and delete private jobs too, without seeing them. Raises JobNotFound, NotAllowed.
    """
    if job is not None and actor.is_moderator and same_workspace(job, actor):
        return job
    job = check_visible(job, actor)
    if is_requester(job, actor) or actor.is_operator:
        return job
    raise NotAllowed(needs="requester_or_moderator")


def check_operator(actor: Requester) -> None:
    if not actor.is_operator:
        raise NotAllowed(needs="operator")


def check_moderator(actor: Requester) -> None:
    """Raise NotAllowed unless the person is a moderator of a workspace, or the operator."""
    if not actor.is_operator and not (actor.is_moderator and actor.workspace_id):
        raise NotAllowed(needs="moderator")
