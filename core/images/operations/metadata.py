"""Metadata out at byte level, for formats whose pixels need not be touched for it.

A plan lists what of the file stays: ranges of it, and a few bytes of our own. It works from a list of what is known
to be harmless, so that a vendor's unknown block (often a place, a name or a preview) goes too. Never decodes pixels.
"""

from __future__ import annotations

import contextlib
import mmap
import os
import re
import shutil
import struct
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO, Final

from core.images.operations.refusals import Refused, damaged

Piece = bytes | tuple[int, int]
"""Bytes of our own, or a half-open range of the file."""

Plan = list[Piece]

_PNG_KEPT: Final = {
    b"IHDR", b"PLTE", b"IDAT", b"IEND", b"tRNS", b"iCCP", b"sRGB", b"gAMA", b"cHRM", b"cICP", b"mDCV", b"cLLI",
    b"sBIT", b"pHYs",
}  # fmt: skip
_JPEG_TABLES: Final = {*range(0xC0, 0xD0), 0xDA, 0xDB, 0xDC, 0xDD, 0xDE, 0xDF}
_JPEG_NEXT_MARKER: Final = re.compile(rb"\xff[\x01-\xcf\xd8-\xfe]")
_COPY_CHUNK_BYTES: Final = 1 << 20


def strip(path: Path, format_name: str, out: Path, *, orientation: int = 1) -> bool:
    """Writes `path` without metadata to `out` and says whether anything had to go; False means nothing was written.

    `format_name` is `png`, `jpeg` or `webp`. Orientation other than 1 is kept, as the only EXIF entry, because
    without it the picture would lie on its side. An animated PNG becomes its first frame. Raises Refused.
    """
    with path.open("rb") as file:
        size_bytes = os.fstat(file.fileno()).st_size
        try:
            plan = _merged(_plan(file.fileno(), size_bytes, format_name, orientation))
        except (struct.error, IndexError) as error:
            raise damaged("truncated") from error
        if plan == [(0, size_bytes)]:
            return False
        _write(plan, file, out)
    return True


def _write(plan: Plan, file: BinaryIO, out: Path) -> None:
    with out.open("wb") as target:
        for piece in plan:
            if isinstance(piece, bytes):
                target.write(piece)
            else:
                _copy(file, piece, target)


def rewrite(path: Path, plan: Plan) -> None:
    """Replaces the file, at once, by what the plan makes of it."""
    fresh = path.with_name(f"{path.name}.rewritten")
    try:
        with path.open("rb") as file:
            _write(_merged(plan), file, fresh)
        shutil.copymode(path, fresh)
        os.replace(fresh, path)
    finally:
        fresh.unlink(missing_ok=True)


def _plan(fd: int, size_bytes: int, format_name: str, orientation: int) -> Plan:
    if format_name == "png":
        return plan_png(fd, size_bytes, orientation)
    with mmap.mmap(fd, 0, access=mmap.ACCESS_READ) as data:
        return plan_jpeg(data, orientation) if format_name == "jpeg" else plan_webp(data, orientation)


def strip_in_place(path: Path, format_name: str, *, orientation: int = 1) -> bool:
    """As `strip`, but the file itself is replaced, at once."""
    fresh = path.with_name(f"{path.name}.stripped")
    try:
        changed = strip(path, format_name, fresh, orientation=orientation)
        if changed:
            shutil.copymode(path, fresh)
            os.replace(fresh, path)
        return changed
    finally:
        fresh.unlink(missing_ok=True)


def _copy(source: BinaryIO, span: tuple[int, int], target: BinaryIO) -> None:
    source.seek(span[0])
    for at in range(span[0], span[1], _COPY_CHUNK_BYTES):
        target.write(source.read(min(_COPY_CHUNK_BYTES, span[1] - at)))


def _merged(plan: Plan) -> Plan:
    """Adjacent ranges joined, so that an untouched file is one range."""
    merged: Plan = []
    for piece in plan:
        last = merged[-1] if merged else None
        if isinstance(piece, tuple) and isinstance(last, tuple) and last[1] == piece[0]:
            merged[-1] = (last[0], piece[1])
        else:
            merged.append(piece)
    return merged


def _exif(orientation: int) -> bytes:
    """A TIFF block that holds the orientation and nothing else."""
    return b"II*\x00\x08\x00\x00\x00" + struct.pack("<HHHIHHI", 1, 0x0112, 3, 1, orientation, 0, 0)


def _png_chunks(fd: int, size_bytes: int) -> Iterator[tuple[bytes, int, int]]:
    """(kind, start, end) up to and with IEND. Reads eight bytes of each chunk."""
    at = 8
    while at + 12 <= size_bytes:
        length, kind = struct.unpack(">I4s", os.pread(fd, 8, at))
        end = at + 12 + length
        if end > size_bytes:
            break
        yield kind, at, end
        if kind == b"IEND":
            return
        at = end
    raise damaged("truncated")


def plan_png(fd: int, size_bytes: int, orientation: int) -> Plan:
    """Chunks that describe pixels and colour stay; the file ends with IEND."""
    plan: Plan = [(0, 8)]
    for kind, start, end in _png_chunks(fd, size_bytes):
        if kind in _PNG_KEPT and (kind[0] & 0x20 == 0 or _sound(fd, start, end)):
            plan.append((start, end))
        if kind == b"IHDR" and orientation != 1:
            plan.append(_png_chunk(b"eXIf", _exif(orientation)))
    return plan


def plan_png_density(fd: int, size_bytes: int, per_metre: tuple[int, ...] | None) -> Plan:
    """The whole file, with this pHYs (dots per metre across and down) right behind the header, or with none."""
    plan: Plan = [(0, 8)]
    for kind, start, end in _png_chunks(fd, size_bytes):
        if kind != b"pHYs":
            plan.append((start, end))
        if kind == b"IHDR" and per_metre:
            plan.append(_png_chunk(b"pHYs", struct.pack(">IIB", *per_metre, 1)))
    return plan


def has_png_text(path: Path) -> bool:
    """Whether text stands before the pixels or behind them. Says no of a file that ends too early."""
    with path.open("rb") as file:
        try:
            kinds = {kind for kind, _, _ in _png_chunks(file.fileno(), os.fstat(file.fileno()).st_size)}
        except Refused:
            return False
    return bool(kinds & {b"tEXt", b"zTXt", b"iTXt"})


def colour_chunks(path: Path) -> dict[bytes, bytes]:
    """A PNG's words on colours and density: chunks before the pixels whose sum is right."""
    found: dict[bytes, bytes] = {}
    with path.open("rb") as file:
        fd = file.fileno()
        for kind, start, end in _before_pixels(fd):
            if kind in (b"cICP", b"iCCP", b"sRGB", b"gAMA", b"cHRM", b"pHYs") and _sound(fd, start, end):
                found.setdefault(kind, os.pread(fd, end - start - 12, start + 8))
    return found


def hides_first_frame(path: Path) -> bool:
    """Whether the plain picture of an animated PNG is none of its frames: for programs that know no animation."""
    with path.open("rb") as file:
        kinds = {kind for kind, _, _ in _before_pixels(file.fileno())}
    return b"acTL" in kinds and b"fcTL" not in kinds


def _before_pixels(fd: int) -> Iterator[tuple[bytes, int, int]]:
    with contextlib.suppress(Refused):  # of a file that ends here
        for chunk in _png_chunks(fd, os.fstat(fd).st_size):
            if chunk[0] == b"IDAT":
                return
            yield chunk


def _sound(fd: int, start: int, end: int) -> bool:
    """Whether a chunk's sum is right. Decoders pass over one that may be missing and is not."""
    return zlib.crc32(os.pread(fd, end - start - 8, start + 4)) == int.from_bytes(os.pread(fd, 4, end - 4), "big")


def _png_chunk(kind: bytes, body: bytes) -> bytes:
    return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))


def plan_jpeg(data: mmap.mmap, orientation: int) -> Plan:
    """Tables, frames and scans stay, with JFIF, ICC and Adobe's colour marker; the file ends with EOI."""
    exif = b"Exif\x00\x00" + _exif(orientation)
    wanted = b"" if orientation == 1 else b"\xff\xe1" + struct.pack(">H", len(exif) + 2) + exif
    plan: Plan = [(0, 2)]
    for marker, start, end in _jpeg_segments(data):
        if marker != 0xE0 and wanted:
            plan.append(wanted)
            wanted = b""
        if marker in _JPEG_TABLES or marker == 0xD9:
            plan.append((start, end))
        elif marker == 0xE0:
            plan.extend(_jfif(data, start, end))
        elif (marker == 0xE2 and data[start + 4 : start + 16] == b"ICC_PROFILE\x00") or (
            marker == 0xEE and data[start + 4 : start + 9] == b"Adobe"
        ):
            plan.append((start, end))
    return plan


def _jfif(data: mmap.mmap, start: int, end: int) -> Plan:
    """The JFIF header without the small preview that it may carry."""
    if data[start + 4 : start + 9] != b"JFIF\x00" or end - start < 18:
        return []
    if end - start == 18:
        return [(start, end)]
    return [b"\xff\xe0\x00\x10" + data[start + 4 : start + 16] + b"\x00\x00"]


def _jpeg_segments(data: mmap.mmap) -> Iterator[tuple[int, int, int]]:
    """(marker, start, end) up to and with EOI; a scan's entropy-coded data belongs to its SOS."""
    at = 2
    while True:
        found = _JPEG_NEXT_MARKER.search(data, at)
        if found is None:
            raise damaged("truncated")
        start, marker = found.start(), data[found.start() + 1]
        if marker == 0xD9:
            yield marker, start, start + 2
            return
        if marker in (0x01, 0xD8):
            at = start + 2
            continue
        end = start + 2 + int.from_bytes(data[start + 2 : start + 4], "big")
        if marker == 0xDA:
            after = _JPEG_NEXT_MARKER.search(data, end)
            end = after.start() if after else len(data)
        if end > len(data) or end < start + 4:
            raise damaged("truncated")
        yield marker, start, end
        at = end


def plan_webp(data: mmap.mmap, orientation: int) -> Plan:
    """Picture, colour and animation chunks stay; the header's flags and length are made to agree."""
    body: Plan = []
    at, total = 12, 8 + int.from_bytes(data[4:8], "little")
    if total > len(data) + 1:
        raise damaged("truncated")
    extended = data[12:16] == b"VP8X"
    while at + 8 <= min(total, len(data)):
        kind = data[at : at + 4]
        end = at + 8 + int.from_bytes(data[at + 4 : at + 8], "little")
        end += end & 1
        if kind == b"VP8X":
            flags = (data[at + 8] & ~0x0C) | (0x08 if orientation != 1 else 0)
            body.append((at, end) if flags == data[at + 8] else data[at : at + 8] + bytes([flags]) + data[at + 9 : end])
        elif kind in (b"VP8 ", b"VP8L", b"ALPH", b"ICCP", b"ANIM", b"ANMF"):
            body.append((at, min(end, len(data))))
        at = end
    if orientation != 1 and extended:
        exif = _exif(orientation)
        body.append(b"EXIF" + struct.pack("<I", len(exif)) + exif)
    size = 4 + sum(len(piece) if isinstance(piece, bytes) else piece[1] - piece[0] for piece in body)
    unchanged = size == int.from_bytes(data[4:8], "little")
    head: Plan = [(0, 12)] if unchanged else [b"RIFF" + struct.pack("<I", size) + b"WEBP"]
    return head + body
