"""A result in the bytes that a place allows: the delivery ladder, reduced previews, and tiles for a viewer.

Encoders are not tried blindly: a sample tells about how large each candidate would become, so that at
most a few full encodes run, whatever the picture. The original's pixels are unpacked once (by libvips, to a file of
its own when they are many) and read again for each try.
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
from core.images.operations import load as opening
from core.images.operations.colour_management.samples import flat, opened, shown, small_of
from core.images.operations.prepare import save, written
from core.images.operations.refusals import Refused

_LOSSLESS_MAX_PIXELS = 40_000_000
"""WebP's lossless encoder takes twice the memory of the other."""

_COLUMN_PX = 96
_COLUMNS = 6
_ESTIMATE_SLACK = 1.15
"""How far an estimate may be over the limit and the encoder still be tried: samples err to both sides."""
_MAX_FULL_ENCODES = 5
_PREVIEW_QUALITY = 85
_PREVIEW_TRIES = 6

_RUNGS: tuple[tuple[FittedKind, int], ...] = (
    ("lossless_webp", 100), ("jpeg", 95), ("webp", 92), ("jpeg", 90), ("webp", 86), ("jpeg", 85), ("webp", 80),
    ("jpeg", 80),
)  # fmt: skip
"""Best first, with their qualities. WebP at a quality looks about like JPEG some points higher."""


@dataclass(frozen=True, slots=True)
class _Picture:
    """The original: `fresh` gives its pixels as a new stream from the top, `samples` a small part of them in memory."""

    fresh: Callable[[], Any]
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
    facts, _ = opening.examine(path, limits)
    if facts.bytes <= max_bytes:
        return _fitted(path, facts.mime, "original", facts.width_px, facts.height_px)
    picture = _picture(path, facts)
    encodes = 0
    for kind, quality in _RUNGS:
        if encodes >= _MAX_FULL_ENCODES or not picture.may_be(kind):
            continue
        if picture.estimate(kind, quality) > max_bytes * _ESTIMATE_SLACK:
            continue
        options = _options(kind, quality)
        out = out_dir / f"fit-{max_bytes}-{quality}{options.partition('[')[0]}"
        picture.fresh().write_to_file(f"{out}[{options.partition('[')[2]}", keep="icc")
        encodes += 1
        if out.stat().st_size <= max_bytes:
            mime = "image/jpeg" if kind == "jpeg" else "image/webp"
            return _fitted(out, mime, kind, picture.width, picture.height)
        out.unlink()
    out = out_dir / f"fit-{max_bytes}-reduced"
    mime, small = _shrunk(picture.fresh, out, max(picture.width, picture.height), max_bytes)
    return _fitted(out, mime, "preview", small.width, small.height)


def _picture(path: Path, facts: ImageFacts) -> _Picture:
    """Alpha that hides nothing is dropped, so that JPEG becomes possible."""
    opaque = facts.has_alpha and not opening.verify(opening.load(path, facts.format), facts.format)

    def fresh() -> Any:
        image = shown(path, facts.format)
        return flat(image) if opaque else image

    return _Picture(fresh, _samples(fresh()), facts.width_px, facts.height_px)


def convert(path: Path, out: Path, saved_as: SavedAs, quality: int, limits: ImageLimits) -> dict[str, Any]:
    facts, image = opened(path, limits)
    return written(out, save(image, out, saved_as, quality), facts.width_px, facts.height_px)


def _fitted(path: Path, mime: str, kind: FittedKind, width_px: int, height_px: int) -> dict[str, Any]:
    return written(path, mime, width_px, height_px, path=str(path), kind=kind)


def _samples(image: Any) -> Any:
    """A few full-height columns side by side, read in one stream; a small picture itself.

    Columns, because a stream can only be read downwards, all parts at the same pace.
    """
    if image.width <= _COLUMN_PX * _COLUMNS:
        return image.copy_memory()
    lefts = [int((image.width - _COLUMN_PX) * (i + 0.5) / _COLUMNS) for i in range(_COLUMNS)]
    columns = [image.crop(left, 0, _COLUMN_PX, image.height) for left in lefts]
    return pyvips.Image.arrayjoin(columns, across=_COLUMNS).copy_memory()


def preview(path: Path, out: Path, max_side_px: int, max_bytes: int, limits: ImageLimits) -> dict[str, Any]:
    """A reduced picture, both limits kept: JPEG, or PNG where it is transparent (and JPEG over white if too large)."""
    facts, _ = opening.examine(path, limits)
    image = small_of(path, facts, max_side_px).copy_memory()
    mime, small = _shrunk(lambda: image, out, max_side_px, max_bytes)
    return written(out, mime, small.width, small.height, kind="preview")


def _shrunk(fresh: Callable[[], Any], out: Path, max_side_px: int, max_bytes: int) -> tuple[str, Any]:
    """Smaller and smaller until it fits. The MIME type and the picture written. Raises Refused after a few tries."""
    side = max_side_px
    for attempt in range(_PREVIEW_TRIES):
        small = fresh().thumbnail_image(side, height=side, size="down", auto_rotate=False)
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
    """Writes `out/<level>/<x>_<y><suffix>`, level 0 being the smallest: one tile. Read in one stream."""
    _, image = opened(path, limits)
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
