"""Who somebody is: the service's whole key, not the user id alone."""

from __future__ import annotations

from core.domain.job import Requester

TEAM_SCOPED = frozenset({"slack"})
"""Services whose user ids are unique only within a team; elsewhere a person is the same in every workspace."""


def person_key(who: Requester) -> tuple[str, str, str]:
    """Platform, team where ids are unique only there, and user: equal for the same person and for nobody else."""
    return who.platform, who.workspace_id if who.platform in TEAM_SCOPED else "", who.user_id


def is_same_person(one: Requester, other: Requester) -> bool:
    """Whether both are one person."""
    return person_key(one) == person_key(other)
