"""A card and its files, ready to be sent by any REST call. Pure data."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal, TypeAlias

import discord
from discord import ui

from adapters.discord.views.card import draw
from core.presentation import Card, PictureRole

Placement: TypeAlias = Literal["", "new_message", "direct_message"]
"""Where a message ends up: "" is where it was asked for."""
Files: TypeAlias = Mapping[PictureRole, tuple[Path, str]]
"""Path and file name by the picture's role in the card."""


class UploadTooLarge(Exception):
    """Discord refused the upload for its size, whatever limit it had announced."""


@dataclass(frozen=True, slots=True)
class Payload:
    """`card` builds the card for the placement. Views and files work only once, so each attempt makes new ones."""

    card: Callable[[Placement], Card]
    files: Files = field(default_factory=dict)

    def view(self, where: Placement) -> ui.LayoutView:
        return draw(self.card(where), {role: name for role, (_, name) in self.files.items()})

    def uploads(self) -> list[discord.File]:
        return [discord.File(path, filename=name) for path, name in self.files.values()]


def payload_of(card: Card, files: Files | None = None) -> Payload:
    """The same card for every placement."""
    return Payload(lambda _: card, files or {})
