"""Results: enlarge, strip, fit into a number of bytes, preview and compare."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from core.domain import errors
from core.images.service import ImageLimits, ImageService, WrittenImage
from tests.core.images import pictures
from tests.core.images.conftest import Bench


def _noise(width_px: int, height_px: int, spread: int = 256) -> Image.Image:
    samples = np.random.default_rng(3).integers(0, spread, (height_px, width_px, 3))
    return Image.fromarray(samples.astype(np.uint8))


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "WEBP"])
@pytest.mark.parametrize(("colour", "black"), [((0, 0, 0), True), ((30, 30, 30), False)])
async def test_a_black_image_is_distinguished_from_a_dark_one(
    kind: str, colour: tuple[int, int, int], black: bool, bench: Bench
) -> None:
    plain = Image.new("RGB", (200, 100), colour)
    assert await bench.service.blank(bench.file(pictures.encoded(plain, kind))) == ("black" if black else "flat")


@pytest.mark.parametrize("factor", [2.0, 3.0, 4.0, 1.0])
async def test_whole_factors_enlarge_as_another_lanczos_does(factor: float, bench: Bench) -> None:
    picture = pictures.scene(301, 203)
    made = await bench.service.enlarge(bench.file(pictures.encoded(picture, "PNG")), bench.folder / "out", factor)
    size = (int(301 * factor), int(203 * factor))
    assert (made.mime, made.width_px, made.height_px) == ("image/png", *size)
    wanted = np.asarray(picture.resize(size, Image.Resampling.LANCZOS)).astype(int)
    off = np.abs(pictures.pixels(made.path.read_bytes()) - wanted)
    border = int(3 * factor)  # where the other one cuts its kernel off and we repeat the margin
    assert off[border:-border, border:-border].max() <= 1
    assert off.max() < 20


@pytest.mark.parametrize("factor", [1.3, 2.37, 3.99])
async def test_other_factors_come_close_to_it(factor: float, bench: Bench) -> None:
    picture = pictures.scene(301, 203)
    made = await bench.service.enlarge(bench.file(pictures.encoded(picture, "PNG")), bench.folder / "out", factor)
    size = (round(301 * factor), round(203 * factor))
    assert (made.width_px, made.height_px) == size
    wanted = np.asarray(picture.resize(size, Image.Resampling.LANCZOS)).astype(int)
    assert np.abs(pictures.pixels(made.path.read_bytes()) - wanted).mean() < 1.5


async def test_a_rotated_jpeg_is_enlarged_upright_as_jpeg(bench: Bench) -> None:
    data = pictures.encoded(pictures.scene(), "JPEG", exif=pictures.exif(6))
    made = await bench.service.enlarge(bench.file(data), bench.folder / "out", 2)
    assert (made.mime, made.width_px, made.height_px) == ("image/jpeg", 128, 192)
    assert not pictures.decoded(made.path.read_bytes()).getexif()


async def test_enlarging_past_the_limits_is_refused_with_what_would_fit(tmp_path: Path) -> None:
    async with ImageService(ImageLimits(output_pixels=20_000), workers=1) as image_service:
        with pytest.raises(errors.OutputTooLarge) as caught:
            await image_service.enlarge(
                Bench(image_service, tmp_path).file(pictures.encoded(pictures.scene(), "PNG")), tmp_path / "out", 2
            )
    assert caught.value.largest_factor == 1.79
    assert (caught.value.width_px, caught.value.height_px) == (192, 128)


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "WEBP"])
async def test_a_result_loses_its_metadata_and_keeps_its_pixels(kind: str, bench: Bench) -> None:
    data = pictures.encoded(pictures.scene(), kind, exif=pictures.exif(1), icc_profile=pictures.icc(), quality=90)
    path = bench.file(data)
    cleaned = await bench.service.strip_result(path)
    written = path.read_bytes()
    assert cleaned.facts.bytes == len(written) < len(data)
    assert pictures.SECRET not in written
    assert (pictures.pixels(written) == pictures.pixels(data)).all()
    assert pictures.decoded(written).info["icc_profile"] == pictures.icc()
    assert [entry.name for entry in bench.folder.iterdir()] == ["in"]


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "WEBP"])
async def test_a_rotated_result_keeps_only_its_orientation(kind: str, bench: Bench) -> None:
    path = bench.file(pictures.encoded(pictures.scene(), kind, exif=pictures.exif(6)))
    cleaned = await bench.service.strip_result(path)
    assert (cleaned.facts.orientation, cleaned.facts.width_px, cleaned.facts.height_px) == (6, 64, 96)
    assert dict(pictures.decoded(path.read_bytes()).getexif()) == {0x0112: 6}
    assert pictures.SECRET not in path.read_bytes()


async def test_a_clean_result_is_left_as_it_is(bench: Bench) -> None:
    data = pictures.encoded(pictures.scene(), "PNG")
    path = bench.file(data)
    inode = path.stat().st_ino
    await bench.service.strip_result(path)
    assert (path.read_bytes(), path.stat().st_ino) == (data, inode)


async def test_a_result_that_is_no_picture_or_broken_is_refused(bench: Bench) -> None:
    with pytest.raises(errors.NotAnImage):
        await bench.service.strip_result(bench.file(b'{"detail": "not found"}'))
    for kind in ("PNG", "JPEG", "WEBP", "GIF", "AVIF"):
        whole = pictures.encoded(_noise(64, 64), kind)
        with pytest.raises(errors.DamagedImage):
            await bench.service.strip_result(bench.file(whole[:-500]))
    spoilt = bytearray(pictures.encoded(_noise(64, 64), "PNG"))
    spoilt[len(spoilt) // 2] ^= 1
    with pytest.raises(errors.DamagedImage):
        await bench.service.probe(bench.file(bytes(spoilt)))


async def _fitted(bench: Bench, data: bytes, max_bytes: int) -> WrittenImage:
    made = await bench.service.fit(bench.file(data), bench.folder, max_bytes)
    assert made.bytes == made.path.stat().st_size <= max_bytes
    picture = pictures.decoded(made.path.read_bytes())
    assert (made.width_px, made.height_px) == picture.size
    assert made.mime == f"image/{(picture.format or '').lower()}"
    return made


async def test_what_fits_is_delivered_as_it_is(bench: Bench) -> None:
    data = pictures.encoded(pictures.scene(), "PNG")
    made = await _fitted(bench, data, len(data))
    assert (made.kind, made.path) == ("original", bench.folder / "in")


async def test_a_loosely_packed_png_fits_as_lossless_webp(bench: Bench) -> None:
    data = pictures.encoded(pictures.scene(900, 700), "PNG", compress_level=0)
    made = await _fitted(bench, data, len(data) // 2)
    assert (made.kind, made.mime) == ("lossless_webp", "image/webp")
    written = made.path.read_bytes()
    assert (pictures.pixels(written) == pictures.pixels(data)).all()


async def test_a_photograph_gets_smaller_forms_as_the_limit_shrinks(bench: Bench) -> None:
    data = pictures.encoded(_noise(1500, 1100, 64), "PNG", dpi=(240, 240))
    ladder = []
    for share in (0.45, 0.3, 0.2, 0.1, 0.02):
        made = await _fitted(bench, data, int(len(data) * share))
        ladder.append(made.kind)
        assert (made.kind == "preview") == (made.width_px < 1500)
        shown = pictures.decoded(made.path.read_bytes())
        dpi = shown.getexif()[282] if made.mime == "image/webp" else shown.info["dpi"][0]
        assert dpi == pytest.approx(240, abs=0.01)
    assert ladder[0] in ("jpeg", "webp")
    assert ladder[-1] == "preview"
    assert "preview" not in ladder[:2]


async def test_a_transparent_picture_stays_transparent_while_it_can(bench: Bench) -> None:
    picture = _noise(700, 500, 64).convert("RGBA")
    picture.putalpha(120)
    data = pictures.encoded(picture, "PNG")
    made = await _fitted(bench, data, len(data) // 3)
    assert made.kind == "webp"
    assert pictures.decoded(made.path.read_bytes()).mode == "RGBA"


async def test_a_picture_wider_than_webp_can_be_is_fitted_as_jpeg(bench: Bench) -> None:
    data = pictures.encoded(_noise(16_500, 40, 64), "PNG")
    made = await _fitted(bench, data, len(data) * 2 // 3)
    assert (made.kind, made.width_px) == ("jpeg", 16_500)


async def test_a_limit_that_nothing_fits_is_refused(bench: Bench) -> None:
    with pytest.raises(errors.FileTooLarge):
        await bench.service.fit(bench.file(pictures.encoded(_noise(300, 300), "PNG")), bench.folder, 100)


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP"])
async def test_a_preview_keeps_both_limits_and_stands_upright(kind: str, bench: Bench) -> None:
    data = pictures.encoded(_noise(1200, 800), kind, exif=pictures.exif(6))
    made = await bench.service.preview(bench.file(data), bench.folder / "out", max_side_px=600, max_bytes=60_000)
    assert made.bytes <= 60_000
    assert made.height_px <= 600
    assert made.width_px * 3 == pytest.approx(made.height_px * 2, abs=3)
    assert made.mime == "image/jpeg"


async def test_a_small_image_is_not_enlarged_for_a_preview(bench: Bench) -> None:
    data = pictures.encoded(pictures.see_through(), "PNG")
    made = await bench.service.preview(bench.file(data), bench.folder / "out", max_side_px=600, max_bytes=60_000)
    assert (made.mime, made.width_px, made.height_px) == ("image/png", 96, 64)


async def test_a_comparison_shows_the_busiest_part_of_both(bench: Bench) -> None:
    small = Image.new("RGB", (800, 600), (90, 90, 90))
    small.paste(_noise(200, 200), (560, 350))
    before = bench.file(pictures.encoded(small, "PNG"), "before")
    after = (await bench.service.enlarge(before, bench.folder / "after", 2.5)).path
    made = await bench.service.compare(before, after, bench.folder / "out")
    assert (made.mime, made.width_px, made.height_px) == ("image/png", 550, 273)
    assert made.bytes < 4_000_000
    shown = pictures.pixels(made.path.read_bytes())
    left, right = shown[60:, :273], shown[60:, 277:]
    assert right.std() > 30
    assert np.abs(left - right).mean() < 20
    assert shown[10:26, 12:50].max() == 255


async def test_a_comparison_of_small_pictures_shows_them_whole(bench: Bench) -> None:
    before = bench.file(pictures.encoded(pictures.scene(), "JPEG", exif=pictures.exif(6)), "before")
    after = (await bench.service.enlarge(before, bench.folder / "after", 4)).path
    made = await bench.service.compare(before, after, bench.folder / "out")
    assert (made.width_px, made.height_px) == (256 * 2 + 4, 273)


async def test_a_comparison_survives_an_after_of_another_shape_or_size(bench: Bench) -> None:
    before = bench.file(pictures.encoded(pictures.scene(300, 200), "PNG"), "before")
    for size in ((601, 399), (150, 100), (300, 200), (1000, 400)):
        after = bench.file(pictures.encoded(pictures.scene(*size), "PNG"), "after")
        made = await bench.service.compare(before, after, bench.folder / "out")
        assert (made.width_px, made.height_px) == (
            min(273, size[0]) * 2 + 4,
            min(273, size[1]) * made.rows + 4 * (made.rows - 1),
        )
