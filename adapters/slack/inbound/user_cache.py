"""A cache of `users.info` for a minute: name, language, admin or not, and of the workspace's user groups."""

import asyncio
from collections import OrderedDict, defaultdict
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from weakref import WeakValueDictionary

from adapters.slack.inbound.translate import SlackUser
from adapters.slack.outbound.api_client import SlackApi, Team
from adapters.slack.outbound.errors import SlackError
from adapters.slack.setup.manifest import GROUPS_SCOPE
from core.ports import Clock

KEEP_S = 60.0
"""Revoked rights must not be used for longer."""

MAX_KEPT = 20_000
LOOKUP_TIMEOUT_S = 6.0


@dataclass(slots=True)
class _Groups:
    """The members of a workspace's user groups by group. While Slack does not answer, the last known count."""

    members: Mapping[str, frozenset[str]] = field(default_factory=dict)
    at: float = float("-inf")
    lock: asyncio.Lock = field(default_factory=asyncio.Lock)


@dataclass(frozen=True, slots=True)
class UserCache:
    _api: SlackApi
    _clock: Clock
    _known: OrderedDict[tuple[str, str], tuple[float, SlackUser]] = field(default_factory=OrderedDict)
    _asking: WeakValueDictionary[tuple[str, str], asyncio.Lock] = field(default_factory=WeakValueDictionary)
    """A member's events that come at once wait for one call."""
    _groups: defaultdict[str, _Groups] = field(default_factory=lambda: defaultdict(_Groups))

    def cached(self, team_id: str, user_id: str) -> SlackUser | None:
        """The member from memory; None if unknown or too old."""
        found = self._known.get((team_id, user_id))
        return found[1] if found and self._clock.now() - found[0] < KEEP_S else None

    async def get(self, team: Team, user_id: str, *, timeout_s: float = LOOKUP_TIMEOUT_S) -> SlackUser:
        """The member; if Slack does not answer, one with English as language and no rights."""
        known, key = self.cached(team.team_id, user_id), (team.team_id, user_id)
        if known is not None or not user_id:
            return known or SlackUser()
        user = None
        try:
            async with asyncio.timeout(timeout_s), self._asking.setdefault(key, asyncio.Lock()):
                if known := self.cached(*key):
                    return known
                answer = await self._api.call(
                    team, "users.info", max_wait_s=timeout_s, user=user_id, include_locale="true"
                )
                user = _parse_user(answer.get("user") or {}, team)
                await self._read_groups(team, timeout_s)
        except (SlackError, TimeoutError):
            if user is None:
                stale = self._known.get(key)
                # Stale rights are dropped: only the name, the language and the groups are kept.
                return replace(stale[1], is_admin=False, is_owner=False) if stale else SlackUser()
        of_team = self._groups[team.team_id].members
        user = replace(user, groups=tuple(group for group, members in of_team.items() if user_id in members))
        self._known[key] = (self._clock.now(), user)
        if len(self._known) > MAX_KEPT:
            self._known.popitem(last=False)
        return user

    async def _read_groups(self, team: Team, timeout_s: float) -> None:
        """Read the user groups, if the optional scope is granted and they are a minute old."""
        groups = self._groups[team.team_id]
        async with groups.lock:
            granted = GROUPS_SCOPE in self._api.granted_scopes.get(team.team_id, ())
            if granted and self._clock.now() - groups.at >= KEEP_S:
                groups.at = self._clock.now()
                answer = await self._api.call(team, "usergroups.list", max_wait_s=timeout_s, include_users="true")
                groups.members = {
                    str(group.get("id")): frozenset(group.get("users") or ())
                    for group in answer.get("usergroups") or ()
                }

    def forget(self, team_id: str) -> None:
        self._groups.pop(team_id, None)
        for key in [key for key in self._known if key[0] == team_id]:
            del self._known[key]


def _parse_user(user: dict[str, object], team: Team) -> SlackUser:
    """An admin has rights in workspaces of their own; the members of an organisation's workspaces are no outsiders."""
    profile = user.get("profile")
    shown = profile.get("display_name") or profile.get("real_name") if isinstance(profile, dict) else ""
    name = str(shown or user.get("real_name") or user.get("name") or "")
    owner = bool(user.get("is_owner") or user.get("is_primary_owner"))
    admin = owner or bool(user.get("is_admin"))
    grid = user.get("enterprise_user")
    grid, stranger = grid if isinstance(grid, dict) else {}, bool(user.get("is_stranger"))
    teams, home = grid.get("teams"), str(user.get("team_id") or team.team_id)
    here = not stranger and (home == team.team_id or (isinstance(teams, list) and team.team_id in teams))
    colleague = (
        not stranger and team.enterprise_id not in ("", None) and grid.get("enterprise_id") == team.enterprise_id
    )
    return SlackUser(name, str(user.get("locale") or "en"), admin and here, owner and here, not (here or colleague))
