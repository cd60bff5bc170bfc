"""Pictures of finished jobs in the shapes that platforms need. Made in `core.images.renditions`."""

from dataclasses import dataclass
from pathlib import Path
from typing import Literal, Protocol

from core.domain.job import DeliveryKind


@dataclass(frozen=True, slots=True)
class MediaFile:
    """A file made for delivery. `shape` says what was done to the original to fit."""

    path: Path
    mime: str
    shape: DeliveryKind
    width_px: int
    height_px: int
    bytes: int
    rows: int = 1
    """Of a comparison: 2 where the most changed part stands below the most detailed one."""


PictureOf = Literal["result", "source"]
"""Which picture of a job: the result, or the upright picture that went in."""

TILE_PX = 512
"""The side of a tile; those at the right and bottom edges are smaller."""


@dataclass(frozen=True, slots=True)
class TileSet:
    """A picture cut into tiles. `halvings`: how often its sides can be halved (rounded up) until one tile holds it."""

    folder: Path
    mime: str
    suffix: str
    halvings: int

    def tile(self, halved: int, x: int, y: int) -> Path | None:
        """The tile in column `x` and row `y` of the picture halved so often; None where there is none."""
        path = self.folder / str(self.halvings - halved) / f"{x}_{y}{self.suffix}"
        return path if 0 <= halved <= self.halvings and path.is_file() else None


class ResultLinks(Protocol):
    """Signed addresses for people who have no account here. Implemented in `bot.http.signed_links`."""

    def link(self, job_id: str, name: str) -> str | None:
        """The address of a job's file while it is kept; None without a public address."""

    def share(self, job_id: str, since: float) -> str | None:
        """The address of the page that shows a result made at `since` (unix seconds); None without a public address."""

    def shares(self, job_id: str, signature: str) -> bool:
        """Whether the last part of such an address is right and has not expired."""

    @property
    def public(self) -> bool:
        """Whether there is a public address to make links with."""
