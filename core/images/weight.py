"""About how much memory decoding a file takes, from its first bytes; so that heavy ones go one at a time.

An estimate for sharing memory out, not a bound: the bound is the worker's own (`Bounds.address_space_bytes`).
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

HEAVY_BYTES: Final = 128_000_000
_HEAD_BYTES: Final = 64
_UNPACKED_PER_BYTE: Final = 24
"""A JPEG of a phone holds 12 megapixels in 5 MB; progressive ones and AVIF are unpacked whole."""

_PNG_SAMPLES: Final = {0: 1, 2: 3, 3: 4, 4: 2, 6: 4}


def decoded_bytes(path: Path) -> int:
    """0 for what streams row by row; reads a few bytes, so not for the event loop."""
    try:
        with path.open("rb") as file:
            head = file.read(_HEAD_BYTES)
        size_bytes = path.stat().st_size
    except OSError:
        return 0
    if head.startswith(b"\x89PNG") and len(head) >= 29:
        width_px, height_px = int.from_bytes(head[16:20], "big"), int.from_bytes(head[20:24], "big")
        bytes_per_pixel = _PNG_SAMPLES.get(head[25], 4) * max(8, head[24]) // 8
        return 2 * width_px * height_px * bytes_per_pixel if head[28] else 0
    if head[:4] == b"RIFF" and head[12:16] == b"VP8X":
        return 8 * (int.from_bytes(head[24:27], "little") + 1) * (int.from_bytes(head[27:30], "little") + 1)
    return size_bytes * _UNPACKED_PER_BYTE


def is_heavy(args: Mapping[str, Any]) -> bool:
    """Whether a job's pictures (its arguments `path`, `before`, `after`) need more than a light share of memory."""
    paths = [Path(args[name]) for name in ("path", "before", "after") if isinstance(args.get(name), str)]
    return sum(decoded_bytes(path) for path in paths if path.is_file()) > HEAVY_BYTES
