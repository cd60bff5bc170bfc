"""What is to be shown for a job or an answer, whichever way it goes out. Pure data."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, TypeAlias

import discord
from discord import ui

Elsewhere: TypeAlias = Literal["", "new_message", "direct_message"]


class TooLargeHere(Exception):
    """Discord refused the upload for its size, whatever it had announced."""


@dataclass(frozen=True, slots=True)
class Payload:
    """`view` builds a fresh layout for the place where it ends up; `files` are (path, name)."""

    view: Callable[[Elsewhere], ui.LayoutView]
    files: tuple[tuple[Path, str], ...] = ()

    def uploads(self) -> list[discord.File]:
        """Fresh each time: a `discord.File` works only once."""
        return [discord.File(path, filename=name) for path, name in self.files]
