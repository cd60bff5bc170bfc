"""Iterates over the parts of image files: chunks, segments, blocks, boxes and directories.

Each iterator yields (kind, start, end) per part, reads a few bytes of it, and decodes nothing. It ends where the file
is truncated; a broken structure raises struct.error or IndexError.

Millions of tiny parts are cheap to send but take a codec minutes: 12 million JPEG segments 46 s, 100,000 TIFF
directories 11 s. So parts are counted before a codec runs; the limits are far above what cameras and programs write.
"""

import contextlib
import mmap
import re
import struct
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Final

from core.domain.media_types import Format
from core.images.operations.refusals import Refused

Data = bytes | mmap.mmap
Parts = Iterator[tuple[Any, int, int]]

SOI, EOI, SOS, FILL = 0xD8, 0xD9, 0xDA, 0xFF
WEBP_FLAGS, WEBP_ALPHA, _WEBP_MOVES = 20, 0x10, 0x02
GIF_FRAME, GIF_EXTENSION, GIF_DATA = 0x2C, 0x21, 0x00

_HOLDERS: Final = {
    b"meta": 4, b"iprp": 0, b"ipco": 0, b"iinf": 6, b"iref": 4, b"moov": 0, b"trak": 0, b"mdia": 0, b"minf": 0,
    b"stbl": 0,
}  # fmt: skip
"""Boxes that contain boxes, and how many bytes precede those."""

_MARKER: Final = re.compile(rb"\xff[\x01-\xcf\xd8-\xfe]")
_MARKER_OR_FILL: Final = re.compile(_MARKER.pattern + rb"|\xff\xff(?=\xff)")


@contextlib.contextmanager
def mapped(path: Path) -> Iterator[Data]:
    with path.open("rb") as file:
        if not path.stat().st_size:
            yield b""
            return
        with mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as data:
            yield data


def png_chunks(data: Data) -> Parts:
    """Complete chunks, up to and including IEND."""
    at, kind = 8, b""
    while at + 12 <= len(data) and kind != b"IEND":
        length, kind = struct.unpack_from(">I4s", data, at)
        end = at + 12 + length
        if end > len(data):
            return
        yield kind, at, end
        at = end


def jpeg_segments(data: Data) -> Parts:
    """Marker segments, up to and including EOI; entropy-coded data belongs to its SOS. Fill bytes are parts too.

    Stray bytes between segments are skipped, as every decoder does.
    """
    at = 2
    while (found := _MARKER_OR_FILL.search(data, at)) is not None:
        start, marker = found.start(), data[found.end() - 1]
        end = at = found.end()
        if marker not in (0x01, SOI, EOI, FILL):
            end = start + 2 + int.from_bytes(data[start + 2 : start + 4], "big")
            if marker == SOS:
                after = _MARKER.search(data, end)
                end = after.start() if after else len(data)
            at = max(at, end)
        yield marker, start, end
        if marker == EOI:
            return


def gif_blocks(data: Data) -> Parts:
    """Frames, extensions and, as separate parts, the sub-blocks of both."""
    at = 13 + _palette_bytes(data[10])
    while at < len(data) and data[at] != 0x3B:
        kind, start = data[at], at
        at += 11 + _palette_bytes(data[at + 9]) if kind == GIF_FRAME else 2
        yield kind, start, at
        while length := data[at]:
            yield GIF_DATA, at, at + 1 + length
            at += 1 + length
        at += 1


def _palette_bytes(flags: int) -> int:
    return 3 << (flags & 7) + 1 if flags & 0x80 else 0


def riff_chunks(data: Data) -> Parts:
    """Chunks of a WebP, including padding; the last may end after the file."""
    at = 12
    while at + 8 <= len(data):
        length = int.from_bytes(data[at + 4 : at + 8], "little")
        end = at + 8 + length + (length & 1)
        yield data[at : at + 4], at, end
        at = end


def hides_alpha(path: Path) -> bool:
    """Whether a still lossless WebP has alpha that its VP8X header does not declare; browsers show it."""
    with mapped(path) as data:
        if data[12:16] != b"VP8X" or data[WEBP_FLAGS] & (WEBP_ALPHA | _WEBP_MOVES):
            return False
        heads = (data[at + 12 : at + 13] for kind, at, _ in riff_chunks(data) if kind == b"VP8L")
        return any(head[0] & 0x10 for head in heads if head)


def boxes(data: Data) -> Parts:
    """Boxes of an AVIF or HEIC, including those in container boxes. `start` is that of the body."""
    at, ends = 0, [len(data)]
    while ends:
        if at + 8 > ends[-1]:
            at = ends.pop()
            continue
        length, head, kind = int.from_bytes(data[at : at + 4], "big"), 8, data[at + 4 : at + 8]
        if length == 1:
            length, head = int.from_bytes(data[at + 8 : at + 16], "big"), 16
        end = min(ends[-1], at + length) if length >= head else ends[-1]
        yield kind, at + head, end
        if kind in _HOLDERS:
            ends.append(end)
            at += head + _HOLDERS[kind]
        else:
            at = end


def first_box(path: Path, kind: bytes, beginning: bytes = b"") -> bytes:
    """Return the body of the first box of this kind that starts with `beginning`, or empty bytes."""
    with mapped(path) as data:
        for found, start, end in boxes(data):
            if found == kind and data[start : start + len(beginning)] == beginning:
                return data[start:end]
    return b""


def tiff_directories(data: Data, first: int | None = None) -> Parts:
    """The entries of each directory in the chain at offset `first` (default: the file's own), each once."""
    order = "<" if data[:2] == b"II" else ">"
    large = data[2:4] in (b"+\x00", b"\x00+")
    offset, number, entry_bytes = ("Q", "Q", 20) if large else ("I", "H", 12)
    at = struct.unpack_from(order + offset, data, 8 if large else 4)[0] if first is None else first
    seen: set[int] = set()
    while at and at not in seen:
        seen.add(at := min(at, len(data)))  # beyond it struct raises an error of its own, or an OverflowError
        [entries] = struct.unpack_from(order + number, data, at)
        start = at + struct.calcsize(number)
        end = start + entries * entry_bytes
        yield None, start, end
        [at] = struct.unpack_from(order + offset, data, min(end, len(data)))


MAX_JPEG_SEGMENTS: Final = 10_000
MAX_TIFF_DIRECTORIES: Final = 1_000
MAX_FRAMES: Final = 10_000
MAX_PARTS: Final = 400_000
"""PNG or WebP chunks, or GIF sub-blocks: 50 MB in sub-blocks of 255 bytes are 200,000."""

MAX_BOXES: Final = 20_000
"""In AVIF or HEIC: a phone's 64 megapixels in tiles of 512 have a thousand."""

_BOUNDS: Final[dict[Format, tuple[Callable[[Data], Parts], int, Any]]] = {
    "jpeg": (jpeg_segments, MAX_JPEG_SEGMENTS, ()),
    "tiff": (tiff_directories, MAX_TIFF_DIRECTORIES, ()),
    "gif": (gif_blocks, MAX_PARTS, GIF_FRAME),
    "webp": (riff_chunks, MAX_PARTS, b"ANMF"),
    "png": (png_chunks, MAX_PARTS, b"fcTL"),
    "avif": (boxes, MAX_BOXES, ()),
    "heic": (boxes, MAX_BOXES, ()),
}
"""By format: the iterator, the limit on parts, and the kind of part that is a frame."""


def check_parts(data: Data, kind: Format) -> None:
    """Raise Refused (image_too_costly) above a limit; a broken structure is left to the codec."""
    if kind not in _BOUNDS or not data:
        return
    iterate, max_parts, frame = _BOUNDS[kind]
    parts = frames = 0
    try:
        for part, _, _ in iterate(data):
            parts += 1
            frames += part == frame
            if parts > max_parts or frames > MAX_FRAMES:
                raise Refused("image_too_costly")
    except (struct.error, IndexError):
        return
