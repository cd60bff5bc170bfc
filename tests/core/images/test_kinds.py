"""Files that browsers and other programs read without a word: none of them is called damaged here."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from core.domain import errors
from core.domain.media_types import MIME, SUFFIXES, media_type_of, sniff
from core.images.service import ImageShop, Prepared
from tests.core.images import pictures


@pytest.fixture
async def shop() -> AsyncIterator[ImageShop]:
    async with ImageShop(workers=1) as made:
        yield made


async def _prepared(shop: ImageShop, tmp_path: Path, data: bytes) -> tuple[Prepared, bytes]:
    source, out = tmp_path / "in", tmp_path / "out"
    source.write_bytes(data)
    made = await shop.prepare(source, out)
    return made, out.read_bytes()


@pytest.mark.parametrize("kind", [b"tEXt", b"zTXt", b"iTXt"])
async def test_a_png_whose_text_keyword_is_latin_1_is_read_also_as_a_result(
    kind: bytes, shop: ImageShop, tmp_path: Path
) -> None:
    plain = pictures.encoded(pictures.scene(), "PNG")
    data = pictures.png_with(plain, pictures.latin_1_text(kind))
    made, written = await _prepared(shop, tmp_path, data)
    assert made.source.has_metadata
    assert written == plain
    path = tmp_path / "result"
    path.write_bytes(data)
    assert not (await shop.strip_result(path)).facts.has_metadata
    assert path.read_bytes() == plain
    path.write_bytes(data)
    assert (await shop.preview(path, tmp_path / "small", max_side_px=40, max_bytes=9_000)).width_px == 40


@pytest.mark.parametrize("stray", [b"\0\0", b"ab", b"\xff\xff", b"\xff\0", b"\xff\0ab"])
async def test_a_jpeg_with_stray_bytes_between_segments_is_read(stray: bytes, shop: ImageShop, tmp_path: Path) -> None:
    data = pictures.encoded(pictures.scene(), "JPEG")
    at = data.index(b"\xff\xdb")
    _, written = await _prepared(shop, tmp_path, data[:at] + stray + data[at:])
    assert (pictures.pixels(written) == pictures.pixels(data)).all()


async def test_a_file_that_only_begins_like_a_jpeg_is_still_refused(shop: ImageShop, tmp_path: Path) -> None:
    with pytest.raises(errors.DamagedImage):
        await _prepared(shop, tmp_path, b"\xff\xd8\xff" + b"nothing here " * 9_000)


async def test_a_gif_frame_smaller_than_its_canvas_has_nothing_around_it(shop: ImageShop, tmp_path: Path) -> None:
    made, written = await _prepared(shop, tmp_path, pictures.gif_with_small_frame())
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
