"""`python -m bot allow`: who asks to be let in, and who may spend the operator's money."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rich.table import Table

from bot.cli.console import CommandError, Exit, err, moment, operator, out
from core.domain.errors import JobNotFound
from core.domain.identity import Place
from core.ports import Verdict

if TYPE_CHECKING:
    from bot.app import App

_DONE = {"admit": "is let in", "refuse": "is refused and will not be asked about again", "revoke": "is forgotten"}


async def show_places(app: App) -> Exit:
    """Every place that waits for a verdict or has one, and what the settings let in."""
    settings = app.settings
    if not app.upscaler.real_money:
        err.print("The sandbox spends nobody's money: everybody may use the bot.")
    for name, listed, own in (
        ("ALLOWED_WORKSPACES", settings.allowed_workspaces, "your own servers and workspace"),
        ("ALLOWED_USERS", settings.allowed_users, "the owner of the Discord application and its team"),
    ):
        err.print(f"{name}: {', '.join(listed) or f'not set, so {own}'}")
    places = await app.guests.places(operator())
    table = Table(box=None, pad_edge=False, header_style="dim")
    for column in ("place", "name", "state", "by", "since"):
        table.add_column(column)
    for known in places:
        table.add_row(known.place.address, known.name or "-", known.state, known.by or "-", moment(known.at))
    out.print(table if places else "Nobody has asked.")
    if any(known.state == "asked" for known in places):
        err.print("Let one in with: python -m bot allow PLACE   or: python -m bot allow PLACE --refuse")
    return Exit.OK


async def decide(app: App, address: str, verdict: Verdict) -> Exit:
    """Let a place in, refuse it, or forget what was decided."""
    place = Place.parse(address)
    if place is None or place.platform not in app.adapters:
        known = ", ".join(sorted(name for name in app.adapters if name not in ("cli", "web"))) or "none"
        raise CommandError(
            f"{address} is no place. Write discord:<server id>, slack:<team id>, or for one person discord:@<user id>, "
            f"slack:@<team id>:<user id>. Platforms that are set up: {known}."
        )
    try:
        found = await app.guests.decide(operator(), place, verdict)
    except JobNotFound:
        raise CommandError(f"{address} is not known.") from None
    listed = app.settings.allowed_workspaces if place.kind == "workspace" else app.settings.allowed_users
    err.print(f"{found.name or found.place.address} {_DONE[verdict]}.")
    if verdict != "admit" and not {"*", place.id, f"{place.platform}:{place.id}"}.isdisjoint(listed):
        name = "ALLOWED_WORKSPACES" if place.kind == "workspace" else "ALLOWED_USERS"
        err.print(f"[yellow]{name} lets it in all the same; take it out there.[/yellow]")
    return Exit.OK
