"""Buttons and selects that survive a restart: everything they need is in their custom_id, or stored under its key.

Rules that come from discord.py 2.7.1 (measured): a view holds only these and link buttons, is built afresh for each
edit, and never times out; otherwise the library unregisters a whole class of buttons for the process.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any, Protocol, cast

import discord
from discord import ui

Interaction = discord.Interaction[discord.Client]
LABEL_MAX = 80
CUSTOM_ID_MAX = 100


class Router(Protocol):
    """Who handles clicks. Implemented by the handlers' context; never raises."""

    async def button(self, interaction: Interaction, action: str, subject: str, argument: str) -> None:
        """A press on a `Control`."""

    async def select(self, interaction: Interaction, action: str, subject: str, values: Sequence[str]) -> None:
        """A choice in a `Choice`."""


def _router(interaction: Interaction) -> Router:
    return cast(Any, interaction.client).router  # type: ignore[no-any-return]


class Control(
    ui.DynamicItem[ui.Button[ui.LayoutView]],
    template=r"up1:(?P<action>[a-z_]+):(?P<subject>[0-9a-z]*):(?P<argument>[0-9.]*)",
):
    """A button: what it does (`action`), to what (`subject`, mostly a job), and with which number."""

    def __init__(
        self,
        action: str,
        subject: str,
        label: str = "",
        *,
        argument: str = "",
        style: discord.ButtonStyle = discord.ButtonStyle.secondary,
        emoji: str | None = None,
        disabled: bool = False,
    ) -> None:
        self.action, self.subject, self.argument = action, subject, argument
        button: ui.Button[ui.LayoutView] = ui.Button(
            label=label[:LABEL_MAX] or None,
            style=style,
            emoji=emoji,
            disabled=disabled,
            custom_id=f"up1:{action}:{subject}:{argument}",
        )
        super().__init__(button)

    @classmethod
    async def from_custom_id(
        cls, interaction: discord.Interaction[Any], item: ui.Item[Any], match: re.Match[str], /
    ) -> Control:
        """Again from a click; the label no longer matters."""
        return cls(match["action"], match["subject"], "·", argument=match["argument"])

    async def callback(self, interaction: discord.Interaction[Any]) -> None:
        """Hand the click on."""
        await _router(interaction).button(interaction, self.action, self.subject, self.argument)


class Choice(
    ui.DynamicItem[ui.Select[ui.LayoutView]],
    template=r"up1s:(?P<action>[a-z_]+):(?P<subject>[0-9a-z]*)",
):
    """A select menu."""

    def __init__(
        self,
        action: str,
        subject: str,
        options: Sequence[discord.SelectOption] = (),
        *,
        placeholder: str | None = None,
        most: int = 1,
    ) -> None:
        self.action, self.subject = action, subject
        select: ui.Select[ui.LayoutView] = ui.Select(
            custom_id=f"up1s:{action}:{subject}",
            options=list(options),
            placeholder=placeholder and placeholder[:150],
            min_values=1,
            max_values=max(1, min(most, len(options) or 1)),
        )
        super().__init__(select)

    @classmethod
    async def from_custom_id(
        cls, interaction: discord.Interaction[Any], item: ui.Item[Any], match: re.Match[str], /
    ) -> Choice:
        """Again from a choice; the chosen values are in the interaction."""
        return cls(match["action"], match["subject"])

    async def callback(self, interaction: discord.Interaction[Any]) -> None:
        """Hand the chosen values on."""
        values = cast(dict[str, Any], interaction.data or {}).get("values") or []
        await _router(interaction).select(interaction, self.action, self.subject, [str(v) for v in values])


def row(*items: ui.Item[Any]) -> ui.ActionRow[ui.LayoutView]:
    """One row of up to five buttons, or one select."""
    return ui.ActionRow(*items)


def link(label: str, url: str) -> ui.Button[ui.LayoutView]:
    """A button that opens an address; Discord takes at most 512 characters of it."""
    return ui.Button(label=label[:LABEL_MAX], url=url, style=discord.ButtonStyle.link)
