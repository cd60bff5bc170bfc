"""Any bytes give facts or a refusal, and the worker survives."""

import asyncio
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from core.domain.errors import InputError
from core.images.service import ImageService, PreparedImage
from tests.core.images import pictures

SEEDS = [
    pictures.encoded(pictures.scene(40, 30), "PNG", exif=pictures.exif(6)),
    pictures.encoded(pictures.see_through(40, 30), "PNG", icc_profile=pictures.icc()),
    pictures.encoded(pictures.scene(40, 30, mode="P"), "PNG", transparency=0),
    pictures.encoded(pictures.scene(40, 30), "JPEG", exif=pictures.exif(3), icc_profile=pictures.icc()),
    pictures.encoded(pictures.scene(40, 30), "JPEG", progressive=True),
    pictures.encoded(pictures.scene(40, 30), "WEBP", exif=pictures.exif(8)),
    pictures.encoded(pictures.see_through(40, 30), "WEBP", lossless=True),
    pictures.encoded(pictures.scene(40, 30), "BMP"),
    pictures.encoded(pictures.scene(40, 30, mode="P"), "BMP"),
    pictures.encoded(pictures.scene(40, 30), "TIFF", compression="tiff_lzw"),
    pictures.encoded(pictures.scene(40, 30), "AVIF"),
    pictures.animated("GIF"),
    pictures.animated("PNG"),
    pictures.animated("WEBP"),
    pictures.encoded(
        pictures.scene(40, 30), "PNG", save_all=True, default_image=True, append_images=[pictures.scene()]
    ),
]


class Bench:
    """An image service with its own loop, for tests that are not coroutines."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.runner = asyncio.Runner()
        self.image_service = ImageService(workers=1, timeout_s=20.0)

    def outcome(self, data: bytes) -> PreparedImage | InputError:
        """Prepare a file with these bytes."""
        source, out = self.folder / "in", self.folder / "out"
        source.write_bytes(data)
        try:
            return self.runner.run(self.image_service.prepare(source, out))
        except InputError as refusal:
            return refusal

    def close(self) -> None:
        self.runner.run(self.image_service.close())
        self.runner.close()


@pytest.fixture(scope="module")
def bench(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Bench]:
    made = Bench(tmp_path_factory.mktemp("hostile"))
    yield made
    made.close()


def _judge(bench: Bench, data: bytes) -> None:
    stats = bench.image_service.stats
    died, too_slow = stats["died"], stats["too_slow"]
    outcome = bench.outcome(data)
    if isinstance(outcome, PreparedImage):
        written = outcome.path.read_bytes()
        assert pictures.decoded(written).size == (outcome.width_px, outcome.height_px)
        assert pictures.SECRET not in written
    assert (stats["died"], stats["too_slow"]) == (died, too_slow)


bounded = settings(max_examples=120, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


@bounded
@given(st.sampled_from(SEEDS), st.lists(st.tuples(st.floats(0, 1, exclude_max=True), st.integers(1, 255)), max_size=8))
def test_flipped_bits_end_in_a_picture_or_a_refusal(bench: Bench, seed: bytes, flips: list[tuple[float, int]]) -> None:
    data = bytearray(seed)
    for where, mask in flips:
        data[int(where * len(data))] ^= mask
    _judge(bench, bytes(data))


@bounded
@given(st.sampled_from(SEEDS), st.floats(0, 1))
def test_a_cut_file_ends_in_a_picture_or_a_refusal(bench: Bench, seed: bytes, kept: float) -> None:
    _judge(bench, seed[: int(len(seed) * kept)])


@bounded
@given(st.sampled_from(SEEDS), st.integers(0, 64), st.binary(max_size=200))
def test_a_valid_header_with_any_rest_ends_in_a_refusal_or_a_picture(
    bench: Bench, seed: bytes, kept: int, rest: bytes
) -> None:
    _judge(bench, seed[:kept] + rest)


@bounded
@given(st.binary(max_size=300))
def test_any_bytes_end_in_a_refusal(bench: Bench, data: bytes) -> None:
    assert isinstance(bench.outcome(data), InputError)


def test_an_animation_without_the_place_of_its_first_frame_ends_in_a_picture_or_a_refusal(bench: Bench) -> None:
    still = pictures.encoded(pictures.scene(40, 30), "PNG")
    begun = pictures.png_with(still[:-12], pictures.png_chunk(b"acTL", bytes(8)))
    _judge(bench, begun + pictures.png_chunk(b"fcTL", b"") + still[-12:])
