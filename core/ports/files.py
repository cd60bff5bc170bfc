"""Pictures of finished jobs in the shapes that platforms need. Made in `core.images.renditions`."""

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

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
