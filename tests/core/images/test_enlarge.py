"""The local model: better than Lanczos on average, never much worse, and it reports what it did."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageDraw
from skimage import data as photographs

from core.images.facts import ImageLimits
from core.images.operations import enlarge
from tests.core.images import pictures
from tests.core.images.conftest import Bench

LANCZOS = Image.Resampling.LANCZOS


def _decibels(wanted: np.ndarray, found: np.ndarray) -> float:
    return float(10 * np.log10(65025 / ((wanted.astype(float) - found) ** 2).mean()))


@pytest.mark.parametrize(("name", "gain"), [("astronaut", 0.5), ("coins", 0.5), ("chelsea", -0.1), ("moon", -0.1)])
async def test_a_halved_photograph_is_doubled_as_well_as_by_lanczos(name: str, gain: float, bench: Bench) -> None:
    whole = Image.fromarray(getattr(photographs, name)()).crop((0, 0, 300, 300))
    small = whole.resize((150, 150), LANCZOS)
    (source := bench.folder / "in").write_bytes(pictures.encoded(small, "PNG"))
    made = await bench.service.enlarge(source, bench.folder / "out", 2, network=True)
    found, plain = np.asarray(Image.open(bench.folder / "out")), np.asarray(small.resize((300, 300), LANCZOS))
    assert _decibels(np.asarray(whole), found) - _decibels(np.asarray(whole), plain) >= (
        gain if enlarge.available() else -0.01
    )
    assert (0.3 if gain > 0 and enlarge.available() else 0) <= made.network_share <= 1


@pytest.mark.parametrize("factor", [1.0, 1.1, 1.73, 2.0, 2.5, 3.0, 4.0])
@pytest.mark.parametrize(("kind", "mode"), [("PNG", "RGB"), ("PNG", "L"), ("JPEG", "RGB")])
async def test_any_factor_gives_the_exact_size_without_a_shift(
    kind: str, mode: str, factor: float, bench: Bench
) -> None:
    picture = Image.new(mode, (61, 300), "white")
    ImageDraw.Draw(picture).ellipse((10, 60, 50, 240), fill="black")
    data = pictures.encoded(picture, kind, **({"exif": pictures.exif(6), "quality": 98} if kind == "JPEG" else {}))
    (source := bench.folder / "in").write_bytes(data)
    made = await bench.service.enlarge(source, bench.folder / "out", factor, network=True)
    shown = Image.open(bench.folder / "out")
    upright = picture.rotate(-90, expand=True) if kind == "JPEG" else picture
    wanted = upright.resize((round(upright.width * factor), round(upright.height * factor)), LANCZOS)
    assert shown.size == wanted.size == (made.width_px, made.height_px)
    assert np.abs(np.asarray(shown.convert("L")).astype(int) - np.asarray(wanted.convert("L"))).mean() <= 4
    assert [p.name for p in bench.folder.iterdir()] == ["in", "out"] or {p.name for p in bench.folder.iterdir()} == {
        "in",
        "out",
    }


async def test_strips_leave_no_seams(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    picture = Image.fromarray(photographs.coffee()[:300, :200])
    (source := tmp_path / "in").write_bytes(pictures.encoded(picture, "PNG"))
    shown = []
    for rows in (32, 1000):
        monkeypatch.setattr(enlarge, "_STRIP_ROWS", rows)
        enlarge.enlarge(source, tmp_path / "out", 2, True, ImageLimits())
        shown.append(np.asarray(Image.open(tmp_path / "out")).astype(int))
    assert np.abs(shown[0] - shown[1]).max() <= 1


async def test_without_the_network_it_is_lanczos(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(enlarge, "available", lambda: False)
    (source := tmp_path / "in").write_bytes(pictures.encoded(pictures.scene(), "PNG"))
    assert enlarge.enlarge(source, tmp_path / "out", 2, True, ImageLimits())["network_share"] == 0
