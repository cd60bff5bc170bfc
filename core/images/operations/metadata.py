"""Removes metadata at byte level, without decoding pixels.

A plan lists the parts of the new file: ranges of the old one, and bytes of our own. Only parts that are known to be
harmless are kept, so that unknown vendor blocks (often a location, a name or a preview) are removed too.
"""

import os
import shutil
import struct
import zlib
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from core.domain.media_types import Format
from core.images.operations import containers
from core.images.operations.refusals import damaged

Piece = bytes | tuple[int, int]
"""Bytes of our own, or a half-open range of the file."""

Plan = list[Piece]

_PNG_KEPT: Final = {
    b"IHDR", b"PLTE", b"IDAT", b"IEND", b"tRNS", b"iCCP", b"sRGB", b"gAMA", b"cHRM", b"cICP", b"mDCV", b"cLLI",
    b"sBIT", b"pHYs",
}  # fmt: skip
_PNG_HEAD: Final = {b"cICP", b"iCCP", b"sRGB", b"gAMA", b"cHRM", b"mDCV", b"cLLI", b"pHYs", b"acTL", b"fcTL"}
_JPEG_TABLES: Final = {*range(0xC0, 0xD0), 0xDA, 0xDB, 0xDC, 0xDD, 0xDE, 0xDF}
MM_PER_INCH: Final = 25.4
_COPY_CHUNK_BYTES: Final = 1 << 20


def clean_plan(path: Path, format_name: str, orientation: int = 1) -> Plan:
    """Plan the file without metadata; a single range if nothing has to be removed.

    `format_name` is `png`, `jpeg` or `webp`. An orientation other than 1 is kept as the only EXIF entry. An animated
    PNG becomes its first frame. Raises Refused.
    """
    with containers.mapped(path) as data:
        try:
            return _merged(_PLANS[format_name](data, orientation))
        except (struct.error, IndexError) as error:
            raise damaged("truncated") from error


def write(plan: Plan, path: Path, out: Path) -> None:
    with path.open("rb") as file, out.open("wb") as target:
        for piece in plan:
            if isinstance(piece, bytes):
                target.write(piece)
                continue
            file.seek(piece[0])
            for at in range(*piece, _COPY_CHUNK_BYTES):
                target.write(file.read(min(_COPY_CHUNK_BYTES, piece[1] - at)))


def rewrite(path: Path, plan: Plan) -> None:
    """Replace the file atomically by the planned one."""
    new_file = path.with_name(f"{path.name}.rewritten")
    try:
        write(_merged(plan), path, new_file)
        shutil.copymode(path, new_file)
        os.replace(new_file, path)
    finally:
        new_file.unlink(missing_ok=True)


def _merged(plan: Plan) -> Plan:
    """Join adjacent ranges, so that an unchanged file is one range."""
    merged: Plan = []
    for piece in plan:
        last = merged[-1] if merged else None
        if isinstance(piece, tuple) and isinstance(last, tuple) and last[1] == piece[0]:
            merged[-1] = (last[0], piece[1])
        else:
            merged.append(piece)
    return merged


def _exif(orientation: int) -> bytes:
    return b"II*\x00\x08\x00\x00\x00" + struct.pack("<HHHIHHI", 1, 0x0112, 3, 1, orientation, 0, 0)


def _complete(parts: containers.Parts, last: object) -> containers.Parts:
    """Yield all parts, then raise Refused unless the last is of kind `last`."""
    kind = None
    for kind, start, end in parts:
        yield kind, start, end
    if kind != last:
        raise damaged("truncated")


def _plan_png(data: containers.Data, orientation: int) -> Plan:
    """Keep chunks of pixels and colours, up to IEND."""
    plan: Plan = [(0, 8)]
    for kind, start, end in _complete(containers.png_chunks(data), b"IEND"):
        if kind in _PNG_KEPT and (kind[0] & 0x20 == 0 or _has_valid_crc(data, start, end)):
            plan.append((start, end))
        if kind == b"IHDR" and orientation != 1:
            plan.append(_png_chunk(b"eXIf", _exif(orientation)))
    return plan


def write_png_density(path: Path, per_metre: tuple[int, ...] | None) -> None:
    """Set pHYs (dots per metre, horizontal and vertical) in place, or remove it."""
    plan: Plan = [(0, 8)]
    with containers.mapped(path) as data:
        for kind, start, end in _complete(containers.png_chunks(data), b"IEND"):
            if kind != b"pHYs":
                plan.append((start, end))
            if kind == b"IHDR" and per_metre:
                plan.append(_png_chunk(b"pHYs", struct.pack(">IIB", *per_metre, 1)))
    rewrite(path, plan)


def write_density(path: Path, kind: Format, dpi: Sequence[float]) -> None:
    """Write the density in place, at byte level; other formats than PNG and JPEG are unchanged."""
    if kind == "png":
        write_png_density(path, tuple(round(d / 0.0254) for d in dpi))
    elif kind == "jpeg":
        density, size_bytes = b"\x01" + struct.pack(">HH", round(dpi[0]), round(dpi[1])), path.stat().st_size
        with path.open("rb") as file:
            head = file.read(20)
        if head[2:4] == b"\xff\xe0" and head[6:11] == b"JFIF\0":
            rewrite(path, [(0, 13), density, (18, size_bytes)])
        else:
            rewrite(path, [(0, 2), b"\xff\xe0\x00\x10JFIF\0\x01\x01" + density + b"\0\0", (2, size_bytes)])


def png_header_chunks(path: Path) -> dict[bytes, bytes]:
    """Return a PNG's chunks on colours, density and animation that precede the pixels and have a valid CRC."""
    found: dict[bytes, bytes] = {}
    with containers.mapped(path) as data:
        for kind, start, end in containers.png_chunks(data):
            if kind == b"IDAT":
                break
            if kind in _PNG_HEAD and _has_valid_crc(data, start, end):
                found.setdefault(kind, data[start + 8 : end - 4])
    return found


def default_image_is_no_frame(path: Path) -> bool:
    """Whether an animated PNG's default image, for programs without animation support, is not one of its frames."""
    head = png_header_chunks(path)
    return b"acTL" in head and b"fcTL" not in head


def first_frame(path: Path) -> tuple[bytes, tuple[int, int, int, int], tuple[int, int]]:
    """Return such a PNG's first frame as a still PNG, its left, top, width and height, and the canvas' size.

    Raises Refused.
    """
    head, packed, place, canvas = [], bytearray(), (0, 0, 0, 0), (0, 0)
    with containers.mapped(path) as data:
        for kind, start, end in containers.png_chunks(data):
            if kind == b"fcTL" and end - start >= 38:
                if any(place):
                    break
                width, height, left, top = struct.unpack_from(">4I", data, start + 12)
                place, canvas = (left, top, width, height), struct.unpack_from(">II", data, 16)
            elif kind == b"fdAT":
                packed += data[start + 12 : end - 4]
            elif not any(place) and kind not in (b"IHDR", b"IDAT", b"acTL"):
                head.append(data[start:end])
        left, top, width, height = place
        if not packed or left + width > canvas[0] or top + height > canvas[1]:
            raise damaged("corrupt")
        sizes = struct.pack(">II", width, height) + data[24:29]
        pieces = [
            data[:8],
            _png_chunk(b"IHDR", sizes),
            *head,
            _png_chunk(b"IDAT", bytes(packed)),
            _png_chunk(b"IEND", b""),
        ]
    return b"".join(pieces), place, canvas


def _has_valid_crc(data: containers.Data, start: int, end: int) -> bool:
    """Check a chunk's CRC. Decoders ignore optional chunks with a wrong one."""
    return zlib.crc32(data[start + 4 : end - 4]) == int.from_bytes(data[end - 4 : end], "big")


def _png_chunk(kind: bytes, body: bytes) -> bytes:
    return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))


def _plan_jpeg(data: containers.Data, orientation: int) -> Plan:
    """Keep tables, frames, scans, JFIF, ICC and Adobe's colour marker, up to EOI."""
    exif = b"Exif\x00\x00" + _exif(orientation)
    wanted = b"" if orientation == 1 else b"\xff\xe1" + struct.pack(">H", len(exif) + 2) + exif
    plan: Plan = [(0, 2)]
    for marker, start, end in _complete(containers.jpeg_segments(data), containers.EOI):
        if marker == containers.FILL:
            continue
        if marker not in (0x01, containers.SOI, containers.EOI) and (end > len(data) or end < start + 4):
            raise damaged("truncated")
        if marker != 0xE0 and wanted:
            plan.append(wanted)
            wanted = b""
        if marker in _JPEG_TABLES or marker == containers.EOI:
            plan.append((start, end))
        elif marker == 0xE0:
            plan.extend(_jfif(data, start, end))
        elif (marker == 0xE2 and data[start + 4 : start + 16] == b"ICC_PROFILE\x00") or (
            marker == 0xEE and data[start + 4 : start + 9] == b"Adobe"
        ):
            plan.append((start, end))
    return plan


def _jfif(data: containers.Data, start: int, end: int) -> Plan:
    """Return the JFIF header without its thumbnail."""
    if data[start + 4 : start + 9] != b"JFIF\x00" or end - start < 18:
        return []
    if end - start == 18:
        return [(start, end)]
    return [b"\xff\xe0\x00\x10" + data[start + 4 : start + 16] + b"\x00\x00"]


def _plan_webp(data: containers.Data, orientation: int) -> Plan:
    """Keep image, colour and animation chunks, and adapt the header's flags and length."""
    body: Plan = []
    total = 8 + int.from_bytes(data[4:8], "little")
    if total > len(data) + 1:
        raise damaged("truncated")
    for kind, start, end in containers.riff_chunks(data):
        if start + 8 > total:
            break
        if kind == b"VP8X":
            flags = data[start + 8]
            wanted = (flags & ~0x0C) | (0x08 if orientation != 1 else 0)
            own = data[start : start + 8] + bytes([wanted]) + data[start + 9 : end]
            body.append((start, end) if wanted == flags else own)
        elif kind in (b"VP8 ", b"VP8L", b"ALPH", b"ICCP", b"ANIM", b"ANMF"):
            body.append((start, min(end, len(data))))
    if orientation != 1 and data[12:16] == b"VP8X":
        exif = _exif(orientation)
        body.append(b"EXIF" + struct.pack("<I", len(exif)) + exif)
    size = 4 + sum(len(piece) if isinstance(piece, bytes) else piece[1] - piece[0] for piece in body)
    unchanged = size == int.from_bytes(data[4:8], "little")
    head: Plan = [(0, 12)] if unchanged else [b"RIFF" + struct.pack("<I", size) + b"WEBP"]
    return head + body


_PLANS: Final = {"png": _plan_png, "jpeg": _plan_jpeg, "webp": _plan_webp}
