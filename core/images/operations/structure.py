"""How many parts a file is made of, counted before a codec walks them.

Files of millions of tiny parts are cheap to send and take a codec minutes: 12 million JPEG segments 46 s, 100,000 TIFF
directories 11 s. The bounds are far above what cameras and programs write.
"""

import struct
from collections.abc import Callable
from typing import Any, Final

from core.domain.media_types import Format
from core.images.operations import containers
from core.images.operations.containers import Data, Parts
from core.images.operations.refusals import Refused

MAX_JPEG_SEGMENTS: Final = 10_000
MAX_TIFF_DIRECTORIES: Final = 1_000
MAX_FRAMES: Final = 10_000
MAX_PARTS: Final = 400_000
"""Chunks of a PNG or a WebP, sub-blocks of a GIF: 50 MB in sub-blocks of 255 bytes are 200,000."""

MAX_BOXES: Final = 20_000
"""Of an AVIF or HEIC: a phone's 64 megapixels in tiles of 512 have a thousand."""

_BOUNDS: Final[dict[Format, tuple[Callable[[Data], Parts], int, Any]]] = {
    "jpeg": (containers.jpeg_segments, MAX_JPEG_SEGMENTS, ()),
    "tiff": (containers.tiff_directories, MAX_TIFF_DIRECTORIES, ()),
    "gif": (containers.gif_blocks, MAX_PARTS, containers.GIF_FRAME),
    "webp": (containers.riff_chunks, MAX_PARTS, b"ANMF"),
    "png": (containers.png_chunks, MAX_PARTS, b"fcTL"),
    "avif": (containers.boxes, MAX_BOXES, ()),
    "heic": (containers.boxes, MAX_BOXES, ()),
}
"""How each kind is walked, how many parts it may have, and which of them are frames."""


def check_parts(data: Data, kind: Format) -> None:
    """Raises Refused (image_too_costly) past a bound; a broken structure is left for the codec to judge."""
    if kind not in _BOUNDS or not data:
        return
    walk, most, frame = _BOUNDS[kind]
    parts = frames = 0
    try:
        for part, _, _ in walk(data):
            parts += 1
            frames += part == frame
            if parts > most or frames > MAX_FRAMES:
                raise Refused("image_too_costly")
    except (struct.error, IndexError):
        return
