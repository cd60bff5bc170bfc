"""The colours that an AV1 stream names in its sequence header (AV1 specification, 5.5); some AVIFs say it there."""

from __future__ import annotations

import re
from typing import Final

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


def colour_codes(head: bytes, width_px: int, height_px: int) -> tuple[int, int] | None:
    """Primaries and transfer by code, of the first coloured stream of this size; None where no stream names them."""
    for found, _ in zip(_OBU.finditer(head), range(_MAX_TRIES), strict=False):
        size, codes = _sequence_header(_Bits(head[found.end() : found.end() + found[1][0]]))
        if size == (width_px, height_px) and codes is not None:
            return codes
    return None


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
