"""What a model does not keep, given back to its result from the source: transparency and density."""

from __future__ import annotations

import os
import struct
from dataclasses import asdict
from pathlib import Path
from typing import Any, Final

import pyvips

from core.domain.media_types import Format
from core.images.facts import ImageLimits
from core.images.operations import colour as colours
from core.images.operations import load as opening
from core.images.operations import metadata as pieces
from core.images.operations.decoders.pillow import forget
from core.images.operations.prepare import save_png, sha256_of
from core.images.operations.refusals import from_codec
from core.images.operations.transparency import put_back

_MM_PER_INCH = 25.4
_UNSET_PER_MM: Final = (1.0, 72 / 25.4)
"""What libvips says where a file gives no density."""
_SANE_DPI = (10.0, 10_000.0)


def restore(path: Path, source: Path, transparent: bool, limits: ImageLimits) -> dict[str, Any] | None:
    """Changes the result at `path` in place; its new facts, or None where there was nothing to give back.

    With `transparent` it becomes a PNG with the source's alpha. Density is written to PNG and JPEG. Raises Refused.
    """
    try:
        kind = opening.kind_of(source, limits, limit_bytes=1 << 62)
        dpi = density_of(source, kind)
        if transparent:
            facts, _ = opening.examine(path, limits, limit_bytes=1 << 62, decode=False)
            fresh = path.with_name(f"{path.name}.restored")
            save_png(put_back(colours.to_8_bit(opening.upright(path, facts.format)), source, kind), fresh)
            os.replace(fresh, path)
        if not transparent and dpi is None:
            return None
        facts, _ = opening.examine(path, limits, limit_bytes=1 << 62, decode=False)
        if dpi is not None:
            write_density(path, facts.format, dpi)
    except pyvips.Error as error:
        raise from_codec(error, "png") from error
    finally:
        forget()
    facts, _ = opening.examine(path, limits, limit_bytes=1 << 62, decode=False)
    return {"facts": asdict(facts), "sha256": sha256_of(path)}


def density_of(path: Path, kind: Format) -> tuple[float, float] | None:
    """Dots per inch, across and down as the picture stands upright; None where the file gives none."""
    if kind == "png" and b"pHYs" not in pieces.colour_chunks(path):
        return None
    image = opening.load(path, kind)
    if any(abs(image.xres - unset) < 1e-6 for unset in _UNSET_PER_MM) and kind != "png":
        return None
    found = (image.xres * _MM_PER_INCH, image.yres * _MM_PER_INCH)
    if not all(_SANE_DPI[0] <= dpi <= _SANE_DPI[1] for dpi in found):
        return None
    return found if opening.orientation_of(image) < 5 else found[::-1]


def write_density(path: Path, kind: Format, dpi: tuple[float, float]) -> None:
    """In place, at byte level; kinds that have no simple place for it stay as they are."""
    size_bytes = path.stat().st_size
    with path.open("rb") as file:
        if kind == "png":
            plan = pieces.plan_png_density(file.fileno(), size_bytes, tuple(round(d / 0.0254) for d in dpi))
        elif kind == "jpeg":
            plan = _jpeg_plan(file.read(20), size_bytes, dpi)
        else:
            return
    pieces.rewrite(path, plan)


def _jpeg_plan(head: bytes, size_bytes: int, dpi: tuple[float, float]) -> pieces.Plan:
    density = b"\x01" + struct.pack(">HH", round(dpi[0]), round(dpi[1]))
    if head[2:4] == b"\xff\xe0" and head[6:11] == b"JFIF\0":
        return [(0, 13), density, (18, size_bytes)]
    return [(0, 2), b"\xff\xe0\x00\x10JFIF\0\x01\x01" + density + b"\0\0", (2, size_bytes)]
