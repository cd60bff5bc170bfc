"""Makes a result fit into a number of bytes; reduced previews; tiles for the viewer.

The size of each candidate encoding is first estimated from a sample, so that few full encodes run.
"""

import math
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyvips

from core.domain.media_types import SavedAs, webp_holds
from core.images.facts import FittedKind, ImageFacts, ImageLimits
from core.images.operations import load as loading
from core.images.operations.colour_management.samples import open_srgb, over_white, reduced_srgb, upright_srgb
from core.images.operations.prepare import image_facts, save, save_webp
from core.images.operations.refusals import Refused

_LOSSLESS_MAX_PIXELS = 40_000_000
"""WebP's lossless encoder takes twice the memory of the lossy one."""

_COLUMN_PX = 96
_COLUMNS = 6
_ESTIMATE_SLACK = 1.15
"""An estimate may exceed the limit by this factor, because estimates err to both sides."""
_MAX_FULL_ENCODES = 5
_PREVIEW_QUALITY = 85
_PREVIEW_TRIES = 6

_RUNGS: tuple[tuple[FittedKind, int], ...] = (
    ("lossless_webp", 100), ("jpeg", 95), ("webp", 92), ("jpeg", 90), ("webp", 86), ("jpeg", 85), ("webp", 80),
    ("jpeg", 80),
)  # fmt: skip
"""Candidates with their qualities, best first. WebP looks about like JPEG at some points more."""


@dataclass(frozen=True, slots=True)
class _Picture:
    """The original: `open_stream` opens a new stream of its pixels, `samples` are a small part of them in memory."""

    open_stream: Callable[[], Any]
    samples: Any
    width: int
    height: int

    def may_be(self, kind: FittedKind) -> bool:
        if kind == "jpeg":
            return not self.samples.hasalpha()
        return webp_holds(self.width, self.height) and (
            kind == "webp" or self.width * self.height <= _LOSSLESS_MAX_PIXELS
        )

    def estimate(self, kind: FittedKind, quality: int) -> float:
        encoded = self.samples.write_to_buffer(_options(kind, quality), keep="none")
        return float(len(encoded) * self.width * self.height / (self.samples.width * self.samples.height))


def _options(kind: FittedKind, quality: int) -> str:
    if kind == "jpeg":
        return f".jpg[Q={quality},subsample-mode={'off' if quality >= 90 else 'on'}]"
    return ".webp[lossless,effort=1]" if kind == "lossless_webp" else f".webp[Q={quality},effort=2]"


def fit(path: Path, out_dir: Path, max_bytes: int, limits: ImageLimits) -> dict[str, Any]:
    facts, _ = loading.examine(path, limits)
    if facts.bytes <= max_bytes:
        return _fitted(path, facts.mime, "original", facts.width_px, facts.height_px)
    picture = _picture(path, facts)
    encodes = 0
    for kind, quality in _RUNGS:
        if encodes >= _MAX_FULL_ENCODES or not picture.may_be(kind):
            continue
        if picture.estimate(kind, quality) > max_bytes * _ESTIMATE_SLACK:
            continue
        out = out_dir / f"fit-{max_bytes}-{quality}{_options(kind, quality).partition('[')[0]}"
        if kind == "lossless_webp":
            mime = save_webp(picture.open_stream(), out, lossless=True, effort=1)
        else:
            mime = save(picture.open_stream(), out, "jpeg" if kind == "jpeg" else "webp", quality)
        encodes += 1
        if out.stat().st_size <= max_bytes:
            return _fitted(out, mime, kind, picture.width, picture.height)
        out.unlink()
    out = out_dir / f"fit-{max_bytes}-reduced"
    mime, small = _shrunk(picture.open_stream, out, max(picture.width, picture.height), max_bytes)
    return _fitted(out, mime, "preview", small.width, small.height)


def _picture(path: Path, facts: ImageFacts) -> _Picture:
    """Drop alpha that is opaque everywhere, so that JPEG becomes possible."""
    opaque = facts.has_alpha and not loading.verify(loading.load(path, facts.format), facts.format)

    def open_stream() -> Any:
        image = upright_srgb(path, facts.format)
        return over_white(image) if opaque else image

    return _Picture(open_stream, _samples(open_stream()), facts.width_px, facts.height_px)


def convert(path: Path, out: Path, saved_as: SavedAs, quality: int, limits: ImageLimits) -> dict[str, Any]:
    facts, image = open_srgb(path, limits)
    return image_facts(out, save(image, out, saved_as, quality), facts.width_px, facts.height_px)


def _fitted(path: Path, mime: str, kind: FittedKind, width_px: int, height_px: int) -> dict[str, Any]:
    return image_facts(path, mime, width_px, height_px, path=str(path), kind=kind)


def _samples(image: Any) -> Any:
    """Return a few full-height columns side by side, or a small image itself.

    Columns, because a stream is read downwards over the full width.
    """
    if image.width <= _COLUMN_PX * _COLUMNS:
        return image.copy_memory()
    lefts = [int((image.width - _COLUMN_PX) * (i + 0.5) / _COLUMNS) for i in range(_COLUMNS)]
    columns = [image.crop(left, 0, _COLUMN_PX, image.height) for left in lefts]
    return pyvips.Image.arrayjoin(columns, across=_COLUMNS).copy_memory()


def preview(path: Path, out: Path, max_side_px: int, max_bytes: int, limits: ImageLimits) -> dict[str, Any]:
    """Reduce to both limits: JPEG, or PNG if it is transparent (JPEG over white if that is too large)."""
    facts, _ = loading.examine(path, limits)
    image = reduced_srgb(path, facts, max_side_px).copy_memory()
    mime, small = _shrunk(lambda: image, out, max_side_px, max_bytes)
    return image_facts(out, mime, small.width, small.height, kind="preview")


def _shrunk(open_stream: Callable[[], Any], out: Path, max_side_px: int, max_bytes: int) -> tuple[str, Any]:
    """Reduce until it fits; return the MIME type and the image. Raises Refused after a few attempts."""
    side = max_side_px
    for attempt in range(_PREVIEW_TRIES):
        small = open_stream().thumbnail_image(side, height=side, size="down", auto_rotate=False)
        mime = save(small, out, "png" if small.hasalpha() and attempt == 0 else "jpeg", _PREVIEW_QUALITY)
        size_bytes = out.stat().st_size
        if size_bytes <= max_bytes:
            return mime, small
        if mime == "image/jpeg":
            shrink = min(0.9, math.sqrt(max_bytes / size_bytes) * 0.93)
            side = max(16, int(max(small.width, small.height) * shrink))
    raise Refused("file_too_large", bytes=out.stat().st_size, limit_bytes=max_bytes)


_JPEG_TILE = ".jpg[Q=93,subsample-mode=off,keep=icc]"
_PNG_TILE = ".png[compression=1,keep=icc]"


def tiles(path: Path, out: Path, tile_px: int, limits: ImageLimits) -> dict[str, Any]:
    """Write `out/<level>/<x>_<y><suffix>`; level 0 is a single tile."""
    _, image = open_srgb(path, limits)
    work = out.with_name(f"{out.name}.part")
    made = work.with_name(f"{work.name}_files")
    shutil.rmtree(made, ignore_errors=True)
    try:
        suffix = _PNG_TILE if image.hasalpha() else _JPEG_TILE
        image.dzsave(str(work), suffix=suffix, tile_size=tile_px, overlap=0, depth="onetile", skip_blanks=-1)
    finally:
        work.with_name(f"{work.name}.dzi").unlink(missing_ok=True)
    levels = sum(1 for level in made.iterdir() if level.is_dir())
    shutil.rmtree(out, ignore_errors=True)
    made.rename(out)
    return {"levels": levels, "suffix": suffix.partition("[")[0]}
