"""Identity of people and places: the platform's whole key, because a user id may be unique only within its team."""

from dataclasses import dataclass
from typing import Literal, Self

from core.domain.job import Requester, job_id_for

TEAM_SCOPED = frozenset({"slack"})
"""Services whose user ids are unique only within a team; elsewhere a person is the same in every workspace."""


def person_key(who: Requester) -> tuple[str, str, str]:
    """Platform, team where ids are unique only there, and user: equal for the same person and for nobody else."""
    return who.platform, who.workspace_id if who.platform in TEAM_SCOPED else "", who.user_id


def person_id(who: Requester) -> str:
    """The person as one text, unique on the platform: `42`, `T1:U1`."""
    _, team, user = person_key(who)
    return f"{team}:{user}" if team else user


def is_same_person(one: Requester, other: Requester) -> bool:
    """Whether both are one person."""
    return person_key(one) == person_key(other)


@dataclass(frozen=True, slots=True)
class Place:
    """Whose guests somebody is: those of a workspace, or (`user`) one person's, by installs of their own and in DMs.

    A person's `id` names the team too where user ids are unique only there: `T1:U1`.
    """

    platform: str
    kind: Literal["workspace", "user"]
    id: str

    @property
    def address(self) -> str:
        """As people write it: `discord:123`, `slack:T1`; a person has an @: `discord:@42`, `slack:@T1:U1`."""
        return f"{self.platform}:{'@' if self.kind == 'user' else ''}{self.id}"

    @property
    def reference(self) -> str:
        """Twelve characters that fit into a button."""
        return job_id_for(f"place:{self.address}")

    @classmethod
    def parse(cls, address: str) -> Self | None:
        """The place of an address; None where it is none."""
        platform, _, own = address.strip().partition(":")
        kind: Literal["workspace", "user"] = "user" if own.startswith("@") else "workspace"
        own = own.removeprefix("@")
        known = platform.isalnum() and own and all(part.isalnum() for part in own.split(":")) and len(own) <= 60
        return cls(platform.lower(), kind, own) if known else None

    @classmethod
    def of_person(cls, who: Requester) -> Self:
        return cls(who.platform, "user", person_id(who))

    @classmethod
    def of_workspace(cls, who: Requester) -> Self | None:
        return cls(who.platform, "workspace", who.workspace_id) if who.workspace_id else None
