"""Files with very many parts are refused before a codec runs."""

import struct
from pathlib import Path
from typing import Any

import pytest

from core.domain.media_types import Format
from core.images.facts import ImageLimits
from core.images.operations.containers import MAX_FRAMES, MAX_JPEG_SEGMENTS, MAX_TIFF_DIRECTORIES, check_parts
from core.images.operations.load import kind_of
from core.images.operations.probe import declared_size
from core.images.operations.refusals import Refused
from tests.core.images import pictures

LIMITS = ImageLimits()


def jpeg_of_segments(number: int, *, after_frame: bool = False) -> bytes:
    whole = pictures.encoded(pictures.scene(40, 30), "JPEG")
    at = whole.index(b"\xff\xda") if after_frame else 2
    return whole[:at] + b"\xff\xfe\x00\x02" * number + whole[at:]


def jpeg_of_fill(number: int) -> bytes:
    whole = pictures.encoded(pictures.scene(40, 30), "JPEG")
    return whole[:2] + b"\xff" * number + whole[2:]


def tiff_of_directories(number: int) -> bytes:
    entry = struct.pack("<HHII", 256, 3, 1, 40)
    parts = [struct.pack("<2sHI", b"II", 42, 8)]
    for index in range(number):
        after = 8 + 18 * (index + 1) if index + 1 < number else 0
        parts.append(struct.pack("<H", 1) + entry + struct.pack("<I", after))
    return b"".join(parts)


def gif_of_frames(number: int) -> bytes:
    frame = (
        b"\x21\xf9\x04\x00\x01\x00\x00\x00" + b"\x2c" + struct.pack("<HHHHB", 0, 0, 20, 20, 0) + b"\x02\x02\x4c\x01\x00"
    )
    return b"GIF89a" + struct.pack("<HHBBB", 20, 20, 0x80, 0, 0) + bytes(6) + frame * number + b";"


def webp_of_frames(number: int) -> bytes:
    chunk = b"ANMF" + struct.pack("<I", 16) + bytes(16)
    body = b"VP8X" + struct.pack("<I", 10) + b"\x02\0\0\0" + b"\x13\0\0" * 2 + chunk * number
    return b"RIFF" + struct.pack("<I", 4 + len(body)) + b"WEBP" + body


def png_of_chunks(number: int) -> bytes:
    whole = pictures.encoded(pictures.scene(40, 30), "PNG")
    return whole[:33] + (b"\0\0\0\0teSt" + bytes(4)) * number + whole[33:]


def heif_of_boxes(number: int, brand: bytes, *, inside: bool) -> bytes:
    """Empty boxes after the header, or nested in the item properties."""
    boxes = struct.pack(">I4s", 8, b"free") * number
    if inside:
        for name, more in ((b"ipco", b""), (b"iprp", b""), (b"meta", bytes(4))):
            boxes = struct.pack(">I4s", 8 + len(more) + len(boxes), name) + more + boxes
    return struct.pack(">I4s4sI4s", 20, b"ftyp", brand, 0, brand) + boxes


HOSTILE = {
    "100,000 AVIF boxes": heif_of_boxes(100_000, b"avif", inside=False),
    "100,000 HEIC properties": heif_of_boxes(100_000, b"heic", inside=True),
    "12 million JPEG segments": jpeg_of_segments(12_000_000),
    "JPEG segments after the frame": jpeg_of_segments(MAX_JPEG_SEGMENTS, after_frame=True),
    "JPEG of fill bytes": jpeg_of_fill(20_000_000),
    "100,000 TIFF directories": tiff_of_directories(100_000),
    "200,000 GIF frames": gif_of_frames(200_000),
    "200,000 WebP frames": webp_of_frames(200_000),
    "2 million PNG chunks": png_of_chunks(2_000_000),
}


@pytest.mark.parametrize("name", HOSTILE)
def test_a_file_of_very_many_parts_is_refused_before_a_codec_starts(name: str, tmp_path: Path) -> None:
    path = tmp_path / "picture"
    path.write_bytes(HOSTILE[name])
    with pytest.raises(Refused) as raised:
        kind_of(path, LIMITS)
    assert raised.value.code == "image_too_costly"


HONEST: dict[str, tuple[Format, bytes]] = {
    "JPEG": ("jpeg", jpeg_of_segments(200)),
    "progressive JPEG": ("jpeg", pictures.encoded(pictures.scene(400, 300), "JPEG", progressive=True)),
    "TIFF": ("tiff", tiff_of_directories(MAX_TIFF_DIRECTORIES - 1)),
    "GIF": ("gif", gif_of_frames(MAX_FRAMES - 1)),
    "animated GIF": ("gif", pictures.animated("GIF")),
    "WebP": ("webp", webp_of_frames(MAX_FRAMES - 1)),
    "animated PNG": ("png", pictures.animated("PNG")),
    "looping TIFF": ("tiff", struct.pack("<2sHI", b"II", 42, 8) + struct.pack("<HI", 0, 8)),
    "empty": ("jpeg", b""),
    "HEIC": ("heic", heif_of_boxes(1_000, b"heic", inside=True)),
    "box without an end": ("avif", heif_of_boxes(3, b"avif", inside=False)[:-6] + bytes(6)),
    "cut GIF": ("gif", gif_of_frames(3)[:-8]),
    "BigTIFF with its directory beyond every file": ("tiff", struct.pack("<2sHHHQ", b"II", 43, 8, 0, 2**64 - 1)),
    "BigTIFF of 2^64 entries": ("tiff", struct.pack("<2sHHHQQ", b"II", 43, 8, 0, 16, 2**64 - 1)),
    "cut TIFF": ("tiff", tiff_of_directories(3)[:-8]),
}


@pytest.mark.parametrize("name", HONEST)
def test_what_cameras_and_programs_write_passes_and_what_is_broken_is_left_to_the_codec(name: str) -> None:
    kind, data = HONEST[name]
    check_parts(data, kind)


class CountedReads(bytes):
    """Counts reads."""

    reads: int

    def __getitem__(self, key: Any) -> Any:
        self.reads = getattr(self, "reads", 0) + 1
        return super().__getitem__(key)


@pytest.mark.parametrize(
    ("kind", "data"),
    [
        ("jpeg", jpeg_of_segments(200_000)),
        ("jpeg", jpeg_of_fill(200_000)),
        ("gif", b"GIF89a" + bytes(7) + b"\x21\xfe" + b"\1x" * 200_000 + b"\0\x3b"),
        ("gif", b"GIF89a" + bytes(7) + b"\x21\xfe\0" * 200_000),
    ],
)
def test_a_head_of_very_many_parts_is_not_walked_to_its_end(kind: Format, data: bytes) -> None:
    """The bot reads headers too, to estimate memory."""
    file = CountedReads(data)
    declared_size(file, kind)
    assert 0 < file.reads <= 100_000
