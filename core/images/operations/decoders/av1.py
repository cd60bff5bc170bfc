"""Reads AVIF properties that libvips does not expose.

Some files describe their colours in the AV1 sequence header only (AV1 specification, 5.5).
"""

import io
import re
from collections.abc import Callable
from pathlib import Path
from typing import Final

from core.images.operations.containers import first_box

_HEAD_BYTES: Final = 1 << 18
_GREY: Final = 0x10
_FULL_RANGE: Final = 0x80

_OBU: Final = re.compile(rb"(?:mdat|\x12\x00)\x0a([\x05-\x7f])")
"""A sequence header with one length byte, at the start of the data or after a temporal delimiter."""

_MAX_TRIES: Final = 64
_Take = Callable[[int], int]


def _reader(data: bytes) -> _Take:
    """Return a reader of big-endian bit fields; zeros after the end."""
    bits = io.StringIO("".join(f"{byte:08b}" for byte in data))
    return lambda count: int(bits.read(count).ljust(count, "0"), 2)


def colour_codes(path: Path, width_px: int, height_px: int) -> tuple[int, int] | None:
    """Return the codes of primaries and transfer of the first coloured stream of this size that has them, or None."""
    with path.open("rb") as file:
        head = file.read(_HEAD_BYTES)
    for found, _ in zip(_OBU.finditer(head), range(_MAX_TRIES), strict=False):
        size, codes = _sequence_header(_reader(head[found.end() : found.end() + found[1][0]]))
        if size == (width_px, height_px) and codes is not None:
            return codes
    return None


def is_grey(path: Path) -> bool:
    config = first_box(path, b"av1C")
    return len(config) > 2 and bool(config[2] & _GREY)


def is_limited_grey(path: Path) -> bool:
    """Whether an AVIF is grey in limited range (16 to 235), which libheif reads as full range."""
    colours = first_box(path, b"colr", b"nclx")
    return is_grey(path) and len(colours) > 10 and not colours[10] & _FULL_RANGE


def _sequence_header(take: _Take) -> tuple[tuple[int, int], tuple[int, int] | None]:
    profile, _still, reduced = take(3), take(1), take(1)
    if reduced:
        take(5)
    elif not _skip_operating_points(take):
        return (0, 0), None
    width_bits, height_bits = take(4) + 1, take(4) + 1
    size = (take(width_bits) + 1, take(height_bits) + 1)
    if not reduced and take(1):
        take(7)
    take(3)
    if not reduced:
        _skip_tools(take)
    take(3)
    if take(1) and profile == 2:
        take(1)
    grey = profile != 1 and take(1)
    described = take(1)
    codes = (take(8), take(8))
    return size, codes if described and not grey else None


def _skip_operating_points(take: _Take) -> bool:
    """Skip the operating points; False if there is timing information, which only videos have."""
    if take(1):
        return False
    delay_present = take(1)
    for _ in range(take(5) + 1):
        take(12)
        if take(5) > 7:
            take(1)
        if delay_present and take(1):
            take(4)
    return True


def _skip_tools(take: _Take) -> None:
    take(4)
    order_hint = take(1)
    if order_hint:
        take(2)
    forced = 2 if take(1) else take(1)
    if forced and not take(1):
        take(1)
    if order_hint:
        take(3)
