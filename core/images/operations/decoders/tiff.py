"""TIFF: its first directory, and layouts that libvips refuses or takes for others.

Samples of an odd number of bits, or of 64, are taken apart lazily: libtiff is told that each row is bytes, so that it
undoes the compression, and the bytes are put together here.
"""

from __future__ import annotations

import math
import struct
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

import pyvips

from core.images.operations.decoders.pillow import load_by_pillow
from core.images.operations.refusals import Refused, from_codec

_BY_LIBVIPS: Final = {1, 2, 3, 4, 5, 7, 8, 32771, 32773, 32809, 32895, 32908, 32909, 32946, 34661, 34676, 34677, 34887}
"""Compressions (tag 259) that libvips' wheel knows."""

_OTHER_COMPRESSIONS: Final = {
    6: "old-style JPEG", 34925: "LZMA", 50000: "Zstandard", 50001: "WebP", 33003: "JPEG 2000", 33005: "JPEG 2000",
    34712: "JPEG 2000", 50002: "JPEG XL", 52546: "JPEG XL",
}  # fmt: skip
"""What people call the others; some of them Pillow reads."""

_WIDTH, _HEIGHT, _BITS, _COMPRESSION, _PHOTOMETRIC, _SAMPLES = 256, 257, 258, 259, 262, 277
_PLANAR, _PREDICTOR, _TILE_WIDTH, _EXTRA, _FORMAT, _SUBSAMPLING = 284, 317, 322, 338, 339, 530
_FIELD_BYTES: Final = {1: 1, 3: 2, 4: 4}
_INVERTED, _YCBCR, _LAB = 0, 6, 8
_FLOAT: Final = 3
MIN_IS_WHITE: Final = "min-is-white"
"""A field of ours on images whose least sample is the brightest."""

_MAX_ENTRIES: Final = 4096
_ROWS: Final = 16

Entries = Mapping[int, tuple[int, tuple[int, ...]]]
"""By tag: where the entry stands in the file, and its whole numbers."""


def load(path: Path, *, stream: bool) -> Any:
    """The first page. Raises Refused, naming what cannot be read."""
    entries = _entries(path)
    compression = _one(entries, _COMPRESSION)
    if compression not in _BY_LIBVIPS:
        name = _OTHER_COMPRESSIONS.get(compression, f"compression {compression}")
        return load_by_pillow(path, f"tiff ({name})")
    photometric, bits = _one(entries, _PHOTOMETRIC), _one(entries, _BITS)
    whole_chroma = entries.get(_SUBSAMPLING, (0, (2, 2)))[1] == (1, 1)
    if (photometric == _YCBCR and compression != 7 and whole_chroma) or (photometric == _LAB and bits == 8):
        return load_by_pillow(path, "tiff (YCbCr)" if photometric == _YCBCR else "tiff (Lab)")
    try:
        if bits == 64 or (bits % 8 and (bits not in (1, 2, 4) or _one(entries, _SAMPLES) > 1)):
            image = _unpacked(path, entries, bits)
        else:
            image = pyvips.Image.tiffload(str(path), access="sequential" if stream else "random", fail_on="error")
    except pyvips.Error as error:
        raise from_codec(error, f"tiff ({bits} bits)" if bits > 32 else "tiff") from error
    if photometric == _INVERTED and image.format not in ("uchar", "ushort", "uint"):  # libvips inverts those
        image = image.copy()
        image.set_type(pyvips.GValue.gint_type, MIN_IS_WHITE, 1)
    return image


def _one(entries: Entries, tag: int) -> int:
    return entries.get(tag, (0, (1,)))[1][0]


def _entries(path: Path) -> Entries:
    """Of the first directory; nothing of a BigTIFF, nor of one that is broken."""
    with path.open("rb") as file:
        head = file.read(8)
        order = "<" if head[:2] == b"II" else ">"
        try:
            magic, at = struct.unpack(f"{order}HI", head[2:])
            if magic != 42:
                return {}
            file.seek(at)
            [count] = struct.unpack(f"{order}H", file.read(2))
            block = file.read(12 * min(count, _MAX_ENTRIES))
            found = {}
            for i in range(0, len(block) - 11, 12):
                tag, kind, number = struct.unpack_from(f"{order}HHI", block, i)
                size = _FIELD_BYTES.get(kind)
                if size is None or not 0 < number <= 64:
                    continue
                raw = block[i + 8 : i + 8 + number * size]
                if number * size > 4:
                    file.seek(struct.unpack_from(f"{order}I", block, i + 8)[0])
                    raw = file.read(number * size)
                code = f"{order}{number}{ {1: 'B', 2: 'H', 4: 'I'}[size] }"
                found[tag] = (at + 2 + i, struct.unpack(code, raw))
        except struct.error:
            return {}
    return found


def _unpacked(path: Path, entries: Entries, bits: int) -> Any:
    samples, width = _one(entries, _SAMPLES), _one(entries, _WIDTH)
    photometric, kind = _one(entries, _PHOTOMETRIC), _one(entries, _FORMAT)
    strange = _TILE_WIDTH in entries or _one(entries, _PREDICTOR) != 1 or (_one(entries, _PLANAR) != 1 and samples > 1)
    strange = strange or photometric not in (_INVERTED, 1, 2) or (bits < 64 and kind != 1) or bits > 64
    if strange or len(set(entries.get(_BITS, (0, (1,)))[1])) > 1:
        raise Refused("unsupported_format", format=f"tiff ({bits} bits)")
    rows = _as_bytes(path, entries, math.ceil(width * samples * bits / 8))
    image = _of_64_bits(rows, path, kind) if bits == 64 else _of_odd_bits(rows, bits)
    image = image.crop(0, 0, width * samples, image.height)
    if samples > 1:
        image = image.bandfold(factor=samples)
    if photometric == _INVERTED and bits < 64:  # of more bits it is for the loader to say
        image = (65535 - image).cast("ushort")
    deep = "rgb16" if samples > 2 else "grey16"
    return image.copy(interpretation=deep if bits < 64 else "srgb" if samples > 2 else "b-w")


def _as_bytes(path: Path, entries: Entries, row_bytes: int) -> Any:
    """The file with its rows told to be so many grey samples of 8 bits."""
    data = bytearray(path.read_bytes())
    order = "<" if data[:2] == b"II" else ">"
    for tag, value in ((_WIDTH, row_bytes), (_BITS, 8), (_PHOTOMETRIC, 1), (_SAMPLES, 1), (_FORMAT, 1)):
        if tag in entries:
            struct.pack_into(f"{order}HHII", data, entries[tag][0], tag, 4, 1, value)
    if _EXTRA in entries:
        struct.pack_into(f"{order}H", data, entries[_EXTRA][0], 65_000)
    return pyvips.Image.tiffload_buffer(bytes(data), fail_on="error")


def _of_64_bits(rows: Any, path: Path, kind: int) -> Any:
    """Floats as they are; of whole numbers the upper half."""
    with path.open("rb") as file:
        swapped = file.read(2) == b"MM"
    parts = rows.bandfold(factor=8)
    if kind == _FLOAT:
        numbers = parts.copy(bands=1, format="double", interpretation="b-w")
    else:
        upper = parts.extract_band(0 if swapped else 4, n=4)
        numbers = upper.copy(bands=1, format="int" if kind == 2 else "uint", interpretation="b-w")
    return numbers.byteswap() if swapped else numbers


def _of_odd_bits(rows: Any, bits: int) -> Any:
    """Samples of 16 bits, side by side, of samples packed from the highest bit down."""
    group = math.lcm(bits, 8)
    group_bytes, count = group // 8, group // bits
    groups = math.ceil(rows.width / group_bytes)
    parts = rows.embed(0, 0, groups * group_bytes, rows.height).bandfold(factor=group_bytes)
    bands = []
    for first in range(0, group, bits):
        value: Any = 0
        for i in range(first // 8, (first + bits - 1) // 8 + 1):
            shift = first + bits - 8 * (i + 1)  # of this byte's last bit, within the sample
            lowest, highest = max(0, -shift), min(8, bits - shift)
            mask = (1 << highest) - (1 << lowest)
            value = value + (parts[i] & mask).cast("uint") * 2.0**shift
        bands.append((value * (65535 / ((1 << bits) - 1))).rint().cast("ushort"))
    joined = bands[0].bandjoin(bands[1:]) if count > 1 else bands[0]
    # Whole rows, because libvips 8.18 unfolds a tile that begins between two woven samples out of step.
    return joined.linecache(tile_height=_ROWS, access="sequential", threaded=True).bandunfold(factor=count)
