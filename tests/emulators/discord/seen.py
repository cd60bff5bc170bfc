"""What a member's client shows, as data; and what it refuses to send."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.emulators.discord.world import Channel


class ClientRefused(Exception):
    """The member's own client would not send this."""


@dataclass(frozen=True)
class Upload:
    """A file that a member attaches."""

    filename: str
    data: bytes
    spoiler: bool = False


@dataclass(frozen=True)
class SeenButton:
    label: str
    custom_id: str | None
    style: int
    disabled: bool
    url: str | None
    emoji: str | None


@dataclass(frozen=True)
class SeenImage:
    filename: str
    path: Path
    alt: str | None
    spoiler: bool
    previewable: bool
    url: str

    def read(self) -> bytes:
        return self.path.read_bytes()


@dataclass(frozen=True)
class SeenMessage:
    """A message as a member's client shows it."""

    id: int
    text: str
    buttons: tuple[SeenButton, ...]
    selects: tuple[dict[str, Any], ...]
    images: tuple[SeenImage, ...]
    files: tuple[SeenImage, ...]
    ephemeral: bool
    loading: bool
    edits: int
    pinged: frozenset[str]
    components: list[dict[str, Any]]
    channel: Channel

    def button(self, label: str) -> SeenButton:
        found = [b for b in self.buttons if label.lower() in b.label.lower()]
        if not found:
            raise ClientRefused(f"no button {label!r} among {[b.label for b in self.buttons]}")
        return found[0]

    @property
    def labels(self) -> list[str]:
        return [b.label for b in self.buttons]
