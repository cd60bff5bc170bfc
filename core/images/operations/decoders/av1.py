"""What an AVIF says of its samples that libvips does not tell.

Some name their colours in the AV1 stream's sequence header alone (AV1 specification, 5.5).
"""

import re
from pathlib import Path
from typing import Final

from core.images.operations.containers import first_box

_HEAD_BYTES: Final = 1 << 18
_GREY: Final = 0x10
_FULL_RANGE: Final = 0x80

_OBU: Final = re.compile(rb"(?:mdat|\x12\x00)\x0a([\x05-\x7f])")
"""A sequence header of one length byte, at the data's beginning or behind a temporal delimiter."""

_MAX_TRIES: Final = 64


class _Bits:
    """Reads numbers from the highest bit down; zeros behind the end."""

    def __init__(self, data: bytes) -> None:
        self._value = int.from_bytes(data, "big")
        self._left = 8 * len(data)

    def take(self, count: int) -> int:
        self._left -= count
        shifted = self._value >> self._left if self._left >= 0 else self._value << -self._left
        return shifted & ((1 << count) - 1)


def colour_codes(path: Path, width_px: int, height_px: int) -> tuple[int, int] | None:
    """Primaries and transfer by code, of the first coloured stream of this size; None where no stream names them."""
    with path.open("rb") as file:
        head = file.read(_HEAD_BYTES)
    for found, _ in zip(_OBU.finditer(head), range(_MAX_TRIES), strict=False):
        size, codes = _sequence_header(_Bits(head[found.end() : found.end() + found[1][0]]))
        if size == (width_px, height_px) and codes is not None:
            return codes
    return None


def is_limited_grey(path: Path) -> bool:
    """Whether an AVIF is grey from 16 to 235, which libheif takes for 0 to 255."""
    config, colours = first_box(path, b"av1C"), first_box(path, b"colr", b"nclx")
    return len(config) > 2 and len(colours) > 10 and bool(config[2] & _GREY) and not colours[10] & _FULL_RANGE


def _sequence_header(bits: _Bits) -> tuple[tuple[int, int], tuple[int, int] | None]:
    profile, _still, reduced = bits.take(3), bits.take(1), bits.take(1)
    if reduced:
        bits.take(5)
    elif not _operating_points(bits):
        return (0, 0), None
    width_bits, height_bits = bits.take(4) + 1, bits.take(4) + 1
    size = (bits.take(width_bits) + 1, bits.take(height_bits) + 1)
    if not reduced and bits.take(1):
        bits.take(7)
    bits.take(3)
    if not reduced:
        _tools(bits)
    bits.take(3)
    if bits.take(1) and profile == 2:
        bits.take(1)
    grey = profile != 1 and bits.take(1)
    described = bits.take(1)
    codes = (bits.take(8), bits.take(8))
    return size, codes if described and not grey else None


def _operating_points(bits: _Bits) -> bool:
    """Whether they were passed over; timing is found in films only."""
    if bits.take(1):
        return False
    delay_present = bits.take(1)
    for _ in range(bits.take(5) + 1):
        bits.take(12)
        if bits.take(5) > 7:
            bits.take(1)
        if delay_present and bits.take(1):
            bits.take(4)
    return True


def _tools(bits: _Bits) -> None:
    bits.take(4)
    order_hint = bits.take(1)
    if order_hint:
        bits.take(2)
    forced = 2 if bits.take(1) else bits.take(1)
    if forced and not bits.take(1):
        bits.take(1)
    if order_hint:
        bits.take(3)
