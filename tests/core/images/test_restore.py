"""What a model does not keep is given back to its result: transparency and density."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image, ImageDraw

from core.images.service import ImageShop, StrippedResult
from tests.core.images import pictures


@pytest.fixture
async def shop() -> AsyncIterator[ImageShop]:
    async with ImageShop(workers=1) as made:
        yield made


def _logo(colour: tuple[int, int, int]) -> Image.Image:
    """A disc of one colour on nothing, soft at its edge."""
    mask = Image.new("L", (480, 240))
    ImageDraw.Draw(mask).ellipse((60, 20, 420, 220), fill=255)
    picture = Image.new("RGBA", (96, 48), (*colour, 0))
    picture.putalpha(mask.resize((96, 48), Image.Resampling.LANCZOS))
    return picture


async def _round(
    shop: ImageShop, tmp_path: Path, data: bytes, factor: float, kind: str = "PNG", *, transparent: bool = True
) -> tuple[StrippedResult, Image.Image, np.ndarray[Any, Any]]:
    """Prepared, enlarged as a model would, and restored; with what the model saw."""
    source, sent, back = tmp_path / "in", tmp_path / "sent", tmp_path / "back"
    source.write_bytes(data)
    await shop.prepare(source, sent)
    await shop.enlarge(sent, back, factor)
    if kind != "PNG":
        back.write_bytes(pictures.encoded(pictures.decoded(back.read_bytes()), kind, quality=95))
    result = await shop.restore(await shop.strip_result(back), source, transparent=transparent)
    return result, pictures.decoded(back.read_bytes()), pictures.pixels(sent.read_bytes())


@pytest.mark.parametrize("colour", [(255, 255, 255), (0, 0, 0), (128, 128, 128), (250, 240, 200), (200, 30, 40)])
@pytest.mark.parametrize("kind", ["PNG", "JPEG"])
async def test_a_logo_on_nothing_is_seen_by_the_model_and_transparent_in_the_result(
    kind: str, colour: tuple[int, int, int], shop: ImageShop, tmp_path: Path
) -> None:
    result, shown, seen = await _round(shop, tmp_path, pictures.encoded(_logo(colour), "PNG"), 2, kind)
    assert np.abs(seen[24, 48] - seen[0, 0]).max() >= 64
    assert (result.facts.mime, result.facts.is_transparent, shown.mode) == ("image/png", True, "RGBA")
    assert shown.size == (result.facts.width_px, result.facts.height_px) == (192, 96)
    pixels = np.asarray(shown).astype(int)
    assert pixels[0, 0, 3] == 0
    assert pixels[48, 96, 3] == 255
    solid = pixels[:, :, 3] > 128
    assert np.abs(pixels[solid][:, :3] - colour).mean() <= 4


@pytest.mark.parametrize("kind", ["PNG", "WEBP", "TIFF"])
async def test_at_factor_1_the_same_picture_comes_back(kind: str, shop: ImageShop, tmp_path: Path) -> None:
    picture = pictures.see_through()
    options = {"lossless": True} if kind == "WEBP" else {}
    result, shown, _ = await _round(shop, tmp_path, pictures.encoded(picture, kind, **options), 1)
    before, after = np.asarray(picture).astype(int), np.asarray(shown).astype(int)
    assert np.abs(before - after).mean() <= 1.5
    assert result.sha256


async def test_the_alpha_turns_with_the_picture(shop: ImageShop, tmp_path: Path) -> None:
    data = pictures.encoded(pictures.see_through(), "PNG", exif=pictures.exif(6))
    _, shown, _ = await _round(shop, tmp_path, data, 1.5)
    alpha = np.asarray(shown)[:, :, 3].astype(int)
    assert shown.size == (96, 144)
    assert abs(alpha[:60].mean() - 60) <= 2
    assert alpha[84:].min() >= 253


@pytest.mark.parametrize("kind", ["PNG", "JPEG"])
@pytest.mark.parametrize("source", ["PNG", "JPEG", "TIFF"])
async def test_the_density_of_the_source_is_kept(source: str, kind: str, shop: ImageShop, tmp_path: Path) -> None:
    data = pictures.encoded(pictures.scene(), source, dpi=(300, 300))
    result, shown, _ = await _round(shop, tmp_path, data, 2, kind, transparent=False)
    assert shown.info["dpi"] == pytest.approx((300, 300), abs=1)
    assert result.facts.bytes == result.path.stat().st_size
    assert (pictures.pixels(result.path.read_bytes()).std()) > 10


async def test_without_a_density_nothing_is_invented(shop: ImageShop, tmp_path: Path) -> None:
    for kind in ("PNG", "JPEG", "WEBP", "BMP", "GIF"):
        source, back = tmp_path / "in", tmp_path / "back"
        options = {"dpi": (25.4, 25.4)} if kind == "BMP" else {}
        source.write_bytes(pictures.encoded(pictures.scene(), kind, **options))
        back.write_bytes(pictures.encoded(pictures.scene(), "PNG"))
        before = back.read_bytes()
        stripped = await shop.strip_result(back)
        assert await shop.restore(stripped, source, transparent=False) == stripped
        assert back.read_bytes() == before
