"""Files that browsers and other programs read without a word: none of them is called damaged here."""

from __future__ import annotations

import struct
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from core.domain import errors
from core.domain.media_types import MIME, SUFFIXES, media_type_of, sniff
from core.images.operations.decoders.pillow import load_heic
from core.images.operations.refusals import Refused
from core.images.service import ImageService, Prepared
from tests.core.images import pictures


@pytest.fixture
async def image_service() -> AsyncIterator[ImageService]:
    async with ImageService(workers=1) as made:
        yield made


async def _prepared(image_service: ImageService, tmp_path: Path, data: bytes) -> tuple[Prepared, bytes]:
    source, out = tmp_path / "in", tmp_path / "out"
    source.write_bytes(data)
    made = await image_service.prepare(source, out)
    return made, out.read_bytes()


@pytest.mark.parametrize("kind", [b"tEXt", b"zTXt", b"iTXt"])
async def test_a_png_whose_text_keyword_is_latin_1_is_read_also_as_a_result(
    kind: bytes, image_service: ImageService, tmp_path: Path
) -> None:
    plain = pictures.encoded(pictures.scene(), "PNG")
    data = pictures.png_with(plain, pictures.latin_1_text(kind))
    made, written = await _prepared(image_service, tmp_path, data)
    assert made.source.has_metadata
    assert written == plain
    path = tmp_path / "result"
    path.write_bytes(data)
    assert not (await image_service.strip_result(path)).facts.has_metadata
    assert path.read_bytes() == plain
    path.write_bytes(data)
    assert (await image_service.preview(path, tmp_path / "small", max_side_px=40, max_bytes=9_000)).width_px == 40


@pytest.mark.parametrize("stray", [b"\0\0", b"ab", b"\xff\xff", b"\xff\0", b"\xff\0ab"])
async def test_a_jpeg_with_stray_bytes_between_segments_is_read(
    stray: bytes, image_service: ImageService, tmp_path: Path
) -> None:
    data = pictures.encoded(pictures.scene(), "JPEG")
    at = data.index(b"\xff\xdb")
    _, written = await _prepared(image_service, tmp_path, data[:at] + stray + data[at:])
    assert (pictures.pixels(written) == pictures.pixels(data)).all()


async def test_a_file_that_only_begins_like_a_jpeg_is_still_refused(
    image_service: ImageService, tmp_path: Path
) -> None:
    with pytest.raises(errors.DamagedImage):
        await _prepared(image_service, tmp_path, b"\xff\xd8\xff" + b"nothing here " * 9_000)


async def test_a_gif_frame_smaller_than_its_canvas_has_nothing_around_it(
    image_service: ImageService, tmp_path: Path
) -> None:
    made, written = await _prepared(image_service, tmp_path, pictures.gif_with_small_frame())
    assert (made.width_px, made.height_px, made.notes[0]) == (96, 64, "alpha_flattened")
    shown = pictures.pixels(written)
    assert (shown[:8] == 255).all()
    inside = np.asarray(pictures.decoded(pictures.gif_with_small_frame()).convert("RGB")).astype(int)
    assert (shown[8:40, 16:64] == inside[8:40, 16:64]).all()


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "WEBP", "GIF", "BMP", "TIFF", "AVIF"])
def test_one_table_knows_each_kind_by_its_bytes(kind: str) -> None:
    data = pictures.encoded(pictures.scene(), kind)
    assert sniff(data[:512]) == kind.lower()
    assert media_type_of(data[:512]) == f"image/{kind.lower()}"
    assert media_type_of(b"%PDF-1.4") == "application/octet-stream"
    assert set(SUFFIXES) == set(MIME.values())
    assert Image.MIME[kind] in SUFFIXES


_GREYS = bytes(channel for level in range(16) for channel in (level * 17, level * 17, level * 17, 0))


def _bmps() -> dict[str, tuple[bytes, np.ndarray[Any, Any]]]:
    """Each with the grey ramp, or the checks, that it shows."""
    ramp = np.tile(np.arange(16) * 17, (16, 1))
    checks = np.tile(np.array([0, 255] * 8), (16, 1))
    nibbles = bytes(a << 4 | b for a, b in zip(range(0, 16, 2), range(1, 16, 2), strict=True))
    run8 = b"".join(bytes((1, level)) for level in range(16)) + b"\0\0"
    run4 = b"".join(bytes((2, a << 4 | (a + 1))) for a in range(0, 16, 2)) + b"\0\0"
    wide = {
        "555": (np.array([v >> 3 << 10 | v >> 3 << 5 | v >> 3 for v in ramp[0]], "<u2"), 0, ()),
        "565": (np.array([v >> 3 << 11 | v >> 2 << 5 | v >> 3 for v in ramp[0]], "<u2"), 3, (0xF800, 0x7E0, 0x1F)),
        "4444": (np.array([0xF000 | v >> 4 << 8 | v >> 4 << 4 | v >> 4 for v in ramp[0]], "<u2"), 3,
                 (0xF00, 0xF0, 0xF, 0xF000)),
        "10-10-10": (np.array([v * 1023 // 255 * (1 << 20 | 1 << 10 | 1) for v in ramp[0]], "<u4"), 3,
                     (0x3FF00000, 0xFFC00, 0x3FF)),
    }  # fmt: skip
    found = {
        "1": (pictures.bmp_of(1, b"\x55\x55\0\0" * 16, colours=_GREYS[:4] + _GREYS[-4:]), checks),
        "4": (pictures.bmp_of(4, nibbles * 16, colours=_GREYS), ramp),
        "8-rle": (pictures.bmp_of(8, run8 * 16 + b"\0\1", compression=1, colours=_GREYS), ramp),
        "4-rle": (pictures.bmp_of(4, run4 * 16 + b"\0\1", compression=2, colours=_GREYS), ramp),
    }
    for name, (row, compression, masks) in wide.items():
        bits = row.dtype.itemsize * 8
        found[name] = (pictures.bmp_of(bits, row.tobytes() * 16, compression=compression, masks=masks), ramp)
    return found


@pytest.mark.parametrize("name", _bmps())
async def test_a_bmp_of_every_depth_is_read(name: str, image_service: ImageService, tmp_path: Path) -> None:
    data, wanted = _bmps()[name]
    made, written = await _prepared(image_service, tmp_path, data)
    assert made.notes == ("converted",)
    assert np.abs(pictures.pixels(written)[:, :, 1] - wanted).max() <= 8


async def test_the_alpha_of_a_bmp_hides_its_colours(image_service: ImageService, tmp_path: Path) -> None:
    masks = (0xFF0000, 0xFF00, 0xFF, 0xFF000000)
    row = np.array([0xFFC80000] * 8 + [0x0000C800] * 8, "<u4").tobytes()
    made, written = await _prepared(image_service, tmp_path, pictures.bmp_of(32, row * 16, compression=3, masks=masks))
    shown = pictures.pixels(written)
    assert "alpha_flattened" in made.notes
    assert (shown[:, :8] == (200, 0, 0)).all()
    assert (shown[:, 8:] == 255).all()
    forgotten = np.array([0x00C80000] * 16, "<u4").tobytes()
    made, written = await _prepared(
        image_service, tmp_path, pictures.bmp_of(32, forgotten * 16, compression=3, masks=masks)
    )
    assert "alpha_flattened" not in made.notes
    assert (pictures.pixels(written) == (200, 0, 0)).all()


async def test_a_strange_bmp_is_named(image_service: ImageService, tmp_path: Path) -> None:
    with pytest.raises(errors.UnsupportedFormat) as caught:
        await _prepared(image_service, tmp_path, pictures.bmp_of(24, bytes(64) * 16, compression=9))
    assert "compression 9" in caught.value.format
    with pytest.raises(errors.DamagedImage):
        await _prepared(image_service, tmp_path, pictures.bmp_of(24, bytes(64) * 16, compression=5))


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "GIF", "BMP"])
async def test_of_a_cut_picture_what_a_browser_shows_is_taken_and_said(
    kind: str, image_service: ImageService, tmp_path: Path
) -> None:
    picture = pictures.scene(300, 200).quantize(64) if kind == "GIF" else pictures.scene(300, 200)
    data = pictures.encoded(picture, kind, **({"interlace": 0} if kind == "GIF" else {}))
    made, written = await _prepared(image_service, tmp_path, data[: len(data) * 6 // 10])
    assert "incomplete" in made.notes
    assert (made.source.format, made.source.bytes) == (kind.lower(), len(data) * 6 // 10)
    seen = slice(120, 200) if kind == "BMP" else slice(0, 80)
    assert np.abs(pictures.pixels(written)[seen] - pictures.pixels(data)[seen]).mean() <= 1.5
    with pytest.raises(errors.DamagedImage):  # nothing of it can be seen
        await _prepared(image_service, tmp_path, data[:60])


@pytest.mark.parametrize("progressive", [False, True])
async def test_a_jpeg_without_its_end_marker_is_whole(
    progressive: bool, image_service: ImageService, tmp_path: Path
) -> None:
    data = pictures.encoded(pictures.scene(), "JPEG", progressive=progressive)
    made, written = await _prepared(image_service, tmp_path, data[:-2])
    assert (made.notes, written) == ((), data)


@pytest.mark.parametrize("mode", ["RGB", "L", "RGBA"])
async def test_a_phones_heic_is_read(mode: str, image_service: ImageService, tmp_path: Path) -> None:
    picture = pictures.see_through() if mode == "RGBA" else pictures.scene(97, 61, mode=mode)
    made, written = await _prepared(image_service, tmp_path, pictures.heic(picture, exif=pictures.exif(1)))
    assert (made.source.format, made.source.has_metadata) == ("heic", True)
    assert (made.width_px, made.height_px) == picture.size
    assert ("alpha_flattened" in made.notes) == (mode == "RGBA")
    assert pictures.SECRET not in written
    if mode != "RGBA":
        off = np.abs(pictures.pixels(written) - np.asarray(picture.convert("RGB")).astype(int))
        assert off.mean() <= 1.5


async def test_the_colours_of_a_heic_are_honoured(image_service: ImageService, tmp_path: Path) -> None:
    icc = pictures.colour_profile("p3")
    _, by_profile = await _prepared(image_service, tmp_path, pictures.heic(pictures.scene(), icc_profile=icc))
    wanted = pictures.as_srgb(pictures.scene(), icc)
    assert np.abs(pictures.pixels(by_profile) - wanted).mean() <= 1.5


async def test_a_cut_heic_is_damaged(image_service: ImageService, tmp_path: Path) -> None:
    data = pictures.heic(pictures.scene())
    with pytest.raises(errors.DamagedImage):
        await _prepared(image_service, tmp_path, data[: len(data) * 2 // 3])


async def test_where_the_decoder_is_missing_heic_is_named(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    path = tmp_path / "in"
    path.write_bytes(pictures.heic(pictures.scene()))
    monkeypatch.setitem(sys.modules, "pillow_heif", None)
    with pytest.raises(Refused) as caught:
        load_heic(path)
    assert (caught.value.code, caught.value.facts) == ("unsupported_format", {"format": "heic"})


@pytest.mark.parametrize("compression", ["packbits", "tiff_lzw", "tiff_adobe_deflate", "jpeg", "zstd", "lzma", "lerc"])
async def test_a_tiff_is_read_whatever_its_compression(
    compression: str, image_service: ImageService, tmp_path: Path
) -> None:
    data = pictures.encoded(pictures.scene(), "TIFF", compression=compression)
    _, written = await _prepared(image_service, tmp_path, data)
    assert np.abs(pictures.pixels(written) - pictures.pixels(data)).mean() <= 1.5


@pytest.mark.parametrize(("code", "name"), [(34712, "JPEG 2000"), (50001, "WebP"), (6, "old-style JPEG"), (777, "777")])
async def test_a_tiff_compression_that_cannot_be_read_is_named(
    code: int, name: str, image_service: ImageService, tmp_path: Path
) -> None:
    data = pictures.tiff_of(np.zeros((64, 64), np.uint8))
    tag = struct.pack("<HHI", 259, 4, 1)
    spoilt = data.replace(tag + struct.pack("<I", 1), tag + struct.pack("<I", code))
    with pytest.raises(errors.UnsupportedFormat) as caught:
        await _prepared(image_service, tmp_path, spoilt)
    assert name in caught.value.format


async def test_of_an_animated_avif_the_first_frame_is_taken_and_said(
    image_service: ImageService, tmp_path: Path
) -> None:
    made, _ = await _prepared(image_service, tmp_path, pictures.animated("AVIF"))
    assert "first_frame" in made.notes
    assert made.source.frames == 3
    made, _ = await _prepared(image_service, tmp_path, pictures.encoded(pictures.scene(), "AVIF"))
    assert "first_frame" not in made.notes
