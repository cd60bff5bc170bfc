"""Unusual files that browsers and other programs accept are accepted."""

import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from core.domain import errors
from core.domain.media_types import MIME, SUFFIXES, media_type_of, sniff
from core.images.operations.decoders.pillow import load_heic
from core.images.operations.refusals import Refused
from tests.core.images import pictures
from tests.core.images.conftest import Bench
from tests.core.images.made_up_tiffs import small_copy_first


@pytest.mark.parametrize("kind", [b"tEXt", b"zTXt", b"iTXt"])
async def test_a_png_whose_text_keyword_is_latin_1_is_read_also_as_a_result(kind: bytes, bench: Bench) -> None:
    plain = pictures.encoded(pictures.scene(), "PNG")
    data = pictures.png_with(plain, pictures.latin_1_text(kind))
    _, written = await bench.prepare(data)
    assert written == plain
    path = bench.folder / "result"
    path.write_bytes(data)
    await bench.service.strip_result(path)
    assert path.read_bytes() == plain
    path.write_bytes(data)
    assert (await bench.service.preview(path, bench.folder / "small", max_side_px=40, max_bytes=9_000)).width_px == 40


async def test_a_file_that_only_begins_like_a_jpeg_is_still_refused(bench: Bench) -> None:
    with pytest.raises(errors.DamagedImage):
        await bench.prepare(b"\xff\xd8\xff" + b"nothing here " * 9_000)


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "WEBP", "GIF", "BMP", "TIFF", "AVIF"])
def test_every_format_is_recognised_by_its_bytes(kind: str) -> None:
    data = pictures.encoded(pictures.scene(), kind)
    assert sniff(data[:512]) == kind.lower()
    assert media_type_of(data[:512]) == f"image/{kind.lower()}"
    assert media_type_of(b"%PDF-1.4") == "application/octet-stream"
    assert set(SUFFIXES) == set(MIME.values())
    assert Image.MIME[kind] in SUFFIXES


async def test_the_alpha_of_a_bmp_hides_its_colours(bench: Bench) -> None:
    masks = (0xFF0000, 0xFF00, 0xFF, 0xFF000000)
    row = np.array([0xFFC80000] * 8 + [0x0000C800] * 8, "<u4").tobytes()
    made, written = await bench.prepare(pictures.bmp_of(32, row * 16, compression=3, masks=masks))
    shown = pictures.pixels(written)
    assert "alpha_flattened" in made.notes
    assert (shown[:, :8] == (200, 0, 0)).all()
    assert (shown[:, 8:] == 255).all()
    forgotten = np.array([0x00C80000] * 16, "<u4").tobytes()
    made, written = await bench.prepare(pictures.bmp_of(32, forgotten * 16, compression=3, masks=masks))
    assert "alpha_flattened" not in made.notes
    assert (pictures.pixels(written) == (200, 0, 0)).all()


async def test_a_strange_bmp_is_named(bench: Bench) -> None:
    with pytest.raises(errors.UnsupportedFormat) as caught:
        await bench.prepare(pictures.bmp_of(24, bytes(64) * 16, compression=9))
    assert "compression 9" in caught.value.format
    with pytest.raises(errors.DamagedImage):
        await bench.prepare(pictures.bmp_of(24, bytes(64) * 16, compression=5))


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "GIF", "BMP"])
async def test_a_truncated_image_is_used_as_browsers_show_it_with_a_note(kind: str, bench: Bench) -> None:
    picture = pictures.scene(300, 200).quantize(64) if kind == "GIF" else pictures.scene(300, 200)
    data = pictures.encoded(picture, kind, **({"interlace": 0} if kind == "GIF" else {}))
    made, written = await bench.prepare(data[: len(data) * 6 // 10])
    assert "incomplete" in made.notes
    assert (made.source.format, made.source.bytes) == (kind.lower(), len(data) * 6 // 10)
    seen = slice(120, 200) if kind == "BMP" else slice(0, 80)
    assert np.abs(pictures.pixels(written)[seen] - pictures.pixels(data)[seen]).mean() <= 1.5
    with pytest.raises(errors.DamagedImage):  # nothing of it can be seen
        await bench.prepare(data[:60])


@pytest.mark.parametrize("progressive", [False, True])
async def test_a_jpeg_without_its_end_marker_is_complete(progressive: bool, bench: Bench) -> None:
    data = pictures.encoded(pictures.scene(), "JPEG", progressive=progressive)
    made, written = await bench.prepare(data[:-2])
    assert (made.notes, written) == ((), data)


@pytest.mark.parametrize("mode", ["RGB", "L", "RGBA"])
async def test_a_phones_heic_is_read(mode: str, bench: Bench) -> None:
    picture = pictures.see_through() if mode == "RGBA" else pictures.scene(97, 61, mode=mode)
    made, written = await bench.prepare(pictures.heic(picture, exif=pictures.exif(1)))
    assert made.source.format == "heic"
    assert (made.width_px, made.height_px) == picture.size
    assert ("alpha_flattened" in made.notes) == (mode == "RGBA")
    assert pictures.SECRET not in written
    if mode != "RGBA":
        off = np.abs(pictures.pixels(written) - np.asarray(picture.convert("RGB")).astype(int))
        assert off.mean() <= 1.5


async def test_a_cut_heic_is_damaged(bench: Bench) -> None:
    data = pictures.heic(pictures.scene())
    with pytest.raises(errors.DamagedImage):
        await bench.prepare(data[: len(data) * 2 // 3])


async def test_without_a_decoder_the_refusal_names_heic(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    path = tmp_path / "in"
    path.write_bytes(pictures.heic(pictures.scene()))
    monkeypatch.setitem(sys.modules, "pillow_heif", None)
    with pytest.raises(Refused) as caught:
        load_heic(path)
    assert (caught.value.code, caught.value.facts) == ("unsupported_format", {"format": "heic"})


@pytest.mark.parametrize(("code", "name"), [(34712, "JPEG 2000"), (50002, "JPEG XL"), (6, "old-style"), (777, "777")])
async def test_a_tiff_compression_that_cannot_be_read_is_named(code: int, name: str, bench: Bench) -> None:
    spoilt = pictures.tiff_with(pictures.tiff_of(np.zeros((64, 64), np.uint8)), 259, code)
    with pytest.raises(errors.UnsupportedFormat) as caught:
        await bench.prepare(spoilt)
    assert name in caught.value.format


@pytest.mark.parametrize("inner", [False, True])
async def test_camera_raw_is_refused_by_name_and_its_thumbnail_is_not_used(inner: bool, bench: Bench) -> None:
    with pytest.raises(errors.UnsupportedFormat) as caught:
        await bench.prepare(small_copy_first(inner=inner, photometric="cfa"))
    assert caught.value.format == "raw"


async def test_the_first_frame_of_an_animated_avif_is_used_with_a_note(bench: Bench) -> None:
    made, _ = await bench.prepare(pictures.animated("AVIF"))
    assert "first_frame" in made.notes
    assert made.source.frames == 3
    made, _ = await bench.prepare(pictures.encoded(pictures.scene(), "AVIF"))
    assert "first_frame" not in made.notes
