"""Renditions of finished jobs' images in the forms that platforms need. Made in `core.images.renditions`."""

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from core.domain.job import DeliveryKind


@dataclass(frozen=True, slots=True)
class MediaFile:
    """A file made for delivery. `shape` says how it differs from the original."""

    path: Path
    mime: str
    shape: DeliveryKind
    width_px: int
    height_px: int
    bytes: int
    rows: int = 1
    """Rows of a comparison: 2 if the most changed region is shown below the most detailed one."""


PictureOf = Literal["result", "source"]
"""Which image of a job: the result, or the input after its EXIF orientation was applied."""

TILE_PX = 512
"""The side of a tile; tiles at the right and bottom edges are smaller."""


@dataclass(frozen=True, slots=True)
class TileSet:
    """A pyramid of tiles. `halvings`: how often the sides are halved (rounded up) until one tile holds the image."""

    folder: Path
    mime: str
    suffix: str
    halvings: int

    def tile(self, halved: int, x: int, y: int) -> Path | None:
        """The tile in column `x` and row `y` after `halved` halvings; None if there is none."""
        path = self.folder / str(self.halvings - halved) / f"{x}_{y}{self.suffix}"
        return path if 0 <= halved <= self.halvings and path.is_file() else None
