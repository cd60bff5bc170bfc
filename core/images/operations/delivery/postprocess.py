"""Finishes a result: sRGB, the requested size, and the source's transparency and density."""

import contextlib
import os
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pyvips

from core.domain.media_types import Format
from core.images.facts import ImageFacts, ImageLimits
from core.images.operations import load as loading
from core.images.operations import metadata
from core.images.operations.colour_management.samples import Rendering, rendering_of, to_srgb
from core.images.operations.decoders.pillow import heic_exif
from core.images.operations.prepare import PLAUSIBLE_DPI, repair, save, sha256_of
from core.images.operations.refusals import Refused
from core.images.operations.transparency import restore_alpha

_SHOWN_KINDS = ("png", "jpeg", "webp")
_SHOWN_SPACES = ("srgb", "b-w", "rgb16", "grey16")


def postprocess(
    path: Path,
    source: Path | None,
    limits: ImageLimits,
    *,
    transparent: bool,
    size_px: Sequence[int] | None,
    dpi: Sequence[float] | None,
) -> dict[str, Any]:
    """Return the new facts, or an empty dict if nothing changed. Colours other than sRGB, and formats that chats do not
    show, are converted; a density is written to PNG and JPEG.
    """
    facts, image = loading.examine(path, limits)
    kind = None if source is None else loading.kind_of(source, limits)
    if dpi is None and source is not None and kind is not None:
        with contextlib.suppress(Refused, pyvips.Error):  # it may be truncated
            dpi = density_of(source, kind)
    rendering = rendering_of(path, facts.format, image)
    if size_px is not None and list(size_px) == [facts.width_px, facts.height_px]:
        size_px = None
    needs_conversion = rendering.profile is not None or facts.format not in _SHOWN_KINDS
    needs_conversion = needs_conversion or image.interpretation not in _SHOWN_SPACES
    if needs_conversion or size_px or transparent:
        _rewrite(path, facts, rendering, size_px, (source, kind) if transparent else None)
    elif dpi is None:
        return {}
    if dpi is not None:
        metadata.write_density(path, loading.kind_of(path, limits), dpi)
    facts, _ = loading.examine(path, limits)
    return {"facts": asdict(facts), "sha256": sha256_of(path)}


def _rewrite(
    path: Path, facts: ImageFacts, rendering: Rendering, size_px: Sequence[int] | None, alpha_of: Any | None
) -> None:
    image = to_srgb(loading.upright(path, facts.format), rendering)
    if size_px is not None:
        image = reduced(image, *size_px)
    new_file, repaired = (path.with_name(f"{path.name}.{name}") for name in ("processed", "mended"))
    try:
        if alpha_of is not None:
            image = _with_alpha(image, alpha_of[0], alpha_of[1], repaired)
        save(image, new_file, "jpeg" if facts.format == "jpeg" and alpha_of is None else "png")
        os.replace(new_file, path)
    finally:
        repaired.unlink(missing_ok=True)


def _with_alpha(image: Any, source: Path, kind: Format, repaired: Path) -> Any:
    """Restore the alpha; of a damaged source, that of the repaired image which the model got."""
    try:
        return restore_alpha(image, source, kind)
    except pyvips.Error:
        if repair(source, kind, repaired) is None:
            raise
        return restore_alpha(image, repaired, "png")


def reduced(image: Any, width_px: int, height_px: int) -> Any:
    """Reduce to exactly this size, by Lanczos in linear light with premultiplied alpha. Raises Refused if larger."""
    if width_px > image.width or height_px > image.height:
        raise Refused("image_too_small", width_px=image.width, height_px=image.height, min_side_px=width_px)
    return image.thumbnail_image(width_px, height=height_px, size="force", linear=True, auto_rotate=False)


def density_of(path: Path, kind: Format) -> tuple[float, float] | None:
    """Return dots per inch, horizontal and vertical of the upright image; None if the file has none."""
    if kind in ("heic", "webp", "avif"):
        image = pyvips.Image.black(1, 1).copy()
        if exif := _exif_of(path, kind):
            image.set_type(pyvips.GValue.blob_type, "exif-data", exif)
        image = loading.with_known_density(path, kind, image)
    else:
        image = loading.load(path, kind)
    if image.xres == 1:
        return None
    found = (image.xres * metadata.MM_PER_INCH, image.yres * metadata.MM_PER_INCH)
    if not all(PLAUSIBLE_DPI[0] <= dpi <= PLAUSIBLE_DPI[1] for dpi in found):
        return None
    turned = kind not in ("heic", "avif") and loading.orientation_of(image) >= 5
    return found[::-1] if turned else found


def _exif_of(path: Path, kind: Format) -> bytes | None:
    """Return EXIF, the only place of a density in these formats."""
    if kind == "heic":
        return heic_exif(path)
    image = loading.load(path, kind)
    return bytes(image.get("exif-data")) if image.get_typeof("exif-data") else None
