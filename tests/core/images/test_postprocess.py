"""Finishing a result: sRGB, exact size, and the transparency and density of its source."""

from functools import partial
from typing import Any

import numpy as np
import pytest
from PIL import Image, ImageDraw

from core.domain.errors import ImageTooSmall
from core.domain.money import largest_output_size
from core.images.service import StrippedResult
from tests.core.images import pictures
from tests.core.images.conftest import Bench


def _logo(colour: tuple[int, int, int]) -> Image.Image:
    """A disc of one colour with a soft edge on a transparent background."""
    mask = Image.new("L", (480, 240))
    ImageDraw.Draw(mask).ellipse((60, 20, 420, 220), fill=255)
    picture = Image.new("RGBA", (96, 48), (*colour, 0))
    picture.putalpha(mask.resize((96, 48), Image.Resampling.LANCZOS))
    return picture


async def _round(
    bench: Bench, data: bytes, factor: float, kind: str = "PNG", *, transparent: bool = True
) -> tuple[StrippedResult, Image.Image, np.ndarray[Any, Any]]:
    """Prepare, enlarge like a model, and postprocess; also return what the model saw."""
    source, sent, back = bench.file(data), bench.folder / "sent", bench.folder / "back"
    await bench.service.prepare(source, sent)
    await bench.service.enlarge(sent, back, factor)
    if kind != "PNG":
        back.write_bytes(pictures.encoded(pictures.decoded(back.read_bytes()), kind, quality=95))
    result = await bench.service.postprocess(await bench.service.strip_result(back), source, transparent=transparent)
    return result, pictures.decoded(back.read_bytes()), pictures.pixels(sent.read_bytes())


@pytest.mark.parametrize("colour", [(255, 255, 255), (0, 0, 0), (128, 128, 128), (250, 240, 200), (200, 30, 40)])
@pytest.mark.parametrize("kind", ["PNG", "JPEG"])
async def test_a_transparent_logo_is_visible_to_the_model_and_transparent_in_the_result(
    kind: str, colour: tuple[int, int, int], bench: Bench
) -> None:
    result, shown, seen = await _round(bench, pictures.encoded(_logo(colour), "PNG"), 2, kind)
    assert np.abs(seen[24, 48] - seen[0, 0]).max() >= 64
    assert (result.facts.mime, result.facts.is_transparent, shown.mode) == ("image/png", True, "RGBA")
    assert shown.size == (result.facts.width_px, result.facts.height_px) == (192, 96)
    pixels = np.asarray(shown).astype(int)
    assert pixels[0, 0, 3] == 0
    assert pixels[48, 96, 3] == 255
    solid = pixels[:, :, 3] > 128
    assert np.abs(pixels[solid][:, :3] - colour).mean() <= 4


@pytest.mark.parametrize("kind", ["PNG", "WEBP", "TIFF"])
async def test_at_factor_1_the_same_picture_comes_back(kind: str, bench: Bench) -> None:
    picture = pictures.see_through()
    options = {"lossless": True} if kind == "WEBP" else {}
    result, shown, _ = await _round(bench, pictures.encoded(picture, kind, **options), 1)
    before, after = np.asarray(picture).astype(int), np.asarray(shown).astype(int)
    assert np.abs(before - after).mean() <= 1.5
    assert result.sha256


async def test_the_alpha_turns_with_the_picture(bench: Bench) -> None:
    data = pictures.encoded(pictures.see_through(), "PNG", exif=pictures.exif(6))
    _, shown, _ = await _round(bench, data, 1.5)
    alpha = np.asarray(shown)[:, :, 3].astype(int)
    assert shown.size == (96, 144)
    assert abs(alpha[:60].mean() - 60) <= 2
    assert alpha[84:].min() >= 253


async def test_a_cut_png_keeps_the_transparency_that_is_there(bench: Bench) -> None:
    data = pictures.encoded(pictures.see_through(300, 200), "PNG")
    _, shown, _ = await _round(bench, data[: len(data) * 7 // 10], 1)
    alpha = np.asarray(shown)[:, :, 3].astype(int)
    assert (alpha[:80, :140] == 60).all()
    assert (alpha[:80, 160:] == 255).all()


@pytest.mark.parametrize("kind", ["PNG", "JPEG"])
@pytest.mark.parametrize("source", ["PNG", "JPEG", "TIFF", "BMP", "WEBP", "AVIF", "heic"])
async def test_the_density_of_the_source_is_kept(source: str, kind: str, bench: Bench) -> None:
    exif = pictures.exif_of_300_dpi()
    if source == "heic":
        data = pictures.heic(pictures.scene(), exif=exif)
    else:
        data = pictures.encoded(pictures.scene(), source, dpi=(300, 300), exif=exif)
    result, shown, _ = await _round(bench, data, 2, kind, transparent=False)
    assert shown.info["dpi"] == pytest.approx((300, 300), abs=1)
    assert result.facts.bytes == result.path.stat().st_size
    assert (pictures.pixels(result.path.read_bytes()).std()) > 10
    await bench.service.convert(result.path, bench.folder / "saved", "jpeg", 90)
    assert pictures.decoded((bench.folder / "saved").read_bytes()).info["dpi"] == (300, 300)


async def test_no_density_is_invented(bench: Bench) -> None:
    for kind in ("PNG", "JPEG", "WEBP", "BMP", "GIF"):
        source, back = bench.folder / "in", bench.folder / "back"
        options = {"dpi": (25.4, 25.4)} if kind == "BMP" else {}
        source.write_bytes(pictures.encoded(pictures.scene(), kind, **options))
        back.write_bytes(pictures.encoded(pictures.scene(), "PNG"))
        before = back.read_bytes()
        stripped = await bench.service.strip_result(back)
        assert await bench.service.postprocess(stripped, source, transparent=False) == stripped
        assert back.read_bytes() == before


_PLAIN = {kind: pictures.encoded(pictures.scene(), kind) for kind in ("PNG", "JPEG")}


@pytest.mark.parametrize(
    ("data", "dpi"),
    [
        (pictures.encoded(pictures.scene(), "JPEG", dpi=(72, 72)), (72, 72)),
        (_PLAIN["JPEG"].replace(b"JFIF\0\1\1\0\0\1\0\1", b"JFIF\0\1\1\0\1\x2c\1\x2c"), None),
        (pictures.png_with(_PLAIN["PNG"], pictures.png_chunk(b"pHYs", b"\0\0\0\2\0\0\0\1\0")), None),
        (pictures.encoded(pictures.scene(), "TIFF", tiffinfo={282: 300.0, 283: 300.0, 296: 1}), None),
        (pictures.encoded(pictures.scene(), "TIFF", tiffinfo={282: 72.0, 283: 72.0, 296: 2}), (72, 72)),
    ],
)
async def test_a_density_counts_if_it_has_a_unit(data: bytes, dpi: tuple[int, int] | None, bench: Bench) -> None:
    _, shown, _ = await _round(bench, data, 2, transparent=False)
    assert shown.info.get("dpi") == (None if dpi is None else pytest.approx(dpi, abs=0.1))


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "WEBP"])
async def test_no_density_is_written_if_the_source_has_none(kind: str, bench: Bench) -> None:
    source, back = bench.folder / "in", bench.folder / "back"
    source.write_bytes(pictures.encoded(pictures.scene(), kind))
    back.write_bytes(pictures.encoded(pictures.scene().resize((400, 300)), kind))
    reduced = await bench.service.postprocess(await bench.service.strip_result(back), source, size_px=(300, 225))
    made = [reduced.path]
    for name, enlarging in (
        ("small", bench.service.enlarge),
        ("network", partial(bench.service.enlarge, network=True)),
    ):
        await enlarging(source, bench.folder / name, 2)
        made.append(bench.folder / name)
    await bench.service.preview(back, bench.folder / "preview", max_side_px=100, max_bytes=1_000_000)
    await bench.service.compare(source, back, bench.folder / "compare")
    for saved_as in ("png", "jpeg", "webp"):
        await bench.service.convert(back, bench.folder / saved_as, saved_as=saved_as, quality=90)
    for path in [*made, *(bench.folder / name for name in ("preview", "compare", "png", "jpeg", "webp"))]:
        shown = pictures.decoded(path.read_bytes())
        assert "dpi" not in shown.info, path.name
        assert shown.info.get("jfif_unit", 0) == 0, path.name


@pytest.mark.parametrize(("width", "height"), [(300, 224), (201, 150), (399, 300), (402, 17)])
@pytest.mark.parametrize("kind", ["PNG", "JPEG", "WEBP"])
async def test_a_result_is_reduced_to_exact_pixels_with_its_density(
    kind: str, width: int, height: int, bench: Bench
) -> None:
    smooth = pictures.scene(40, 30).resize((403, 301), Image.Resampling.BICUBIC)
    (back := bench.folder / "back").write_bytes(pictures.encoded(smooth, kind, quality=95))
    result = await bench.service.postprocess(
        await bench.service.strip_result(back), None, size_px=(width, height), dpi=(300.0, 150.0)
    )
    shown = pictures.decoded(back.read_bytes())
    assert shown.size == (result.facts.width_px, result.facts.height_px) == (width, height)
    assert shown.info["dpi"] == pytest.approx((300, 150), abs=1)
    wanted = np.asarray(smooth.resize((width, height), Image.Resampling.LANCZOS)).astype(int)
    assert np.abs(np.asarray(shown.convert("RGB")) - wanted).mean() <= 3


async def test_a_reduction_keeps_the_light_of_fine_lines(bench: Bench) -> None:
    lines = np.zeros((128, 128, 3), np.uint8)
    lines[::2] = 255
    (back := bench.folder / "back").write_bytes(pictures.encoded(Image.fromarray(lines), "PNG"))
    await bench.service.postprocess(await bench.service.strip_result(back), None, size_px=(32, 32))
    assert abs(pictures.pixels(back.read_bytes()).mean() - 188) <= 1


async def test_a_result_is_never_enlarged_by_postprocessing(bench: Bench) -> None:
    (back := bench.folder / "back").write_bytes(pictures.encoded(pictures.scene(), "PNG"))
    with pytest.raises(ImageTooSmall):
        await bench.service.postprocess(await bench.service.strip_result(back), None, size_px=(97, 64))


async def test_a_result_can_be_reduced_and_transparent(bench: Bench) -> None:
    (source := bench.folder / "in").write_bytes(pictures.encoded(pictures.see_through(), "PNG"))
    (back := bench.folder / "back").write_bytes(pictures.encoded(pictures.scene(192, 128), "JPEG"))
    await bench.service.postprocess(
        await bench.service.strip_result(back), source, transparent=True, size_px=(150, 100)
    )
    shown = pictures.decoded(back.read_bytes())
    assert (shown.size, shown.mode) == ((150, 100), "RGBA")
    assert abs(np.asarray(shown)[:, :70, 3].astype(int).mean() - 60) <= 1


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "WEBP", "TIFF"])
async def test_a_result_in_other_colours_becomes_srgb(kind: str, bench: Bench) -> None:
    icc = pictures.colour_profile("p3")
    (back := bench.folder / "back").write_bytes(pictures.encoded(pictures.scene(), kind, icc_profile=icc, quality=95))
    wanted = pictures.as_srgb(pictures.decoded(back.read_bytes()), icc)
    result = await bench.service.postprocess(await bench.service.strip_result(back), None)
    assert result.facts.format == ("jpeg" if kind == "JPEG" else "png")
    assert "icc_profile" not in pictures.decoded(back.read_bytes()).info
    assert np.abs(pictures.pixels(back.read_bytes()) - wanted).mean() <= 2  # twice JPEG


@pytest.mark.parametrize("factor", [1.0, 1.37, 2.0, 4.0])
@pytest.mark.parametrize("size", [(3000, 200), (1600, 1200), (300, 2500), (64, 64)])
async def test_a_crop_shows_the_detail_and_is_one_megapixel_when_enlarged(
    size: tuple[int, int], factor: float, bench: Bench
) -> None:
    picture = Image.new("RGB", size, (120, 130, 140))
    busy = (size[0] * 3 // 4, size[1] * 3 // 4)
    picture.paste(pictures.scene(size[0] - busy[0], size[1] - busy[1]), busy)
    (source := bench.folder / "in").write_bytes(pictures.encoded(picture, "PNG"))
    crop = await bench.service.crop_detail(source, bench.folder / "out", factor)
    width, height = largest_output_size(crop.width_px, crop.height_px, factor)
    assert width * height <= 1_000_000
    assert width * height >= 900_000 or (crop.width_px, crop.height_px) == size
    shown = pictures.decoded(crop.path.read_bytes())
    assert shown.size == (crop.width_px, crop.height_px)
    box = (crop.left, crop.top, crop.left + crop.width_px, crop.top + crop.height_px)
    assert (np.asarray(shown) == np.asarray(picture.crop(box))).all()
    assert crop.left >= (size[0] - crop.width_px) * 0.49
    assert crop.top >= (size[1] - crop.height_px) * 0.49
