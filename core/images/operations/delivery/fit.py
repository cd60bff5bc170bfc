"""A result in the bytes that a place allows: the delivery ladder, and reduced previews.

Encoders are not tried blindly: a sample tells about how large each candidate would become, so that at
most a few full encodes run, whatever the picture. The original's pixels are unpacked once (by libvips, to a file of
its own when they are many) and read again for each try.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyvips

from core.domain.media_types import MIME, WEBP_MAX_SIDE_PX, SavedAs, webp_holds
from core.images.facts import FittedKind, ImageFacts, ImageLimits
from core.images.operations import load as opening
from core.images.operations.colour_management.samples import flat, shown, small_of
from core.images.operations.prepare import save_jpeg, save_png, written
from core.images.operations.refusals import Refused

_LOSSLESS_MAX_PIXELS = 40_000_000
"""WebP's lossless encoder takes twice the memory of the other."""

_COLUMN_PX = 96
_COLUMNS = 6
_ESTIMATE_SLACK = 1.15
"""How far an estimate may be over the limit and the encoder still be tried: samples err to both sides."""
_MAX_FULL_ENCODES = 4
_PREVIEW_QUALITY = 85
_PREVIEW_TRIES = 6


@dataclass(frozen=True, slots=True)
class _Rung:
    """One way to write the picture."""

    kind: FittedKind
    mime: str
    quality: int


_RUNGS = (
    _Rung("jpeg", "image/jpeg", 95),
    _Rung("webp", "image/webp", 92),
    _Rung("jpeg", "image/jpeg", 90),
    _Rung("webp", "image/webp", 86),
    _Rung("jpeg", "image/jpeg", 85),
    _Rung("webp", "image/webp", 80),
    _Rung("jpeg", "image/jpeg", 80),
)
"""Best first. WebP at a quality looks about like JPEG some points higher."""


@dataclass(frozen=True, slots=True)
class _Picture:
    """The original: `fresh` gives its pixels as a new stream from the top, `samples` a small part of them in memory."""

    fresh: Callable[[], Any]
    samples: Any
    width: int
    height: int

    @property
    def pixels(self) -> int:
        return self.width * self.height

    def estimate(self, encode: Callable[[Any], bytes]) -> int:
        """About how many bytes `encode` would make of the whole picture."""
        return int(len(encode(self.samples)) * self.pixels / (self.samples.width * self.samples.height))


def fit(path: Path, out_dir: Path, max_bytes: int, limits: ImageLimits) -> dict[str, Any]:
    """The best form of the picture within `max_bytes`. Raises Refused where even a preview cannot be that small."""
    facts, _ = opening.examine(path, limits)
    if facts.bytes <= max_bytes:
        return _fitted(path, facts.mime, "original", facts.width_px, facts.height_px)
    picture = _picture(path, facts)
    found = _lossless(picture, out_dir / f"fit-{max_bytes}-lossless", max_bytes) or _lossy(picture, out_dir, max_bytes)
    if found is not None:
        return found
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
    """The whole picture in another format: `quality` 1-100 for JPEG (over white) and WebP. Raises Refused."""
    facts, _ = opening.examine(path, limits)
    image = shown(path, facts.format)
    if saved_as == "png":
        save_png(image, out)
    else:
        _write(flat(image) if saved_as == "jpeg" else image, _Rung(saved_as, MIME[saved_as], quality), out)
    return written(out, MIME[saved_as], facts.width_px, facts.height_px)


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


def _lossless(picture: _Picture, out: Path, max_bytes: int) -> dict[str, Any] | None:
    if max(picture.width, picture.height) > WEBP_MAX_SIDE_PX or picture.pixels > _LOSSLESS_MAX_PIXELS:
        return None
    expected = picture.estimate(lambda s: bytes(s.webpsave_buffer(lossless=True, effort=1, keep="none")))
    if expected > max_bytes * _ESTIMATE_SLACK:
        return None
    picture.fresh().webpsave(str(out), lossless=True, effort=1, keep="icc")
    if out.stat().st_size > max_bytes:
        out.unlink()
        return None
    return _fitted(out, "image/webp", "lossless_webp", picture.width, picture.height)


def _lossy(picture: _Picture, out_dir: Path, max_bytes: int) -> dict[str, Any] | None:
    """Bounded search: candidates from best to worst, skipping those that the samples rule out."""
    encodes = 0
    for rung in _RUNGS:
        if encodes >= _MAX_FULL_ENCODES or not _possible(picture, rung):
            continue
        if picture.estimate(functools.partial(_encoded, rung)) > max_bytes * _ESTIMATE_SLACK:
            continue
        out = out_dir / f"fit-{max_bytes}-{rung.kind}{rung.quality}"
        _write(picture.fresh(), rung, out)
        encodes += 1
        if out.stat().st_size <= max_bytes:
            return _fitted(out, rung.mime, rung.kind, picture.width, picture.height)
        out.unlink()
    return None


def _possible(picture: _Picture, rung: _Rung) -> bool:
    if rung.kind == "jpeg":
        return not picture.samples.hasalpha()
    return webp_holds(picture.width, picture.height)


def _encoded(rung: _Rung, image: Any) -> bytes:
    if rung.kind == "jpeg":
        mode = "off" if rung.quality >= 90 else "on"
        return bytes(image.jpegsave_buffer(Q=rung.quality, subsample_mode=mode, keep="none"))
    return bytes(image.webpsave_buffer(Q=rung.quality, effort=2, keep="none"))


def _write(image: Any, rung: _Rung, out: Path) -> None:
    if rung.kind == "jpeg":
        save_jpeg(image, out, rung.quality)
    else:
        image.webpsave(str(out), Q=rung.quality, effort=2, keep="icc")


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
        mime = "image/png" if small.hasalpha() and attempt == 0 else "image/jpeg"
        if mime == "image/png":
            save_png(small, out)
        else:
            save_jpeg(flat(small), out, _PREVIEW_QUALITY)
        size_bytes = out.stat().st_size
        if size_bytes <= max_bytes:
            return mime, small
        if mime == "image/jpeg":
            shrink = min(0.9, math.sqrt(max_bytes / size_bytes) * 0.93)
            side = max(16, int(max(small.width, small.height) * shrink))
    raise Refused("file_too_large", bytes=out.stat().st_size, limit_bytes=max_bytes)
