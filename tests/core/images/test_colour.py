"""Conversion to sRGB from every colour space and sample type."""

from typing import Any

import numpy as np
import pytest
import pyvips
from PIL import Image

from core.domain import errors
from tests.core.images import pictures
from tests.core.images.conftest import Bench

MAX_MEAN_OFF = 1.5


async def _shown(bench: Bench, data: bytes) -> np.ndarray[Any, Any]:
    _, written = await bench.prepare(data)
    assert "icc_profile" not in pictures.decoded(written).info
    return pictures.pixels(written)


@pytest.mark.parametrize("profile", ["p3", "adobe", "prophoto", "monitor", "bt2020"])
@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP", "TIFF", "AVIF"])
async def test_a_picture_in_another_colour_space_reaches_the_model_as_srgb(
    kind: str, profile: str, bench: Bench
) -> None:
    icc = pictures.colour_profile(profile)
    data = pictures.encoded(
        pictures.scene(), kind, icc_profile=icc, quality=95, **({"subsampling": "4:4:4"} if kind == "AVIF" else {})
    )
    made, written = await bench.prepare(data)
    shown = pictures.pixels(written)
    wanted = pictures.as_srgb(pictures.decoded(data), icc)
    assert np.abs(shown - wanted).mean() <= MAX_MEAN_OFF
    assert np.abs(shown - pictures.pixels(data)).mean() > 1
    assert "converted" in made.notes


async def test_an_srgb_profile_does_not_change_the_pixels(bench: Bench) -> None:
    data = pictures.encoded(pictures.scene(), "JPEG", icc_profile=pictures.icc())
    source, out = bench.folder / "in", bench.folder / "out"
    source.write_bytes(data)
    assert (await bench.service.prepare(source, out)).notes == ()
    assert out.read_bytes() == data


async def test_an_invalid_or_mismatched_profile_is_ignored(bench: Bench) -> None:
    for icc in (b"nonsense " * 40, pictures.icc()[:16] + b"CMYK" + pictures.icc()[20:], pictures.icc()[:200]):
        data = pictures.encoded(pictures.scene(), "TIFF", icc_profile=icc)
        shown = await _shown(bench, data)
        assert (shown == pictures.pixels(data)).all()


@pytest.mark.parametrize("kind", ["JPEG", "TIFF"])
async def test_black_ink_and_rich_black_without_a_profile_are_black(kind: str, bench: Bench) -> None:
    inks = np.zeros((64, 96, 4), np.uint8)
    inks[:, :32], inks[:, 32:64] = (0, 0, 0, 255), (200, 180, 180, 255)
    picture = Image.fromarray(inks, "CMYK")
    shown = await _shown(bench, pictures.encoded(picture, kind, quality=100))
    assert shown[:, :60].max() <= 3
    assert shown[:, 70:].min() >= 252


@pytest.mark.parametrize("kind", ["JPEG", "TIFF"])
async def test_rich_black_by_a_profile_is_black_and_paper_is_white(kind: str, bench: Bench) -> None:
    inks = np.zeros((64, 96, 4), np.uint8)
    inks[:, :32], inks[:, 32:64] = (200, 180, 180, 255), (153, 102, 102, 255)
    icc = bytes(pyvips.Image.profile_load("cmyk"))
    data = pictures.encoded(Image.fromarray(inks, "CMYK"), kind, quality=100, icc_profile=icc)
    shown = await _shown(bench, data)
    assert shown[:, :60].max() <= 10
    assert shown[:, 70:].min() >= 252


@pytest.mark.parametrize("sample", ["<f2", "<f4", "<u4", "<i4", "<i2", "i1", "<u2"])
@pytest.mark.parametrize("bands", [1, 3])
async def test_samples_of_every_type_are_scaled_by_their_range(bands: int, sample: str, bench: Bench) -> None:
    ramp = np.tile(np.linspace(0, 1, 96), (64, 1))
    kind = np.dtype(sample)
    if kind.kind == "f":
        values = ramp.astype(kind)
    else:
        top = np.iinfo(kind)
        values = (ramp * (float(top.max) - top.min) * 0.999 + top.min).astype(kind)
    values = values if bands == 1 else np.dstack([values] * 3)
    shown = await _shown(bench, pictures.tiff_of(values))
    assert np.abs(shown[:, :, 0] - ramp * 255).mean() <= MAX_MEAN_OFF


@pytest.mark.parametrize("top", [1.0, 3.7, 255.0, 65535.0])
async def test_floats_of_any_usual_range_are_not_black(top: float, bench: Bench) -> None:
    ramp = np.tile(np.linspace(0, 1, 96), (64, 1))
    shown = await _shown(bench, pictures.tiff_of((ramp * top).astype("<f4")))
    assert np.abs(shown[:, :, 0] - ramp * 255).mean() <= MAX_MEAN_OFF


async def test_a_picture_that_would_become_flat_is_refused(bench: Bench) -> None:
    faint = (np.random.default_rng(1).random((64, 96)) * 200).astype("<u2")
    with pytest.raises(errors.FlatImage):
        await bench.prepare(pictures.tiff_of(faint))
    await bench.prepare(pictures.encoded(Image.new("RGB", (64, 64), (7, 8, 9)), "TIFF"))


@pytest.mark.parametrize(("size", "palette"), [((0, 0), True), ((96, 0), True), ((0, 64), True), ((96, 64), False)])
async def test_a_gif_without_a_visible_frame_is_refused(size: tuple[int, int], palette: bool, bench: Bench) -> None:
    for kind in ("probe", "prepare"):
        data = pictures.gif_of_nothing(*size, palette=palette)
        with pytest.raises(errors.FlatImage):
            await (bench.prepare(data) if kind == "prepare" else bench.service.probe(bench.file(data)))
    await bench.prepare(pictures.gif_of_nothing(96, 64))
