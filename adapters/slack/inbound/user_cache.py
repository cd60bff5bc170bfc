"""A cache of `users.info` for a minute: name, language, admin or not, and of the workspace's user groups."""

import asyncio
from collections import OrderedDict, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from weakref import WeakValueDictionary

import structlog

from adapters.slack.inbound.translate import SlackUser
from adapters.slack.outbound.api_client import SlackApi, Team
from adapters.slack.outbound.errors import SlackError
from adapters.slack.setup.manifest import GROUPS_SCOPE
from core.ports import Clock

log = structlog.get_logger(__name__)

KEEP_S = 60.0
"""Revoked rights must not be used for longer."""

MAX_KEPT = 20_000
LOOKUP_TIMEOUT_S = 6.0


@dataclass(slots=True)
class _Groups:
    """The user groups of a workspace's members. While Slack does not answer, the last known ones count."""

    of_member: Mapping[str, Sequence[str]] = field(default_factory=dict)
    at: float = float("-inf")
    reading: asyncio.Future[None] | None = None


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
        if not user_id:
            return SlackUser()
        user, key = None, (team.team_id, user_id)
        try:
            async with asyncio.timeout(timeout_s), self._asking.setdefault(key, asyncio.Lock()):
                user = self.cached(*key) or await self._ask(team, user_id, timeout_s)
                await self._read_groups(team)
        except (SlackError, TimeoutError):
            if user is None:
                stale = self._known.get(key)
                # Stale rights are dropped: only the name and the language are kept.
                user = replace(stale[1], is_admin=False, is_owner=False) if stale else SlackUser()
        return replace(user, groups=tuple(self._groups[team.team_id].of_member.get(user_id, ())))

    async def _ask(self, team: Team, user_id: str, timeout_s: float) -> SlackUser:
        answer = await self._api.call(team, "users.info", max_wait_s=timeout_s, user=user_id, include_locale="true")
        user = _parse_user(answer.get("user") or {}, team)
        self._known[team.team_id, user_id] = (self._clock.now(), user)
        if len(self._known) > MAX_KEPT:
            self._known.popitem(last=False)
        return user

    async def _read_groups(self, team: Team) -> None:
        """Wait for the user groups, if the optional scope is granted and they are a minute old.

        Reading goes on when the caller's time is up: a large workspace's answer takes longer than one request can wait.
        """
        groups = self._groups[team.team_id]
        granted = GROUPS_SCOPE in self._api.granted_scopes.get(team.team_id, ())
        if granted and self._clock.now() - groups.at >= KEEP_S and groups.reading is None:
            groups.at = self._clock.now()
            groups.reading = asyncio.ensure_future(self._list_groups(team, groups))
        if groups.reading is not None:
            await asyncio.shield(groups.reading)

    async def _list_groups(self, team: Team, groups: _Groups) -> None:
        try:
            answer = await self._api.call(team, "usergroups.list", max_wait_s=KEEP_S, include_users="true")
        except SlackError as error:
            log.info("slack_groups_unread", workspace=team.team_id, error=error.error)
            return
        finally:
            groups.reading = None
        of_member = defaultdict[str, list[str]](list)
        for group in answer.get("usergroups") or ():
            for member in group.get("users") or ():
                of_member[member].append(str(group["id"]))
        groups.of_member = of_member

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
