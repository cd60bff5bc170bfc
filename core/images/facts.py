"""Facts of images and their limits, as frozen data.

Used by the bot and the workers; must not import libvips, pydantic or asyncio, so that a worker starts fast.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from core.domain.media_types import Format

Note = Literal["alpha_flattened", "first_frame", "converted", "incomplete"]
FittedKind = Literal["original", "lossless_webp", "webp", "jpeg", "preview"]


@dataclass(frozen=True, slots=True)
class ImageLimits:
    """Limits of an image. The defaults are from the product's specification, section 2; 14,142 px a side is what
    fal's toolkit validates for an output (facts of 2026-11-22).
    """

    input_bytes: int = 50_000_000
    input_pixels: int = 64_000_000
    min_side_px: int = 16
    max_output_side_px: int = 14_142
    output_pixels: int = 100_000_000


@dataclass(frozen=True, slots=True)
class ModelLimits:
    """Limits of the file sent to the model.

    fal's toolkit stops downloading an input at 50 MiB (facts of 2026-11-22). PNG has lower limits, for short uploads.
    """

    max_bytes: int = 50 * 1024 * 1024
    png_aim_bytes: int = 45 * 1024 * 1024
    png_aim_pixels: int = 16_000_000


@dataclass(frozen=True, slots=True)
class ImageFacts:
    """Facts from an image's bytes, never from its name. Width and height are upright (orientation applied).

    `is_transparent`: some pixel is not opaque; equal to `has_alpha` if the pixels were not decoded. `frames` counts
    frames or pages.
    """

    format: Format
    mime: str
    width_px: int
    height_px: int
    orientation: int
    has_alpha: bool
    is_transparent: bool
    frames: int
    bytes: int


@dataclass(frozen=True, slots=True)
class Bounds:
    """Resource limits of one worker process. A job that exceeds one ends with its worker; the next gets a new one.

    `cpu_s` is per job. `address_space_bytes` has room for twice the largest legitimate decode that cannot stream (a
    64-megapixel interlaced 16-bit PNG with alpha: 512 MB). `file_bytes` limits each file that a worker writes.
    """

    address_space_bytes: int = 2 * 1024**3
    cpu_s: int = 120
    file_bytes: int = 2 * 1024**3
    threads: int = 2


@dataclass(frozen=True, slots=True)
class PreparedImage:
    """The file for the model, made from `source`. `notes` are changes that the member should know of."""

    path: Path
    mime: str
    width_px: int
    height_px: int
    bytes: int
    sha256: str
    notes: tuple[Note, ...]
    source: ImageFacts


@dataclass(frozen=True, slots=True)
class WrittenImage:
    """An image that was made from another, as `kind`.

    `rows` is 2 for a comparison with the most changed part below the most detailed one. `network_share` (0 to 1) is
    how much of the network's difference to Lanczos is in an enlargement. `left` and `top` are the origin of a crop.
    """

    path: Path
    mime: str
    width_px: int
    height_px: int
    bytes: int
    kind: FittedKind = "original"
    rows: int = 1
    network_share: float = 0.0
    left: int = 0
    top: int = 0


@dataclass(frozen=True, slots=True)
class StrippedResult:
    """A result after its metadata was removed, with the SHA-256 of its bytes."""

    path: Path
    facts: ImageFacts
    sha256: str
