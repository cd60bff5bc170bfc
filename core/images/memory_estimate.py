"""Estimates from a file's header how much memory decoding takes, so that heavy images run one at a time.

The hard limit is the worker's own (`Bounds.address_space_bytes`).
"""

import struct
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from core.domain.media_types import Format, sniff
from core.images.operations.probe import declared_size, largest_item
from core.images.operations.refusals import Refused

HEAVY_BYTES: Final = 128_000_000
_UNPACKED_PER_BYTE: Final = 24
"""For formats whose header does not contain the size."""

_HEAD_BYTES: Final = 1 << 18
_PNG_HEADER_BYTES: Final = 29
_PNG_SAMPLES: Final = {0: 1, 2: 3, 3: 4, 4: 2, 6: 4}
_BYTES_PER_PIXEL: Final[dict[Format, int]] = {"webp": 8, "gif": 8, "avif": 12, "heic": 12}
"""Formats that are decoded whole, including the codec's own memory. Baseline JPEG and BMP stream."""

_PROGRESSIVE_BYTES: Final = 6
"""2 bytes per coefficient, for three colours."""

_NETWORK_BYTES: Final = 24
"""Per input pixel: itself, float strips of its doubled size, and the network's layers."""


def decoded_bytes(path: Path, more_per_pixel: int = 0) -> int:
    """Return 0 for formats that stream. Blocking."""
    if not path.is_file():  # reading a pipe would block
        return 0
    try:
        with path.open("rb") as file:
            head = file.read(_HEAD_BYTES)
        kind = sniff(head)
        if kind is None or kind == "tiff":
            size = None
        else:
            size = largest_item(head) if kind in ("avif", "heic") else declared_size(head, kind)
        if kind is None or size is None:
            return path.stat().st_size * _UNPACKED_PER_BYTE
        return size[0] * size[1] * (_per_pixel(kind, head) + more_per_pixel)
    except (OSError, Refused, struct.error):
        return 0


def _per_pixel(kind: Format, head: bytes) -> int:
    if kind == "png":
        if len(head) < _PNG_HEADER_BYTES:
            return 0
        return 2 * _PNG_SAMPLES.get(head[25], 4) * max(8, head[24]) // 8 if head[28] else 0
    if kind == "jpeg":
        return _PROGRESSIVE_BYTES if b"\xff\xc2" in head else 0
    return _BYTES_PER_PIXEL.get(kind, 0)


def is_heavy(args: Mapping[str, Any]) -> bool:
    """Whether a job's images need more than a light share of memory. Blocking."""
    more = _NETWORK_BYTES if args.get("network") else 0
    paths = [Path(args[name]) for name in ("path", "source", "before", "after") if args.get(name)]
    return sum(decoded_bytes(path, more) for path in paths) > HEAVY_BYTES
