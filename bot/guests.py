"""Puts together whose guests the operator pays for, from the settings and what each platform knows of its owners."""

from collections.abc import Mapping

from bot.settings import Settings
from core.accounts.allowlist import AllowList, AllowSettings
from core.domain.identity import Place
from core.ports import AppState, ChatAdapter, Clock, KnowsOwner, OperatorAlerts, PlaceFacts


def make_guests(
    s: Settings,
    state: AppState,
    clock: Clock,
    alerts: OperatorAlerts,
    adapters: Mapping[str, ChatAdapter],
) -> AllowList:
    """The list; open to all where no real money is spent."""

    async def facts(place: Place) -> PlaceFacts:
        adapter = adapters.get(place.platform)
        return await adapter.place_facts(place) if isinstance(adapter, KnowsOwner) else PlaceFacts(is_own=False)

    allow = AllowSettings(s.allowed_workspaces, s.allowed_users, s.allow_outsiders, open_to_all=s.backend != "fal")
    return AllowList(allow, state, clock, alerts, facts)
