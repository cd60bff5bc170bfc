"""Decodes BMP, which our build of libvips cannot read.

Rows are mapped and unpacked lazily, by masks or palette; only run lengths are decoded in Python. Variants that browsers
do not show are refused by name.
"""

import struct
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import pyvips

from core.images.operations.refusals import Refused, damaged, from_codec

_HEAD_BYTES = 14 + 124
_RGB, _RLE8, _RLE4, _BITFIELDS, _JPEG, _PNG, _ALPHA_BITFIELDS = 0, 1, 2, 3, 4, 5, 6
_RLE24: Final = -24
"""Our number for OS/2's RLE24, whose own number means JPEG in Windows files."""

_OS2_BYTES: Final = 64
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
    per_metre: tuple[int, int]
    palette: tuple[int, int, int]
    """Offset, bytes per colour, and the maximum number of colours."""


def load(path: Path) -> Any:
    """Return a lazy image, upright, with 3 bands, or 4 if the header has a mask for alpha. Raises Refused."""
    with path.open("rb") as file:
        head = _parse(file.read(_HEAD_BYTES))
        if head.compression in (_JPEG, _PNG):
            file.seek(head.offset)
            unpack = pyvips.Image.jpegload_buffer if head.compression == _JPEG else pyvips.Image.pngload_buffer
            try:
                return unpack(file.read(), fail_on="error")
            except pyvips.Error as error:
                raise from_codec(error, "bmp") from error
        file.seek(head.profile[0])
        profile = file.read(min(head.profile[1], 1 << 22)) if head.profile[0] else b""
    if (head.bits in (1, 2, 4, 8) and head.compression in (_RGB, _RLE8, _RLE4)) or head.compression == _RLE24:
        image = _by_palette(path, head)
    elif head.bits in _PLAIN_MASKS and head.compression in (_RGB, _BITFIELDS, _ALPHA_BITFIELDS):
        image = _by_masks(path, head)
    else:
        raise Refused("unsupported_format", format=f"bmp ({head.bits} bits, compression {head.compression})")
    image = image.copy(xres=head.per_metre[0] / 1000, yres=head.per_metre[1] / 1000)
    if profile:
        image.set_type(pyvips.GValue.blob_type, "icc-profile-data", profile)
    return image


def _rows(path: Path, head: _Header) -> Any:
    height, stride = abs(head.height), (head.width * head.bits + 31) // 32 * 4
    if head.width < 1 or height < 1 or head.offset + stride * height > path.stat().st_size:
        raise damaged("truncated")
    return pyvips.Image.rawload(str(path), stride, height, 1, offset=head.offset)


def _by_palette(path: Path, head: _Header) -> Any:
    table = _colours(path, head)
    if head.compression == _RGB:
        palette = pyvips.Image.new_from_memory(b"".join(table), 256, 1, 3, "uchar").copy(interpretation="srgb")
        numbers = _rows(path, head)
        if (per_byte := 8 // head.bits) > 1:
            shifts = [8 - head.bits * (i + 1) for i in range(per_byte)]
            parts = [(numbers >> shift) & ((1 << head.bits) - 1) for shift in shifts]
            # Whole rows, because libvips 8.18 unfolds a tile that begins between two interleaved pixels wrongly.
            joined = parts[0].bandjoin(parts[1:]).linecache(tile_height=16, access="sequential", threaded=True)
            numbers = joined.bandunfold(factor=per_byte)
        image = numbers.crop(0, 0, head.width, abs(head.height)).maplut(palette)
    else:
        rows = _run_lengths(path, head, table)
        image = pyvips.Image.new_from_memory(rows, head.width, abs(head.height), 3, "uchar")
        image = image.copy(interpretation="srgb")
    return image if head.height < 0 else image.flipver()


def _colours(path: Path, head: _Header) -> list[bytes]:
    """Return 256 colours, missing ones black; an empty list for images without a palette."""
    if head.bits > 8:
        return []
    at, step, most = head.palette
    with path.open("rb") as file:
        file.seek(at)
        colours = file.read(step * min(most, 1 << head.bits))
    if len(colours) < step:
        raise damaged("truncated")
    found = [colours[i : i + 3][::-1] for i in range(0, len(colours) - step + 1, step)]
    return found + [bytes(3)] * (256 - len(found))


def _run_lengths(path: Path, head: _Header, table: list[bytes]) -> bytearray:
    """Decode to colours, bottom row first. Skipped or missing pixels are black, as in browsers."""
    width, height = head.width, abs(head.height)
    with path.open("rb") as file:
        file.seek(head.offset)
        data = file.read()
    out = bytearray(3 * width * height)
    x = y = at = 0
    while at + 1 < len(data) and y < height:
        count, value = data[at], data[at + 1]
        if count:
            step = max(1, head.bits // 8)
            x = _write_run(out, (_pixels(data[at + 1 : at + 1 + step], head, table) * count)[: 3 * count], x, y, width)
            at += 1 + step
            continue
        at += 2
        if value == 0:
            x, y = 0, y + 1
        elif value == 1:
            break
        elif value == 2:
            x, y = x + sum(data[at : at + 1]), y + sum(data[at + 1 : at + 2])
            at += 2
        else:
            size = (value * head.bits + 7) // 8
            x = _write_run(out, _pixels(data[at : at + size], head, table)[: 3 * value], x, y, width)
            at += size + (size & 1)
    return out


def _pixels(run: bytes, head: _Header, table: list[bytes]) -> bytes:
    if head.bits == 4:
        return b"".join(table[byte >> 4] + table[byte & 15] for byte in run)
    if head.bits == 8:
        return b"".join(table[byte] for byte in run)
    return b"".join(run[i : i + 3][::-1] for i in range(0, len(run), 3))


def _write_run(out: bytearray, run: bytes, x: int, y: int, width: int) -> int:
    visible = run[: 3 * max(0, width - x)]
    start = 3 * (y * width + x)
    out[start : start + len(visible)] = visible
    return x + len(run) // 3


def _by_masks(path: Path, head: _Header) -> Any:
    height, step = abs(head.height), head.bits // 8
    parts = _rows(path, head).crop(0, 0, head.width * step, height).bandfold(factor=step)
    bands = [_band(parts, mask) for mask in head.masks[:3]]
    if head.masks[3]:
        alpha = _band(parts, head.masks[3])
        if alpha.max() > 0:  # all zero comes from writers that do not fill alpha; browsers show it opaque
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
            compression = compression if size >= 20 else _RGB
            compression = _RLE24 if (size, bits, compression) == (_OS2_BYTES, 24, _JPEG) else compression
        masks = _PLAIN_MASKS.get(bits, (0, 0, 0, 0))
        if bits == 32 and compression == _RGB and size >= 108:  # browsers use its alpha mask, and no other
            masks = (*masks[:3], struct.unpack_from("<I", head, 66)[0])
        if compression in (_BITFIELDS, _ALPHA_BITFIELDS):
            red, green, blue = struct.unpack_from("<III", head, 54)
            has_alpha = size >= 56 or compression == _ALPHA_BITFIELDS
            masks = (red, green, blue, struct.unpack_from("<I", head, 66)[0] if has_alpha else 0)
        across, down, used = struct.unpack_from("<iiI", head, 38) if size >= 40 else (0, 0, 0)
        gap = 12 if compression == _BITFIELDS and size == 40 else 16 if compression == _ALPHA_BITFIELDS else 0
        palette = (14 + size + gap, 3 if size == 12 else 4, used or 256)
        profile = (0, 0)
        if size == 124 and head[70:74] == _PROFILE_EMBEDDED:
            at, length = struct.unpack_from("<II", head, 126)
            profile = (14 + at, length)
    except struct.error as error:
        raise damaged("truncated") from error
    if any(mask >= 1 << bits for mask in masks):
        raise damaged("corrupt")
    return _Header(offset, width, height, bits, compression, masks, profile, (max(0, across), max(0, down)), palette)
