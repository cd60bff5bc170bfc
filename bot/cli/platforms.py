"""`python -m bot invite` and `slack-manifest`: handed on to whichever adapters offer them; none is named here."""

from __future__ import annotations

import asyncio
import importlib
from collections.abc import Iterator
from typing import Any

from rich.markup import escape

from bot.cli.console import CommandError, Exit, err, out
from bot.cli.session import read_settings
from bot.settings import Platform, Settings


def print_invites() -> Exit:
    """The links of every platform that has some and is set up, with what each permission is for."""
    found = read_settings()
    offered = [(platform, make) for platform, make in _offering(found, "invite_links") if platform.settings.enabled]
    if not offered:
        raise CommandError("No platform with invite links is set up; set DISCORD_TOKEN first.")
    for platform, make in offered:
        invites = asyncio.run(make(platform.settings))
        if not invites:
            raise CommandError(f"No link can be made for {platform.name}: its token does not look right.")
        for invite in invites:
            err.print(f"[bold]{escape(invite.title)}[/bold]")
            out.print(invite.url, markup=False)
            for permission in invite.permissions:
                err.print(f"  [dim]{escape(permission.name)}: {escape(permission.reason)}[/dim]")
    return Exit.OK


def print_manifest() -> Exit:
    """The manifest, alone on standard output, so that it can be piped."""
    found = read_settings()
    for platform, make in _offering(found, "manifest"):
        try:
            out.print(make(platform.settings, found.public_url), markup=False)
        except ValueError as missing:
            raise CommandError(str(missing)) from None
        return Exit.OK
    raise CommandError("No platform offers a manifest.")


def _offering(found: Settings, name: str) -> Iterator[tuple[Platform, Any]]:
    for platform in found.platforms:
        make = getattr(importlib.import_module(f"adapters.{platform.name}"), name, None)
        if make is not None:
            yield platform, make
