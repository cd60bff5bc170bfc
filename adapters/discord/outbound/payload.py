"""What is to be shown for a job or an answer, whichever way it goes out. Pure data."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal, TypeAlias

import discord
from discord import ui

from adapters.discord.views.card import draw
from core.presentation import Card, PictureRole

Placement: TypeAlias = Literal["", "new_message", "direct_message"]
Files: TypeAlias = Mapping[PictureRole, tuple[Path, str]]
"""Path and name by what it is in the card."""


class UploadTooLarge(Exception):
    """Discord refused the upload for its size, whatever it had announced."""


@dataclass(frozen=True, slots=True)
class Payload:
    """`card` is asked for what to show in the place where it ends up."""

    card: Callable[[Placement], Card]
    files: Files = field(default_factory=dict)

    def view(self, where: Placement) -> ui.LayoutView:
        """Fresh each time, as the library demands."""
        return draw(self.card(where), {role: name for role, (_, name) in self.files.items()})

    def uploads(self) -> list[discord.File]:
        """Fresh each time: a `discord.File` works only once."""
        return [discord.File(path, filename=name) for path, name in self.files.values()]


def payload_of(card: Card, files: Files | None = None) -> Payload:
    """The same card wherever it ends up."""
    return Payload(lambda _: card, files or {})
