"""BMP for libvips, which has no reader of its own in our build.

Rows of 16, 24 and 32 bits are mapped and taken apart lazily by their masks, so nothing is decoded here; fewer bits and
run lengths are decoded by Pillow. Kinds that browsers do not show either are refused by name.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import pyvips

from core.images.operations.decoders.pillow import load_by_pillow
from core.images.operations.refusals import Refused, damaged

_HEAD_BYTES = 14 + 124
_RGB, _RLE8, _RLE4, _BITFIELDS, _ALPHA_BITFIELDS = 0, 1, 2, 3, 6
_PLAIN_MASKS: Final = {
    16: (0x7C00, 0x03E0, 0x001F, 0),
    24: (0x00FF0000, 0x0000FF00, 0x000000FF, 0),
    32: (0x00FF0000, 0x0000FF00, 0x000000FF, 0),
}
_PROFILE_EMBEDDED = b"DEBM"


@dataclass(frozen=True, slots=True)
class _Header:
    offset: int
    width: int
    height: int
    bits: int
    compression: int
    masks: tuple[int, int, int, int]
    profile: tuple[int, int]


def load(path: Path) -> Any:
    """A lazy libvips image, upright, with 3 bands, or 4 where the header gives alpha a mask. Raises Refused."""
    with path.open("rb") as file:
        head = _parse(file.read(_HEAD_BYTES))
        file.seek(head.profile[0])
        profile = file.read(min(head.profile[1], 1 << 22)) if head.profile[0] else b""
    if head.bits in (1, 4, 8) and head.compression in (_RGB, _RLE8, _RLE4):
        image = load_by_pillow(path, "bmp")
    elif head.bits in _PLAIN_MASKS and head.compression in (_RGB, _BITFIELDS, _ALPHA_BITFIELDS):
        image = _by_masks(path, head)
    else:
        raise Refused("unsupported_format", format=f"bmp ({head.bits} bits, compression {head.compression})")
    if profile:
        image = image.copy()
        image.set_type(pyvips.GValue.blob_type, "icc-profile-data", profile)
    return image


def _by_masks(path: Path, head: _Header) -> Any:
    height, step = abs(head.height), head.bits // 8
    stride = (head.width * head.bits + 31) // 32 * 4
    if head.width < 1 or height < 1 or head.offset + stride * height > path.stat().st_size:
        raise damaged("truncated")
    rows = pyvips.Image.rawload(str(path), stride, height, 1, offset=head.offset)
    parts = rows.crop(0, 0, head.width * step, height).bandfold(factor=step)
    bands = [_band(parts, mask) for mask in head.masks[:3]]
    if head.masks[3]:
        alpha = _band(parts, head.masks[3])
        if alpha.max() > 0:  # all zero: a writer that left the mask and forgot the alpha; browsers show it opaque
            bands.append(alpha)
    image = bands[0].bandjoin(bands[1:]).copy(interpretation="srgb")
    return image if head.height < 0 else image.flipver()


def _band(parts: Any, mask: int) -> Any:
    """The bits under `mask`, wherever they lie in the pixel's bytes, as 0 to 255."""
    if mask == 0:
        return (parts[0] * 0).cast("uchar")
    shift = (mask & -mask).bit_length() - 1
    most = mask >> shift
    if most == 255 and shift % 8 == 0:
        return parts[shift // 8]
    value = sum(
        ((parts[i] & (mask >> 8 * i & 255)).cast("uint") * 2.0 ** (8 * i - shift) for i in range(parts.bands)), start=0
    )
    return (value * (255 / most)).rint().cast("uchar")


def _parse(head: bytes) -> _Header:
    try:
        offset, size = struct.unpack_from("<II", head, 10)
        if size == 12:
            width, height, _planes, bits = struct.unpack_from("<HHHH", head, 18)
            compression = _RGB
        else:
            width, height, _planes, bits, compression = struct.unpack_from("<iiHHI", head, 18)
        masks = _PLAIN_MASKS.get(bits, (0, 0, 0, 0))
        if compression in (_BITFIELDS, _ALPHA_BITFIELDS):
            red, green, blue = struct.unpack_from("<III", head, 54)
            has_alpha = size >= 56 or compression == _ALPHA_BITFIELDS
            masks = (red, green, blue, struct.unpack_from("<I", head, 66)[0] if has_alpha else 0)
        profile = (0, 0)
        if size == 124 and head[70:74] == _PROFILE_EMBEDDED:
            at, length = struct.unpack_from("<II", head, 126)
            profile = (14 + at, length)
    except struct.error as error:
        raise damaged("truncated") from error
    if any(mask >= 1 << bits for mask in masks):
        raise damaged("corrupt")
    return _Header(offset, width, height, bits, compression, masks, profile)
