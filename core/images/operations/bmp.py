"""BMP for libvips, which has no reader of its own in our build: uncompressed 8, 24 and 32 bits a pixel.

libvips maps the raw rows and reorders them lazily, so nothing is decoded here. Rarer kinds are refused by name.
"""

from __future__ import annotations

import struct
from pathlib import Path
from typing import Any

import pyvips

from core.images.operations.refusals import Refused, damaged

_HEAD_BYTES = 14 + 124 + 256 * 4
_RGB, _BITFIELDS = 0, 3
_BGR_MASKS = (0x00FF0000, 0x0000FF00, 0x000000FF)


def load(path: Path) -> Any:
    """A lazy libvips image, upright, 3 bands (BMP's fourth byte is padding in practice). Raises Refused."""
    with path.open("rb") as file:
        head = file.read(_HEAD_BYTES)
    offset, width, height, bits, palette_at, entry_bytes = _parse(head)
    top_down, height = height < 0, abs(height)
    stride = (width * bits + 31) // 32 * 4
    if width < 1 or height < 1 or offset + stride * height > path.stat().st_size:
        raise damaged("truncated")
    rows = pyvips.Image.rawload(str(path), stride, height, 1, offset=offset)
    samples = rows.crop(0, 0, width * bits // 8, height)
    if bits == 8:
        image = samples.maplut(_palette(head[palette_at:offset], entry_bytes))
    else:
        pixels = samples.bandfold(factor=bits // 8)
        image = pixels[2].bandjoin([pixels[1], pixels[0]])
    return (image if top_down else image.flipver()).copy(interpretation="srgb")


def _parse(head: bytes) -> tuple[int, int, int, int, int, int]:
    try:
        offset, size = struct.unpack_from("<II", head, 10)
        if size == 12:
            width, height, _planes, bits = struct.unpack_from("<HHHH", head, 18)
            compression, entry_bytes = _RGB, 3
        else:
            width, height, _planes, bits, compression = struct.unpack_from("<iiHHI", head, 18)
            entry_bytes = 4
        masks = struct.unpack_from("<III", head, 54) if compression == _BITFIELDS else _BGR_MASKS
    except struct.error as error:
        raise damaged("truncated") from error
    if bits not in (8, 24, 32) or compression not in (_RGB, _BITFIELDS) or masks != _BGR_MASKS:
        raise Refused("unsupported_format", format="bmp")
    return offset, width, height, bits, 14 + size, entry_bytes


def _palette(table: bytes, entry_bytes: int) -> Any:
    """256 colours as a 256×1 lookup image; missing ones are black."""
    colours = bytearray(256 * 3)
    for index in range(min(256, len(table) // entry_bytes)):
        blue, green, red = table[index * entry_bytes : index * entry_bytes + 3]
        colours[index * 3 : index * 3 + 3] = bytes((red, green, blue))
    return pyvips.Image.new_from_memory(bytes(colours), 256, 1, 3, "uchar")
