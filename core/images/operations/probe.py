"""What kind of file some bytes are, and how large a picture they declare, before any codec sees them.

Must not decode anything and must not trust a declared length further than the bytes at hand.
"""

from __future__ import annotations

import re
import struct
from typing import BinaryIO

from core.domain.media_types import Format, brands_of
from core.domain.media_types import sniff as known_format
from core.images.operations.refusals import Refused, damaged

HEAD_BYTES = 512
_MAX_STRAY_BYTES = 1 << 16
_MAX_STEPS = 80_000
"""Of a walk through a head, which the bot itself takes too: above the stray bytes and segments that are allowed."""


_OTHER_PICTURES: tuple[tuple[bytes, str], ...] = (
    (b"\xff\x0a", "jxl"),
    (b"\x00\x00\x00\x0cJXL ", "jxl"),
    (b"\x00\x00\x00\x0cjP  ", "jp2"),
    (b"8BPS", "psd"),
    (b"\x00\x00\x01\x00", "ico"),
    (b"\x76\x2f\x31\x01", "exr"),
    (b"DDS ", "dds"),
    (b"#?RADIANCE", "hdr"),
    (b"qoif", "qoi"),
    (b"FUJIFILM", "raw"),
    (b"gimp xcf", "xcf"),
)

_OTHER_FILES: tuple[tuple[bytes, str], ...] = (
    (b"%PDF", "pdf"),
    (b"PK\x03\x04", "zip"),
    (b"\x1f\x8b", "gzip"),
    (b"Rar!", "rar"),
    (b"7z\xbc\xaf", "7z"),
    (b"\x1a\x45\xdf\xa3", "video"),
    (b"\x00\x00\x01\xba", "video"),
    (b"OggS", "audio"),
    (b"ID3", "audio"),
    (b"fLaC", "audio"),
    (b"\x7fELF", "program"),
    (b"MZ", "program"),
)


def sniff(head: bytes) -> Format:
    """The picture format of a file that begins with `head`. Raises Refused: unsupported_format or not_an_image."""
    if not head:
        raise Refused("not_an_image", detected="empty")
    kind = known_format(head)
    if kind is not None:
        return kind
    raise _stranger(head)


def _stranger(head: bytes) -> Refused:
    if brands := brands_of(head):
        return (
            Refused("unsupported_format", format="raw")
            if b"crx " in brands
            else Refused("not_an_image", detected="video")
        )
    for magic, name in _OTHER_PICTURES:
        if head.startswith(magic):
            return Refused("unsupported_format", format=name)
    for magic, name in _OTHER_FILES:
        if head.startswith(magic):
            return Refused("not_an_image", detected=name)
    text = head.lstrip(b"\xef\xbb\xbf \t\r\n").lower()
    if re.match(rb"<svg|<\?xml", text) and b"<svg" in text:
        return Refused("unsupported_format", format="svg")
    if re.match(rb"<!doctype html|<html|<head|<body", text):
        return Refused("not_an_image", detected="html")
    if text and all(byte in b"\t\r\n" or byte >= 32 for byte in head):
        return Refused("not_an_image", detected="text")
    return Refused("not_an_image", detected=None)


def declared_size(file: BinaryIO, picture: Format) -> tuple[int, int] | None:
    """Width and height as stored (not yet upright), from the header alone; None where only a codec can tell."""
    file.seek(0)
    head = file.read(HEAD_BYTES)
    try:
        if head[12:16] == b"CgBI":
            raise Refused("unsupported_format", format="png (Apple's CgBI)")
        if picture == "png":
            return struct.unpack_from(">II", head, 16)
        if picture == "gif":
            return _gif_size(file, head)
        if picture == "bmp":
            return _bmp_size(head)
        if picture == "webp":
            return _webp_size(head)
        if picture == "jpeg":
            return _jpeg_size(file)
    except (struct.error, IndexError) as error:
        raise damaged("truncated") from error
    return None


def _gif_size(file: BinaryIO, head: bytes) -> tuple[int, int]:
    """A first frame that is larger than its canvas enlarges it, as in browsers."""
    screen = struct.unpack_from("<HH", head, 6)
    left, top, width, height = first_gif_frame(file)
    return max(screen[0], left + width), max(screen[1], top + height)


def _bmp_size(head: bytes) -> tuple[int, int]:
    if int.from_bytes(head[14:18], "little") == 12:
        return struct.unpack_from("<HH", head, 18)
    width, height = struct.unpack_from("<ii", head, 18)
    return abs(width), abs(height)


def _webp_size(head: bytes) -> tuple[int, int] | None:
    kind = head[12:16]
    if kind == b"VP8X":
        width, height = head[24:27], head[27:30]
        return int.from_bytes(width, "little") + 1, int.from_bytes(height, "little") + 1
    if kind == b"VP8L":
        bits = int.from_bytes(head[21:25], "little")
        return (bits & 0x3FFF) + 1, ((bits >> 14) & 0x3FFF) + 1
    if kind == b"VP8 ":
        width_px, height_px = struct.unpack_from("<HH", head, 26)
        return width_px & 0x3FFF, height_px & 0x3FFF
    return None


def _jpeg_size(file: BinaryIO) -> tuple[int, int] | None:
    """Walks the marker segments to the frame header; None where it finds none, for the decoder to judge.

    Stray bytes between segments are passed over, as every decoder does.
    """
    at, stray_bytes = 2, 0
    for _ in range(_MAX_STEPS):
        if stray_bytes > _MAX_STRAY_BYTES:
            break
        file.seek(at)
        head = file.read(9)
        if len(head) < 9:
            raise damaged("truncated")
        marker = head[1]
        if head[0] != 0xFF or marker in (0x00, 0xFF):
            at += 1
            stray_bytes += 1
        elif marker == 0x01 or 0xD0 <= marker <= 0xD8:
            at += 2
        elif 0xC0 <= marker <= 0xCF and marker not in (0xC4, 0xC8, 0xCC):
            height, width = struct.unpack_from(">HH", head, 5)
            return (width, height) if height else None
        elif marker in (0xD9, 0xDA):
            return None
        else:
            at += 2 + max(2, struct.unpack_from(">H", head, 2)[0])
    return None


def first_gif_frame(file: BinaryIO) -> tuple[int, int, int, int]:
    """Left, top, width and height of the first frame; nothing where there is none near."""
    file.seek(0)
    flags = file.read(13)[10]
    at = 13 + (3 << ((flags & 7) + 1) if flags & 0x80 else 0)
    in_block = False
    for _ in range(_MAX_STEPS):
        file.seek(at)
        head = file.read(10)
        if in_block:
            size = head[0] if head else 0
            in_block, at = size > 0, at + 1 + size
        elif len(head) == 10 and head[0] == 0x2C:
            return struct.unpack_from("<HHHH", head, 1)
        elif len(head) < 3 or head[0] != 0x21:
            break
        else:
            in_block, at = True, at + 2
    return 0, 0, 0, 0


def largest_item(file: BinaryIO) -> tuple[int, int] | None:
    """The largest width and height that an AVIF or HEIC names for a picture in it, tiles and previews included."""
    file.seek(0)
    sizes = [
        struct.unpack(">II", found[1]) for found in re.finditer(rb"ispe\0{4}(.{8})", file.read(1 << 18), re.DOTALL)
    ]
    return max(sizes, key=lambda size: size[0] * size[1], default=None)


def sequence_frames(head: bytes) -> int:
    """How many frames an AVIF or HEIC sequence counts in its head (at least 2); 1 for a still picture."""
    if not brands_of(head) & {b"avis", b"hevc", b"hevx", b"msf1"}:
        return 1
    at = head.find(b"stsz")
    count = int.from_bytes(head[at + 12 : at + 16], "big") if at > 0 else 0
    return count if 2 <= count <= 1_000_000 else 2
