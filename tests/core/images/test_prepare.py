"""The file for the model: upright, opaque, without metadata, and not re-encoded where possible."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image, ImageOps

from core.domain import errors
from core.images.service import ImageService, ModelLimits
from tests.core.images import pictures
from tests.core.images.conftest import Bench


def _entropy(jpeg: bytes) -> bytes:
    return jpeg[jpeg.index(b"\xff\xda") : jpeg.index(b"\xff\xd9", jpeg.index(b"\xff\xda")) + 2]


@pytest.mark.parametrize("options", [{}, {"progressive": True}, {"subsampling": 0}, {"restart_marker_blocks": 2}])
async def test_the_pixels_of_an_untransformed_jpeg_are_not_touched(options: dict[str, Any], bench: Bench) -> None:
    data = pictures.encoded(
        pictures.scene(),
        "JPEG",
        exif=pictures.exif(1),
        icc_profile=pictures.icc(),
        comment=b"mine",
        xmp=b"<x/>",
        **options,
    )
    made, written = await bench.prepare(data + b"trailing " + pictures.SECRET)
    assert made.mime == "image/jpeg"
    assert made.notes == ()
    assert _entropy(written)[:200] == _entropy(data)[:200]
    assert (pictures.pixels(written) == pictures.pixels(data)).all()
    picture = pictures.decoded(written)
    assert picture.info["icc_profile"] == pictures.icc()
    assert not picture.getexif()
    assert not {"comment", "xmp", "exif"} & picture.info.keys()
    assert pictures.SECRET not in written
    assert written.endswith(b"\xff\xd9")


async def test_location_text_and_vendor_chunks_are_removed_and_pixel_data_kept(bench: Bench) -> None:
    plain = pictures.encoded(pictures.scene(), "PNG", icc_profile=pictures.icc(), exif=pictures.exif(1))
    data = pictures.png_with(
        plain,
        pictures.png_chunk(b"tEXt", b"Comment\0" + pictures.SECRET),
        pictures.png_chunk(b"iTXt", b"XML:com.adobe.xmp\0\0\0\0\0<x/>"),
        pictures.png_chunk(b"tIME", bytes(7)),
        pictures.png_chunk(b"caBX", b"who made this"),
        pictures.png_chunk(b"gAMA", (45455).to_bytes(4, "big")),
    )
    made, written = await bench.prepare(data + pictures.SECRET)
    before, after = pictures.png_chunks(data), pictures.png_chunks(written)
    assert after[b"IDAT"] == before[b"IDAT"]
    assert after.keys() == {b"IHDR", b"iCCP", b"gAMA", b"IDAT", b"IEND"}
    assert (made.mime, made.notes) == ("image/png", ())


@pytest.mark.parametrize("mode", ["L", "P", "1"])
async def test_grey_palette_and_bilevel_pngs_are_not_recompressed(mode: str, bench: Bench) -> None:
    data = pictures.encoded(pictures.scene(mode=mode), "PNG")
    _, written = await bench.prepare(data)
    assert written == data


async def test_the_thumbnail_in_a_jfif_header_is_removed(bench: Bench) -> None:
    data = pictures.encoded(pictures.scene(), "JPEG")
    body = data[6:18] + b"\x02\x02" + b"\x11" * 12
    with_preview = data[:2] + b"\xff\xe0" + (len(body) + 2).to_bytes(2, "big") + body + data[20:]
    assert pictures.decoded(with_preview).size == (96, 64)
    _, written = await bench.prepare(with_preview)
    assert written == data


@pytest.mark.parametrize("orientation", range(2, 9))
@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP"])
async def test_every_orientation_is_applied_and_removed(kind: str, orientation: int, bench: Bench) -> None:
    options: dict[str, Any] = {"lossless": True} if kind == "WEBP" else {}
    data = pictures.encoded(
        pictures.scene(), kind, exif=pictures.exif(orientation), icc_profile=pictures.icc(), **options
    )
    made, written = await bench.prepare(data)
    wanted = np.asarray(ImageOps.exif_transpose(pictures.decoded(data)).convert("RGB")).astype(int)
    assert np.abs(pictures.pixels(written) - wanted).max() <= 1
    assert made.mime == "image/png"
    picture = pictures.decoded(written)
    assert not picture.getexif()
    assert "icc_profile" not in picture.info
    assert pictures.SECRET not in written
    assert "alpha_flattened" not in made.notes


async def test_transparency_is_flattened_over_a_background_with_a_note(bench: Bench) -> None:
    picture = pictures.see_through()
    made, written = await bench.prepare(pictures.encoded(picture, "PNG"))
    white = Image.new("RGBA", picture.size, "white")
    wanted = np.asarray(Image.alpha_composite(white, picture).convert("RGB")).astype(int)
    assert made.notes == ("alpha_flattened",)
    assert np.abs(pictures.pixels(written) - wanted).max() <= 1
    assert pictures.decoded(written).mode == "RGB"


async def test_an_opaque_alpha_channel_gives_no_note(bench: Bench) -> None:
    picture = pictures.see_through(opaque=True)
    made, written = await bench.prepare(pictures.encoded(picture, "PNG"))
    assert made.notes == ()
    assert (pictures.pixels(written) == np.asarray(picture.convert("RGB"))).all()


def _with_hole() -> bytes:
    picture = pictures.scene(mode="P")
    return pictures.encoded(picture, "PNG", transparency=picture.getpixel((10, 10)))


async def test_a_palette_with_one_transparent_colour_counts_as_transparent(bench: Bench) -> None:
    made, written = await bench.prepare(_with_hole())
    assert made.notes == ("alpha_flattened",)
    assert b"tRNS" not in pictures.png_chunks(written)


@pytest.mark.parametrize("kind", ["GIF", "WEBP", "PNG"])
async def test_the_first_frame_of_an_animation_is_used_with_a_note(kind: str, bench: Bench) -> None:
    data = pictures.animated(kind)
    made, written = await bench.prepare(data)
    assert "first_frame" in made.notes
    assert made.source.frames == 3
    picture = pictures.decoded(written)
    assert getattr(picture, "n_frames", 1) == 1
    assert np.abs(pictures.pixels(written) - pictures.pixels(data)).mean() < 2


async def test_sixteen_bits_become_eight(bench: Bench) -> None:
    wide = Image.fromarray(np.linspace(0, 65535, 64 * 64).reshape(64, 64).astype(np.uint16))
    made, written = await bench.prepare(pictures.encoded(wide, "PNG"))
    picture = pictures.decoded(written)
    assert made.notes == ("converted",)
    assert picture.mode == "L"
    assert np.abs(np.asarray(picture).astype(int) - (np.asarray(wide) >> 8)).max() <= 1


async def test_print_colours_become_rgb(bench: Bench) -> None:
    made, written = await bench.prepare(pictures.encoded(pictures.scene(mode="CMYK"), "JPEG"))
    assert made.notes == ("converted",)
    assert pictures.decoded(written).mode == "RGB"
    assert abs(pictures.pixels(written).mean() - pictures.pixels(pictures.encoded(pictures.scene(), "PNG")).mean()) < 60


@pytest.mark.parametrize(
    ("kind", "mode"), [("BMP", "RGB"), ("BMP", "P"), ("BMP", "L"), ("TIFF", "RGB"), ("AVIF", "RGB")]
)
async def test_other_kinds_arrive_as_png_with_the_same_pixels(kind: str, mode: str, bench: Bench) -> None:
    data = pictures.encoded(pictures.scene(97, 61, mode=mode), kind)
    made, written = await bench.prepare(data)
    assert (made.mime, made.notes) == ("image/png", ("converted",))
    off = np.abs(pictures.pixels(written) - pictures.pixels(data))
    assert off.max() == 0 or (kind == "AVIF" and off.mean() < 2)


async def test_a_bmp_written_from_the_top_is_not_turned_over(bench: Bench) -> None:
    data = pictures.encoded(pictures.scene(), "BMP")
    rows = [data[at : at + 288] for at in range(54, len(data), 288)]
    top_down = data[:22] + (-64).to_bytes(4, "little", signed=True) + data[26:54] + b"".join(reversed(rows))
    _, written = await bench.prepare(top_down)
    assert (pictures.pixels(written) == pictures.pixels(data)).all()


async def test_an_image_that_is_too_large_as_png_becomes_a_good_jpeg(tmp_path: Path) -> None:
    data = pictures.encoded(pictures.scene(), "JPEG", exif=pictures.exif(6), quality=95)
    for model in (ModelLimits(png_aim_bytes=5_000), ModelLimits(png_aim_pixels=1_000)):
        async with ImageService(model=model, workers=1) as image_service:
            made, written = await Bench(image_service, tmp_path).prepare(data)
        assert made.mime == "image/jpeg"
        assert pictures.decoded(written).size == (64, 96)
        wanted = np.asarray(ImageOps.exif_transpose(pictures.decoded(data))).astype(int)
        assert np.abs(pictures.pixels(written) - wanted).mean() < 4
        assert not pictures.decoded(written).getexif()
    micrograph = pictures.encoded(pictures.scene(), "TIFF", dpi=(80_000, 80_000))  # more than a JPEG holds
    async with ImageService(model=ModelLimits(png_aim_pixels=1_000), workers=1) as image_service:
        _, written = await Bench(image_service, tmp_path).prepare(micrograph)
    assert "dpi" not in pictures.decoded(written).info
    async with ImageService(model=ModelLimits(max_bytes=600, png_aim_bytes=600), workers=1) as image_service:
        with pytest.raises(errors.FileTooLarge):
            await Bench(image_service, tmp_path).prepare(data)
