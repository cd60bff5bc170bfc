"""Looks up who owns the application (its owner, or the members of the owning team) and who owns a server."""

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any

import discord

from adapters.discord.outbound import errors
from adapters.discord.outbound.api_client import ApiClient
from core.domain.errors import PlatformBusy
from core.domain.identity import Place
from core.ports import Clock, PlaceFacts

CACHE_TTL_S = 60.0
"""An owner who loses that right keeps it no longer than this."""

CACHE_MAX_ENTRIES = 5_000
_NOT_THERE = (403, 404)
_ACCEPTED_INVITATION = 2
"""A team member's `membership_state` after accepting the invitation."""


class Owners:
    def __init__(self, rest: ApiClient, clock: Clock) -> None:
        self._rest = rest
        self._clock = clock
        self._cache: dict[int, tuple[float, asyncio.Task[dict[str, Any]]]] = {}

    async def facts(self, place: Place) -> PlaceFacts:
        try:
            people = owners_of(await self._cached(0, self._rest.fetch_application))
            if place.kind == "user":
                return PlaceFacts(place.id in people)
            guild_id = int(place.id) if place.id.isdecimal() else 0
            found = await self._cached(guild_id, lambda: self._guild(guild_id)) if guild_id else {}
        except errors.FAILED_CALLS:
            raise PlatformBusy from None
        return PlaceFacts(str(found.get("owner_id") or "") in people, str(found.get("name") or ""))

    async def _cached(self, number: int, ask: Callable[[], Coroutine[Any, Any, dict[str, Any]]]) -> dict[str, Any]:
        """The server of this id (0: the application), fetched by `ask` at most once per CACHE_TTL_S.

        A burst waits for one call together: Discord's limit would let one of each event pass too late to acknowledge.
        """
        now = self._clock.now()
        asked_at, fetching = self._cache.pop(number, (now, None))
        if fetching is None or now - asked_at > CACHE_TTL_S:
            asked_at, fetching = now, asyncio.create_task(ask(), name="discord-owners")
        self._cache[number] = asked_at, fetching
        while len(self._cache) > CACHE_MAX_ENTRIES:
            del self._cache[next(iter(self._cache))]
        try:
            return await asyncio.shield(fetching)
        except Exception:
            if self._cache.get(number) == (asked_at, fetching):
                del self._cache[number]
            raise

    async def _guild(self, guild_id: int) -> dict[str, Any]:
        try:
            found = await self._rest.fetch_guild(guild_id)
        except discord.HTTPException as error:
            if error.status not in _NOT_THERE:
                raise
            return {}
        return {name: found.get(name) for name in ("owner_id", "name")}


def owners_of(application: dict[str, Any]) -> frozenset[str]:
    """The user ids of the owning team's members (its `owner` is then not a person), else that of the owner."""
    team = application.get("team")
    if isinstance(team, dict):
        members = [one for one in team.get("members") or () if one.get("membership_state") == _ACCEPTED_INVITATION]
        return frozenset(str((one.get("user") or {}).get("id")) for one in members)
    return frozenset(filter(None, [str((application.get("owner") or {}).get("id") or "")]))
