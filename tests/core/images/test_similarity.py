"""Similarity of a result, and the comparison of the part that changed most."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageFilter
from skimage import data as photographs

from tests.core.images import pictures
from tests.core.images.conftest import Bench

PHOTOGRAPH = Image.fromarray(photographs.astronaut())
LARGE = PHOTOGRAPH.resize((1024, 1024), Image.Resampling.LANCZOS)
OTHER = Image.fromarray(photographs.coffee()).resize((340, 340))


def _files(tmp_path: Path, after: Image.Image, before: Image.Image = PHOTOGRAPH) -> tuple[Path, Path]:
    (tmp_path / "before").write_bytes(pictures.encoded(before, "PNG"))
    (tmp_path / "after").write_bytes(pictures.encoded(after, "JPEG", quality=92))
    return tmp_path / "before", tmp_path / "after"


def _patched(left: int, top: int) -> Image.Image:
    picture = LARGE.copy()
    picture.paste(OTHER, (left, top))
    return picture


@pytest.mark.parametrize(
    ("after", "low", "high"),
    [
        (LARGE, 98, 100),
        (LARGE.point(lambda value: value * 0.7 + 40), 97, 100),
        (LARGE.filter(ImageFilter.UnsharpMask(3, 100)), 88, 98),
        (LARGE.filter(ImageFilter.GaussianBlur(4)), 50, 90),
        (OTHER.resize((1024, 1024)), 0, 60),
    ],
    ids=["enlarged", "other light", "sharpened", "blurred", "another picture"],
)
async def test_a_faithful_result_is_similar_and_a_repainted_one_is_not(
    after: Image.Image, low: int, high: int, bench: Bench
) -> None:
    assert low <= (await bench.service.similarity(*_files(bench.folder, after))).percent <= high


@pytest.mark.parametrize(("at", "place"), [((684, 0), "top_right"), ((0, 684), "bottom_left"), ((342, 342), "centre")])
async def test_the_part_that_changed_most_is_named(at: tuple[int, int], place: str, bench: Bench) -> None:
    found = await bench.service.similarity(*_files(bench.folder, _patched(*at)))
    assert found.most_changed == place
    assert 70 <= found.percent <= 95


@pytest.mark.parametrize("size", [(16, 16), (5, 700), (1, 1), (64, 17)])
async def test_any_size_and_a_result_of_another_shape_can_be_measured(size: tuple[int, int], bench: Bench) -> None:
    found = await bench.service.similarity(*_files(bench.folder, LARGE, PHOTOGRAPH.resize(size)))
    assert 0 <= found.percent <= 100


async def test_a_comparison_shows_the_most_detailed_part_and_below_it_the_most_changed(bench: Bench) -> None:
    before, after = _files(bench.folder, _patched(684, 0))
    made = await bench.service.compare(before, after, bench.folder / "out")
    assert (made.rows, made.width_px, made.height_px) == (2, 550, 550)
    shown = pictures.pixels(made.path.read_bytes())
    assert np.abs(shown[300:, :273] - shown[300:, 277:]).mean() > 25
    made = await bench.service.compare(*_files(bench.folder, LARGE), bench.folder / "out")
    assert (made.rows, made.width_px, made.height_px) == (1, 550, 273)
    shown = pictures.pixels(made.path.read_bytes())
    assert np.abs(shown[60:, :273] - shown[60:, 277:]).mean() < 12
