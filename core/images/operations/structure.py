"""How many parts a file is made of, counted before a codec walks them. Reads a few bytes a part, decodes nothing.

Files of millions of tiny parts are cheap to send and take a codec minutes: 12 million JPEG segments 46 s, 100,000 TIFF
directories 11 s. The bounds are far above what cameras and programs write.
"""

from __future__ import annotations

import mmap
import re
import struct
from collections.abc import Callable
from pathlib import Path
from typing import Final

from core.domain.media_types import Format
from core.images.operations.refusals import Refused

MAX_JPEG_SEGMENTS: Final = 10_000
MAX_TIFF_DIRECTORIES: Final = 1_000
MAX_FRAMES: Final = 10_000
MAX_PARTS: Final = 400_000
"""Chunks of a PNG or a WebP, sub-blocks of a GIF: 50 MB in sub-blocks of 255 bytes are 200,000."""

MAX_BOXES: Final = 20_000
"""Of an AVIF or HEIC: a phone's 64 megapixels in tiles of 512 have a thousand."""

_HOLDERS: Final = {
    b"meta": 4, b"iprp": 0, b"ipco": 0, b"iinf": 6, b"iref": 4, b"moov": 0, b"trak": 0, b"mdia": 0, b"minf": 0,
    b"stbl": 0,
}  # fmt: skip
"""Boxes that hold boxes, and how many bytes stand before those."""

_JPEG_MARKER: Final = re.compile(rb"\xff[\x01-\xcf\xd8-\xfe]|\xff{3}")
"""A segment's beginning, or three bytes of fill."""


def check_parts(path: Path, kind: Format) -> None:
    """Raises Refused (image_too_costly) past a bound; a broken structure is left for the codec to judge."""
    count = _COUNTERS.get(kind)
    if count is None or not path.stat().st_size:
        return
    with path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as data:
        try:
            count(data)
        except (struct.error, IndexError):
            return


def _bounded(number: int, most: int) -> int:
    if number >= most:
        raise Refused("image_too_costly")
    return number + 1


def _jpeg(data: mmap.mmap) -> None:
    at, segments = 2, 0
    while (found := _JPEG_MARKER.search(data, at)) is not None:
        segments = _bounded(segments, MAX_JPEG_SEGMENTS)
        at, marker = found.end(), data[found.end() - 1]
        if marker not in (0x01, 0xD8, 0xD9, 0xFF):
            at = max(at, found.start() + 2 + int.from_bytes(data[found.start() + 2 : found.start() + 4], "big"))


def _tiff(data: mmap.mmap) -> None:
    order = "<" if data[:2] == b"II" else ">"
    large = data[2:4] in (b"+\x00", b"\x00+")
    offset, number, entry_bytes = ("Q", "Q", 20) if large else ("I", "H", 12)
    [at] = struct.unpack_from(order + offset, data, 8 if large else 4)
    seen: set[int] = set()
    while at and at not in seen:
        seen.add(at)
        _bounded(len(seen), MAX_TIFF_DIRECTORIES)
        [entries] = struct.unpack_from(order + number, data, at)
        [at] = struct.unpack_from(order + offset, data, at + struct.calcsize(number) + entries * entry_bytes)


def _gif(data: mmap.mmap) -> None:
    at = 13 + _palette_bytes(data[10])
    frames = blocks = 0
    while at < len(data) and data[at] != 0x3B:
        if data[at] == 0x2C:
            frames = _bounded(frames, MAX_FRAMES)
            at += 11 + _palette_bytes(data[at + 9])
        else:
            at += 2
        blocks = _bounded(blocks, MAX_PARTS)
        while length := data[at]:
            blocks = _bounded(blocks, MAX_PARTS)
            at += 1 + length
        at += 1


def _palette_bytes(flags: int) -> int:
    return 3 << (flags & 7) + 1 if flags & 0x80 else 0


def _webp(data: mmap.mmap) -> None:
    at, frames, chunks = 12, 0, 0
    while at + 8 <= len(data):
        chunks = _bounded(chunks, MAX_PARTS)
        if data[at : at + 4] == b"ANMF":
            frames = _bounded(frames, MAX_FRAMES)
        length = int.from_bytes(data[at + 4 : at + 8], "little")
        at += 8 + length + (length & 1)


def _png(data: mmap.mmap) -> None:
    at, frames, chunks = 8, 0, 0
    while at + 12 <= len(data) and data[at + 4 : at + 8] != b"IEND":
        chunks = _bounded(chunks, MAX_PARTS)
        if data[at + 4 : at + 8] == b"fcTL":
            frames = _bounded(frames, MAX_FRAMES)
        at += 12 + int.from_bytes(data[at : at + 4], "big")


def _heif(data: mmap.mmap) -> None:
    """Boxes of an AVIF or HEIC, those in the ones that only hold others included."""
    boxes, ends = 0, [len(data)]
    at = 0
    while ends:
        if at + 8 > ends[-1]:
            at = ends.pop()
            continue
        boxes = _bounded(boxes, MAX_BOXES)
        length, head = int.from_bytes(data[at : at + 4], "big"), 8
        if length == 1:
            length, head = int.from_bytes(data[at + 8 : at + 16], "big"), 16
        end = min(ends[-1], at + length) if length >= head else ends[-1]
        inside = _HOLDERS.get(data[at + 4 : at + 8])
        if inside is not None:
            ends.append(end)
            at += head + inside
        else:
            at = end


_COUNTERS: dict[Format, Callable[[mmap.mmap], None]] = {
    "jpeg": _jpeg, "tiff": _tiff, "gif": _gif, "webp": _webp, "png": _png, "avif": _heif, "heic": _heif,
}  # fmt: skip
