"""Whose bot it is: the application's owner, or the members of the team that owns it; and whose the servers are."""

from __future__ import annotations

from typing import Any, Protocol

import discord

from adapters.discord.outbound import errors
from core.domain.errors import PlatformBusy
from core.domain.identity import Place
from core.ports import Clock, PlaceFacts

KEEP_S = 60.0
"""Rights that were taken away must not be used for longer."""

MAX_KEPT = 5_000
_NOT_THERE = (403, 404)
_ACCEPTED = 2
"""A team member's `membership_state` once they have taken up the invitation."""


class Lookups(Protocol):
    """Where Discord is asked. Implemented by `adapters.discord.outbound.api_client`."""

    async def application(self) -> dict[str, Any]:
        """The application of the bot's token."""

    async def guild(self, guild_id: int) -> dict[str, Any]:
        """A server that the bot is in."""


class Owners:
    """Answers of Discord's, each kept for a minute."""

    def __init__(self, rest: Lookups, clock: Clock) -> None:
        self._rest = rest
        self._clock = clock
        self._people: tuple[float, frozenset[str]] | None = None
        self._guilds: dict[int, tuple[float, str, str]] = {}

    async def facts(self, place: Place) -> PlaceFacts:
        """Whether the place is the owners' own, or one of them. Raises PlatformBusy."""
        try:
            people = await self._owners()
            if place.kind == "user":
                return PlaceFacts(place.id in people)
            owner, name = await self._guild(int(place.id)) if place.id.isdecimal() else ("", "")
        except errors.FAILED_CALLS:
            raise PlatformBusy from None
        return PlaceFacts(owner in people, name)

    async def _owners(self) -> frozenset[str]:
        now = self._clock.now()
        if self._people is None or now - self._people[0] > KEEP_S:
            self._people = (now, owners_of(await self._rest.application()))
        return self._people[1]

    async def _guild(self, guild_id: int) -> tuple[str, str]:
        """The server's owner and name; empty where the bot is not in it."""
        now = self._clock.now()
        known = self._guilds.pop(guild_id, None)
        if known is None or now - known[0] > KEEP_S:
            try:
                found = await self._rest.guild(guild_id)
            except discord.HTTPException as error:
                if error.status not in _NOT_THERE:
                    raise
                found = {}
            known = (now, str(found.get("owner_id") or ""), str(found.get("name") or ""))
        self._guilds[guild_id] = known
        while len(self._guilds) > MAX_KEPT:
            del self._guilds[next(iter(self._guilds))]
        return known[1], known[2]


def owners_of(application: dict[str, Any]) -> frozenset[str]:
    """The team's members where a team owns it (its `owner` is then no person), else the owner."""
    team = application.get("team")
    if isinstance(team, dict):
        members = [one for one in team.get("members") or () if one.get("membership_state") == _ACCEPTED]
        return frozenset(str((one.get("user") or {}).get("id")) for one in members)
    return frozenset(filter(None, [str((application.get("owner") or {}).get("id") or "")]))
