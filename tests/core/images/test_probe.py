"""Detection of formats, and refusals."""

import asyncio
import struct
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.domain import errors
from core.domain.money import largest_output_size
from core.images.service import ImageLimits, ImageService, check_output, largest_factor
from tests.core.images import pictures
from tests.core.images.conftest import Bench

KINDS = {"PNG": "png", "JPEG": "jpeg", "WEBP": "webp", "GIF": "gif", "BMP": "bmp", "TIFF": "tiff", "AVIF": "avif"}
OPTIONS: dict[str, dict[str, Any]] = {"TIFF": {"compression": "tiff_lzw"}}


@pytest.mark.parametrize("kind", KINDS)
async def test_the_format_is_detected_by_bytes_and_not_by_name(kind: str, bench: Bench) -> None:
    data = pictures.encoded(pictures.scene(), kind, **OPTIONS.get(kind, {}))
    facts = await bench.service.probe(bench.file(data, "upload.txt"))
    assert facts.format == KINDS[kind]
    assert facts.mime == f"image/{KINDS[kind]}"
    assert (facts.width_px, facts.height_px, facts.frames, facts.bytes) == (96, 64, 1, len(data))
    assert not facts.has_alpha


@pytest.mark.parametrize("orientation", range(1, 9))
async def test_the_reported_size_is_upright(orientation: int, bench: Bench) -> None:
    path = bench.file(pictures.encoded(pictures.scene(), "JPEG", exif=pictures.exif(orientation)))
    facts = await bench.service.probe(path)
    assert (facts.width_px, facts.height_px) == ((96, 64) if orientation < 5 else (64, 96))
    assert facts.orientation == orientation


async def test_alpha_and_frames_are_reported(bench: Bench) -> None:
    seen = await bench.service.probe(
        bench.file(pictures.encoded(pictures.see_through(), "PNG", icc_profile=pictures.icc()))
    )
    assert (seen.has_alpha, seen.is_transparent) == (True, True)
    opaque = await bench.service.probe(bench.file(pictures.encoded(pictures.see_through(opaque=True), "PNG")))
    assert (opaque.has_alpha, opaque.is_transparent) == (True, False)
    for kind in ("GIF", "WEBP", "PNG"):
        assert (await bench.service.probe(bench.file(pictures.animated(kind)))).frames == 3


@pytest.mark.parametrize(
    ("data", "detected"),
    [
        (b"", "empty"),
        (b"<!DOCTYPE html><html><body>log in</body></html>", "html"),
        (b"  \n<html>", "html"),
        (b"%PDF-1.7 ...", "pdf"),
        (b"PK\x03\x04....", "zip"),
        (b"\n\n%PDF-1.4", "pdf"),
        (b"just words", "text"),
        (b"\x00\x00\x00\x18ftypmp42\x00\x00\x00\x00mp42isom", "video"),
        (b"\x00\x01\x02\x03" * 10, None),
        (b"BM is how this sentence begins, and it is no picture", "text"),
        (b"\xef\xbb\xbf<!-- saved --> <HTML>", "html"),
        (b"RIFF\x24\0\0\0AVI LIST", "video"),
        (b"\0\0\0\x08wide\0\0\1\0mdat", "video"),
        (b"\x30\x26\xb2\x75\x8e\x66\xcf\x11", "video"),
        ((b"G\x40\0\x10" + bytes(184)) * 3, "video"),
        (b"RIFF\x24\0\0\0WAVEfmt ", "audio"),
        (b"\xff\xfb\x90\x64" + bytes(40), "audio"),
        (b"\0\0\0\x18ftypM4A \0\0\0\0isom", "audio"),
        (b"photo.png".ljust(257, b"\0") + b"ustar\x0000", "archive"),
        (b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1", "document"),
    ],
)
async def test_other_files_are_named(data: bytes, detected: str | None, bench: Bench) -> None:
    with pytest.raises(errors.NotAnImage) as caught:
        await bench.service.probe(bench.file(data, "photo.png"))
    assert caught.value.detected == detected


@pytest.mark.parametrize(
    ("data", "name"),
    [
        (b'<?xml version="1.0"?>\n<svg xmlns="http://www.w3.org/2000/svg"/>', "svg"),
        (b"<!-- drawn --><!DOCTYPE svg PUBLIC 'x'>\n<svg/>", "svg"),
        (b"II*\0\x10\0\0\0CR\2\0" + bytes(40), "raw"),
        (b"IIRO\x08\0\0\0" + bytes(40), "raw"),
        (b"P6\n64 64\n255\n" + bytes(99), "ppm"),
        (b"\0\0\2" + bytes(9) + b"\x40\0\x40\0\x18\0" + bytes(99), "tga"),
        (bytes(128) + b"DICM", "dicom"),
        (b"%!PS-Adobe-3.0 EPSF-3.0\n", "eps"),
        (b"8BPS\x00\x01" + bytes(40), "psd"),
        (b"CSFCHUNK" + bytes(40), "clip"),
        (b"PK\x03\x04" + bytes(26) + b"mimetypeapplication/x-krita", "kra"),
        (b"\x8aMNG\r\n\x1a\n", "mng"),
        (b"\xff\x0a" + bytes(40), "jxl"),
        (b"\x00\x00\x00\x0cjP  \r\n" + bytes(40), "jp2"),
        (b"\xff\x4f\xff\x51" + bytes(40), "jp2"),
        (b"II\xbc\x01" + bytes(40), "jxr"),
        (b"\x0a\5\1\x08" + bytes(40), "pcx"),
        (b"\x01\xda\1\1" + bytes(40), "sgi"),
        (b"/* XPM */ static char *a[]", "xpm"),
        (b"#define a_width 16\n#define a_height 16\n", "xbm"),
        (pictures.jpeg_with_frame(b"\xff\xc1", bits=12), "jpeg (12 bits)"),
        (pictures.jpeg_with_frame(b"\xff\xc3", bits=16), "jpeg (16 bits)"),
        (pictures.jpeg_with_frame(b"\xff\xf7"), "jpeg (JPEG-LS)"),
        (pictures.jpeg_with_frame(b"\xff\xc0", height_px=0), "jpeg (DNL)"),
        (pictures.apples_png(), "png (Apple's CgBI)"),
        (pictures.tiff_with(pictures.tiff_of(np.zeros((64, 64), "u2")), 262, 3), "tiff (photometric 3, 16 bits)"),
    ],
)
async def test_pictures_that_cannot_be_read_here_are_named(data: bytes, name: str, bench: Bench) -> None:
    with pytest.raises(errors.UnsupportedFormat) as caught:
        await bench.service.probe(bench.file(data))
    assert caught.value.format == name


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("kept", [0.5, 0.97])
async def test_a_truncated_file_is_refused(kind: str, kept: float, bench: Bench) -> None:
    data = pictures.encoded(pictures.scene(200, 150), kind)
    with pytest.raises(errors.DamagedImage):
        await bench.service.probe(bench.file(data[: int(len(data) * kept)]))


async def test_a_bomb_is_refused_by_its_header_before_anything_is_decoded(fresh_bench: Bench) -> None:
    with pytest.raises(errors.TooManyPixels) as caught:
        await fresh_bench.service.probe(fresh_bench.file(pictures.png_declaring(100_000, 100_000)))
    assert (caught.value.width_px, caught.value.height_px) == (100_000, 100_000)
    assert caught.value.limit_px == 64_000_000
    jpeg = bytearray(pictures.encoded(pictures.scene(), "JPEG"))
    frame = jpeg.index(b"\xff\xc0")
    jpeg[frame + 5 : frame + 9] = struct.pack(">HH", 65_500, 65_500)
    with pytest.raises(errors.TooManyPixels):
        await fresh_bench.service.probe(fresh_bench.file(bytes(jpeg)))
    inner = pictures.png_declaring(20_000, 20_000)
    icon = struct.pack("<HHHIHHII", 0, 1, 1, 0, 1, 32, len(inner), 22) + inner
    with pytest.raises(errors.ImageTooCostly):
        await fresh_bench.service.probe(fresh_bench.file(icon))
    assert fresh_bench.service.stats["peak_bytes"] < 90_000_000


async def test_data_that_decompresses_to_far_more_than_the_image_needs_no_memory(fresh_bench: Bench) -> None:
    try:
        facts = await fresh_bench.service.probe(fresh_bench.file(pictures.deflate_bomb()))
        assert (facts.width_px, facts.height_px) == (64, 64)
    except errors.DamagedImage:
        pass
    assert fresh_bench.service.stats["peak_bytes"] < 90_000_000


async def test_too_small_and_too_heavy_are_refused_with_the_numbers(tmp_path: Path) -> None:
    async with ImageService(ImageLimits(input_bytes=900, min_side_px=20), workers=1) as image_service:
        bench = Bench(image_service, tmp_path)
        tiny = bench.file(pictures.encoded(pictures.scene(19, 40), "GIF"))
        with pytest.raises(errors.FileTooLarge) as heavy:
            await image_service.probe(bench.file(bytes(901), "heavy"))
        assert (heavy.value.bytes, heavy.value.limit_bytes) == (901, 900)
        with pytest.raises(errors.ImageTooSmall) as small:
            await image_service.probe(_small(tiny))
    assert (small.value.width_px, small.value.height_px, small.value.min_side_px) == (19, 40, 20)


def _small(path: Path) -> Path:
    path.write_bytes(pictures.encoded(pictures.scene(19, 40).convert("1"), "PNG"))
    return path


@given(st.integers(16, 12_000), st.integers(16, 12_000))
def test_the_largest_factor_fits_and_the_next_hundredth_does_not(width_px: int, height_px: int) -> None:
    limits = ImageLimits()
    found = largest_factor(width_px, height_px, limits)
    if found is None:
        with pytest.raises(errors.OutputTooLarge):
            check_output(width_px, height_px, 1.0, limits)
        return
    assert 1 <= found <= 4
    assert round(found, 2) == found
    check_output(width_px, height_px, found, limits)
    if found < 4:
        with pytest.raises(errors.OutputTooLarge) as caught:
            check_output(width_px, height_px, round(found + 0.01, 2), limits)
        assert caught.value.largest_factor == found


def test_the_output_size_is_never_underestimated() -> None:
    assert largest_output_size(333, 100, 1.5) == (500, 150)
    assert largest_output_size(100, 100, 2.2) == (220, 220)
    assert largest_factor(14_143, 100, ImageLimits()) is None
    assert largest_factor(1600, 1200, ImageLimits()) == 4.0


async def test_probing_runs_beside_the_event_loop(bench: Bench) -> None:
    path = bench.file(pictures.encoded(pictures.scene(2000, 1500), "PNG"))
    work = asyncio.create_task(bench.service.probe(path))
    ticks = 0
    while not work.done():
        await asyncio.sleep(0.002)
        ticks += 1
    assert (await work).width_px == 2000
    assert ticks > 3
