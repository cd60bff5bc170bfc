"""What is known about pictures, and the limits they are held against, as frozen data.

Shared by both sides of the pipe; must stay free of libvips, pydantic and asyncio, so that a worker starts fast.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from core.domain.media_types import Format

Note = Literal["alpha_flattened", "first_frame", "converted", "incomplete"]
FittedKind = Literal["original", "lossless_webp", "webp", "jpeg", "preview"]


@dataclass(frozen=True, slots=True)
class ImageLimits:
    """What a picture may be. Sources of the defaults: the product's specification, section 2; the 14,142 px a side
    is what fal's toolkit validates for an output (facts of 2026-11-22).
    """

    input_bytes: int = 50_000_000
    input_pixels: int = 64_000_000
    min_side_px: int = 16
    max_output_side_px: int = 14_142
    output_pixels: int = 100_000_000


@dataclass(frozen=True, slots=True)
class ModelLimits:
    """What the file sent to the model may be.

    fal's toolkit stops downloading an input at 50 MiB (facts of 2026-11-22); PNG is aimed lower, to keep uploads short.
    """

    max_bytes: int = 50 * 1024 * 1024
    png_aim_bytes: int = 45 * 1024 * 1024
    png_aim_pixels: int = 16_000_000


@dataclass(frozen=True, slots=True)
class ImageFacts:
    """A picture as its bytes tell, never as its name does. Width and height are upright (orientation applied).

    `has_alpha` says that there is an alpha channel; `is_transparent` that some pixel really lets the ground through
    (the same as `has_alpha` where the pixels were not looked at). `frames` counts frames or pages.
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
    """What one worker process may use. A job over a bound ends with its worker; the next job gets a new one.

    `cpu_s` is per job. `address_space_bytes` holds the largest honest decode that cannot stream (a 64-megapixel
    interlaced 16-bit PNG with alpha: 512 MB) twice. `file_bytes` bounds every single file that a worker writes.
    """

    address_space_bytes: int = 2 * 1024**3
    cpu_s: int = 120
    file_bytes: int = 2 * 1024**3
    threads: int = 2


@dataclass(frozen=True, slots=True)
class PreparedImage:
    """The file for the model. `source` is what came in; `notes` are what the member should be told about."""

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
    """A picture that was made of another; `kind` says what was done to it.

    `rows` counts a comparison's: with 2 the most changed part stands below the most detailed one. `network_share`
    (0 to 1) is how much of the network's difference to Lanczos is in an enlargement. `left` and `top` place a crop.
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
    """A result with true facts (after cleaning) and the SHA-256 of its bytes."""

    path: Path
    facts: ImageFacts
    sha256: str
