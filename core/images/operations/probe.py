"""Detects the format and declared size of an image before any codec runs.

Must not decode anything, and must not trust a declared length beyond the available bytes.
"""

import itertools
import re
import struct
from typing import Final

from core.domain.media_types import Format, brands_of
from core.domain.media_types import sniff as known_format
from core.images.operations import containers
from core.images.operations.refusals import Refused, damaged

HEAD_BYTES = 512
_JPEG_LS = 0xF7
_MAX_STRAY_BYTES = 1 << 16
_MAX_STEPS = 10_000
"""Parts of a header that are read; the bot's own process reads them too."""

_OTHER_PICTURES: Final = {
    "jxl": rb"\xff\x0a|\0\0\0\x0cJXL ",
    "jp2": rb"\0\0\0\x0cjP  |\xff\x4f\xff\x51",
    "jxr": rb"II\xbc\x01",
    "psd": rb"8BPS",
    "exr": rb"\x76\x2f\x31\x01",
    "dds": rb"DDS ",
    "hdr": rb"#\?RADIANCE|#\?RGBE",
    "qoi": rb"qoif",
    "raw": rb"FUJIFILM|II(RO|RS|U\0)|MMOR|FOVb|\0MRM|.{4}ftypcrx ",
    "xcf": rb"gimp xcf",
    "clip": rb"CSFCHUNK",
    "kra": rb"PK\x03\x04.{26}mimetypeapplication/x-krita",
    "ora": rb"PK\x03\x04.{26}mimetypeimage/openraster",
    "afphoto": rb"\0\xffKA",
    "bpg": rb"BPG\xfb",
    "mng": rb"[\x8a\x8b][MJ]NG\r\n",
    "ppm": rb"P[1-7Ff]\s",
    "tga": rb".\0[\x02\x0a]\0{5}.{8}[\x10\x18\x20]",
    "icns": rb"icns",
    "dicom": rb".{128}DICM",
    "fits": rb"SIMPLE  =",
    "emf": rb"\x01\0\0\0.{36} EMF",
    "wmf": rb"\xd7\xcd\xc6\x9a",
    "eps": rb"%!PS|\xc5\xd0\xd3\xc6",
    "djvu": rb"AT&TFORM",
    "pcx": rb"\x0a[\0\x02-\x05]\x01[\x01\x02\x04\x08]",
    "sgi": rb"\x01\xda[\0\x01][\x01\x02]",
    "xpm": rb"/\* XPM \*/",
    "xbm": rb"#define \w+_width \d",
    "svg": rb"(\xef\xbb\xbf)?\s*(?i:<svg|<\?xml|<!--|<!doctype svg).*<svg|\s*(?i:<svg)",
}
_OTHER_FILES: Final = {
    "pdf": rb"\s*%PDF",
    "zip": rb"PK\x03\x04",
    "gzip": rb"\x1f\x8b",
    "rar": rb"Rar!",
    "7z": rb"7z\xbc\xaf",
    "archive": rb"\xfd7zXZ|BZh[1-9]|\x28\xb5\x2f\xfd|.{257}ustar",
    "document": rb"\xd0\xcf\x11\xe0|\{\\rtf",
    "audio": rb"OggS|ID3|fLaC|\xff[\xf1-\xf3\xf9-\xfb]|RIFF.{4}WAVE|FORM.{4}AIF|#!AMR|MThd|.{4}ftypM4[ABP] ",
    "video": rb"\x1a\x45\xdf\xa3|\0\0\x01[\xb3\xba]|RIFF.{4}AVI |FLV\x01|\x30\x26\xb2\x75|.{4}(ftyp|moov|mdat|wide)"
    rb"|G.{187}G.{187}G",
    "program": rb"\x7fELF|MZ",
    "html": rb"(\xef\xbb\xbf)?\s*(<!--.*?-->\s*)?(?i:<!doctype html|<html|<head|<body)",
}
"""Other files by name, with a pattern of their beginning."""


def sniff(head: bytes) -> Format:
    """Return the image format of a file that begins with `head`. Raises Refused: unsupported_format or not_an_image."""
    if not head:
        raise Refused("not_an_image", detected="empty")
    if (kind := known_format(head)) is not None:
        return kind
    for name, beginning in (_OTHER_PICTURES | _OTHER_FILES).items():
        if re.match(beginning, head, re.DOTALL):
            is_picture = name in _OTHER_PICTURES
            raise Refused("unsupported_format", format=name) if is_picture else Refused("not_an_image", detected=name)
    text = all(byte in b"\t\r\n" or byte >= 32 for byte in head)
    raise Refused("not_an_image", detected="text" if text else None)


def declared_size(data: containers.Data, picture: Format) -> tuple[int, int] | None:
    """Return width and height as stored (not upright) from the header; None if only a codec can tell."""
    try:
        if data[12:16] == b"CgBI":
            raise Refused("unsupported_format", format="png (Apple's CgBI)")
        if picture == "png":
            return struct.unpack_from(">II", data, 16)
        readers = {"gif": _gif_size, "bmp": _bmp_size, "webp": _webp_size, "jpeg": _jpeg_size}
        return readers[picture](data) if picture in readers else None
    except (struct.error, IndexError) as error:
        raise damaged("truncated") from error


def _gif_size(data: containers.Data) -> tuple[int, int]:
    """A first frame that exceeds the canvas enlarges it, as in browsers."""
    screen = struct.unpack_from("<HH", data, 6)
    left, top, width, height = first_gif_frame(data)
    return max(screen[0], left + width), max(screen[1], top + height)


def _bmp_size(head: containers.Data) -> tuple[int, int]:
    if int.from_bytes(head[14:18], "little") == 12:
        return struct.unpack_from("<HH", head, 18)
    width, height = struct.unpack_from("<ii", head, 18)
    return abs(width), abs(height)


def _webp_size(head: containers.Data) -> tuple[int, int] | None:
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


def _jpeg_size(data: containers.Data) -> tuple[int, int] | None:
    """Read the frame header; None if it is not found near the beginning, which is left to the decoder.

    Raises Refused for more than 8 bits, a height after the pixels (DNL), and JPEG-LS, which no browser shows.
    """
    at, stray_bytes = 2, 0
    for marker, start, end in itertools.islice(containers.jpeg_segments(data), _MAX_STEPS):
        stray_bytes += start - at
        if stray_bytes > _MAX_STRAY_BYTES or marker in (containers.EOI, containers.SOS):
            break
        if marker == _JPEG_LS:
            raise Refused("unsupported_format", format="jpeg (JPEG-LS)")
        if 0xC0 <= marker <= 0xCF and marker not in (0xC4, 0xC8, 0xCC):
            bits, height, width = struct.unpack_from(">BHH", data, start + 4)
            if bits != 8 or not height:
                raise Refused("unsupported_format", format=f"jpeg ({f'{bits} bits' if height else 'DNL'})")
            return width, height
        at = end
    return None


def first_gif_frame(data: containers.Data) -> tuple[int, int, int, int]:
    """Return left, top, width and height of the first frame; zeros if it is not near the beginning.

    Raises Refused for a frame without area or palette.
    """
    try:
        for kind, start, _ in itertools.islice(containers.gif_blocks(data), _MAX_STEPS):
            if kind == containers.GIF_FRAME:
                left, top, width, height, flags = struct.unpack_from("<HHHHB", data, start + 1)
                if not width or not height or not (flags | data[10]) & 0x80:  # browsers show nothing or black
                    raise Refused("flat_image")
                return left, top, width, height
            if kind not in (containers.GIF_EXTENSION, containers.GIF_DATA):
                break
    except (struct.error, IndexError):
        pass
    return 0, 0, 0, 0


def largest_item(data: containers.Data) -> tuple[int, int] | None:
    """Return the largest declared size of any image in an AVIF or HEIC, including tiles and previews."""
    sizes = [
        struct.unpack_from(">II", data, at + 4)
        for kind, at, end in containers.boxes(data)
        if kind == b"ispe" and end <= len(data)
    ]
    return max(sizes, key=lambda size: size[0] * size[1], default=None)


def sequence_frames(data: containers.Data) -> int:
    """Return the frame count of an AVIF or HEIC sequence (at least 2); 1 for a still image."""
    if not brands_of(data[:HEAD_BYTES]) & {b"avis", b"hevc", b"hevx", b"msf1"}:
        return 1
    counts = (
        int.from_bytes(data[at + 8 : at + 12], "big") for kind, at, _ in containers.boxes(data) if kind == b"stsz"
    )
    count = next(counts, 0)
    return count if 2 <= count <= 1_000_000 else 2
