"""Makes the file for the model, and strips metadata from a result."""

import hashlib
import os
import shutil
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import pyvips

from core.domain.media_types import MIME, Format, SavedAs
from core.images.facts import ImageFacts, ImageLimits, ModelLimits, Note
from core.images.operations import load as loading
from core.images.operations import metadata
from core.images.operations.colour_management import samples
from core.images.operations.colour_management.profiles import colour_space_of
from core.images.operations.decoders import pillow
from core.images.operations.refusals import Refused, from_codec
from core.images.operations.transparency import background_for

JPEG_QUALITY = 95
_JPEG_FALLBACKS = (JPEG_QUALITY, 90, 85, 80)
PNG_COMPRESSION = 3
"""Level 6 takes three times as long for 3 % fewer bytes on photographs (measured, 12 megapixels)."""

PLAUSIBLE_DPI = (10.0, 10_000.0)
_UNSET_PER_MM = (1.0, 72 / 25.4)
"""The densities that libvips gives to files without one."""

_BLACK_LEVEL = 2
_TOP_ROWS = 64
_FLAT_SPREAD = 2
"""Of 255; a codec changes a single colour by no more."""

_PLAIN_MODES = ("srgb", "b-w")
_STRUCTURED = ("png", "jpeg", "webp")
"""Formats that can be checked for completeness without decoding."""


def probe(path: Path, limits: ImageLimits, decode: bool) -> dict[str, Any]:
    return asdict(loading.examine(path, limits, decode=decode)[0])


def prepare(path: Path, out: Path, limits: ImageLimits, model: ModelLimits) -> dict[str, Any]:
    try:
        return _prepare(path, out, limits, model)
    except Refused as refusal:
        if refusal.code != "damaged_image" or (answer := _prepare_repaired(path, out, limits, model)) is None:
            raise
        return answer


def _prepare_repaired(path: Path, out: Path, limits: ImageLimits, model: ModelLimits) -> dict[str, Any] | None:
    """Prepare what a browser shows of a damaged file; None if that is nothing."""
    kind = loading.kind_of(path, limits)
    repaired = out.with_name(f"{out.name}.mended")
    try:
        incomplete = repair(path, kind, repaired)
        if incomplete is None:
            return None
        answer = _prepare(repaired, out, limits, model)
        answer["source"] |= {"format": kind, "mime": MIME[kind], "bytes": path.stat().st_size}
        answer["notes"] += ["incomplete"] if incomplete else []
        return answer
    finally:
        repaired.unlink(missing_ok=True)


def _prepare(path: Path, out: Path, limits: ImageLimits, model: ModelLimits) -> dict[str, Any]:
    facts, image = loading.examine(path, limits)
    try:
        rendering = samples.rendering_of(path, facts.format, image)
        if rendering.profile is None and _is_plain(path, facts, image) and facts.bytes <= model.max_bytes:
            loading.verify(image, facts.format)
            metadata.write(metadata.clean_plan(path, facts.format), path, out)
            mime, notes = facts.mime, _notes(facts, converted=False)
        else:
            if facts.has_alpha:  # checked, so that an opaque image gets no note about flattening
                facts = replace(facts, is_transparent=loading.verify(image, facts.format))
            mime = _convert(path, facts, rendering, out, model)
            _refuse_flattened(path, facts, out)
            deep = image.format not in ("uchar", "char") or image.interpretation == "cmyk"
            converted = facts.format not in ("jpeg", "png") or deep or rendering.profile is not None
            notes = _notes(facts, converted=converted)
    except pyvips.Error as error:
        raise from_codec(error, facts.format) from error
    size_px = facts.width_px, facts.height_px
    return image_facts(out, mime, *size_px, sha256=sha256_of(out), notes=notes, source=asdict(facts))


def image_facts(out: Path, mime: str, width_px: int, height_px: int, **more: Any) -> dict[str, Any]:
    """Return a worker's answer for an image that it wrote."""
    return {"mime": mime, "width_px": width_px, "height_px": height_px, "bytes": out.stat().st_size, **more}


def _is_plain(path: Path, facts: ImageFacts, image: Any) -> bool:
    """Whether the model can get the file without re-encoding."""
    return (
        facts.format in ("jpeg", "png")
        and facts.orientation == 1
        and not facts.has_alpha
        and image.format == "uchar"
        and image.interpretation in _PLAIN_MODES
        and not (facts.format == "png" and metadata.default_image_is_no_frame(path))
    )


def _refuse_flattened(path: Path, facts: ImageFacts, out: Path) -> None:
    """Raise Refused if the conversion made a single colour of an image that had more."""
    top = pyvips.Image.new_from_file(str(out))
    if samples.value_range(top.crop(0, 0, top.width, min(_TOP_ROWS, top.height))) > _FLAT_SPREAD:
        return
    if samples.value_range(pyvips.Image.new_from_file(str(out), access="sequential")) > _FLAT_SPREAD:
        return
    source = loading.load(path, facts.format)
    if source.interpretation == "cmyk":  # different inks may give the same black
        return
    if samples.value_range(source) > (_FLAT_SPREAD if source.format == "uchar" else 0):
        raise Refused("flat_image")


def _notes(facts: ImageFacts, *, converted: bool) -> list[Note]:
    found: list[tuple[bool, Note]] = [
        (facts.is_transparent, "alpha_flattened"),
        (facts.frames > 1, "first_frame"),
        (converted, "converted"),
    ]
    return [note for applies, note in found if applies]


def _convert(path: Path, facts: ImageFacts, rendering: samples.Rendering, out: Path, model: ModelLimits) -> str:
    """Write a PNG if it is small enough, else the best JPEG within the model's byte limit. Returns the MIME type."""
    ground = background_for(path, facts.format) if facts.is_transparent else 255

    def pixels() -> Any:
        image = samples.to_srgb(loading.upright(path, facts.format), rendering)
        return image.flatten(background=ground) if image.hasalpha() else image

    if facts.width_px * facts.height_px <= model.png_aim_pixels:
        mime = save(pixels(), out)
        if out.stat().st_size <= model.png_aim_bytes:
            return mime
    for quality in _JPEG_FALLBACKS:
        mime = save(pixels(), out, "jpeg", quality)
        if out.stat().st_size <= model.max_bytes:
            return mime
    raise Refused("file_too_large", bytes=out.stat().st_size, limit_bytes=model.max_bytes)


def strip_result(path: Path, limits: ImageLimits) -> dict[str, Any]:
    """Strip the metadata; a format that cannot be stripped at byte level is rewritten as a PNG."""
    facts, image = loading.examine(path, limits)
    if facts.format in _STRUCTURED:
        plan = metadata.clean_plan(path, facts.format, facts.orientation)
        if changed := plan != [(0, facts.bytes)]:
            metadata.rewrite(path, plan)
    else:
        loading.verify(image, facts.format)
        new_file, changed = path.with_name(f"{path.name}.stripped"), True
        save(samples.upright_srgb(path, facts.format), new_file)
        new_file.replace(path)
    if changed:
        facts, _ = loading.examine(path, limits)
    return {"facts": asdict(facts), "sha256": sha256_of(path)}


def blank(path: Path, limits: ImageLimits) -> dict[str, Any]:
    """Check whether all pixels have one colour, and whether that is black. Reads every pixel."""
    stats = samples.over_white(samples.open_srgb(path, limits)[1]).stats()
    rows = [(stats(0, band)[0], stats(1, band)[0]) for band in range(1, stats.height)]
    black = all(brightest <= _BLACK_LEVEL for _, brightest in rows)
    one_colour = all(high - low <= _FLAT_SPREAD for low, high in rows)
    return {"blank": "black" if black else "flat" if one_colour else None}


def save(image: Any, out: Path, saved_as: SavedAs = "png", quality: int = JPEG_QUALITY) -> str:
    """Write without metadata, but with the profile; return the MIME type.

    A JPEG is flattened over white, and 4:4:4 from quality 90 up. The source's density is kept, and none is written if
    it had none: libvips would write its default into a PNG, and none into a JPEG.
    """
    if saved_as == "png":
        image.pngsave(str(out), compression=PNG_COMPRESSION, keep="icc")
        if not _has_density(image):
            metadata.write_png_density(out, None)
    elif saved_as == "jpeg":
        chroma = "off" if quality >= 90 else "on"
        samples.over_white(image).jpegsave(str(out), Q=quality, subsample_mode=chroma, keep="icc")
        if _has_density(image):
            metadata.write_density(out, "jpeg", (image.xres * metadata.MM_PER_INCH, image.yres * metadata.MM_PER_INCH))
    else:
        save_webp(image, out, Q=quality, effort=2)
    return MIME[saved_as]


def save_webp(image: Any, out: Path, **options: Any) -> str:
    """Write with EXIF that holds the density, for which WebP has no other place, and nothing else."""
    keep = pyvips.ForeignKeep.ICC
    if _has_density(image):
        keep |= pyvips.ForeignKeep.EXIF
        image = image.copy()
        for name in image.get_fields():
            if name.startswith("exif"):
                image.remove(name)
    image.webpsave(str(out), keep=keep, **options)
    return MIME["webp"]


def _has_density(image: Any) -> bool:
    """Whether it is set, and plausible: a micrograph's may be more than a JPEG holds."""
    low, high = PLAUSIBLE_DPI
    plausible = all(low <= per_mm * metadata.MM_PER_INCH <= high for per_mm in (image.xres, image.yres))
    return plausible and all(abs(image.xres - unset) >= 1e-3 for unset in _UNSET_PER_MM)


def sha256_of(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


_END_OF_JPEG = b"\xff\xd9"
_MAX_MISSING = 4
"""A truncated file is repaired if it declares at most this multiple of its actual size."""


def repair(path: Path, kind: Format, out: Path) -> bool | None:
    """Write what is readable of a damaged `path` to `out`, in sRGB; return whether a part is missing.

    Returns None if nothing is readable, or the format cannot be read in part.
    """
    try:
        if kind == "jpeg":
            return _repair_jpeg(path, out)
        if kind == "webp":
            return _repair_webp(path, out)
        if kind in ("png", "gif", "bmp"):
            return _save_srgb(path, kind, pillow.load_by_pillow(path, kind, cut=True), out)
    except (Refused, pyvips.Error):
        pass
    return None


def _repair_jpeg(path: Path, out: Path) -> bool | None:
    """Append the end marker if only that is missing, else decode what is there."""
    shutil.copyfile(path, out)
    with out.open("ab") as file:
        file.write(_END_OF_JPEG)
    try:
        loading.verify(pyvips.Image.jpegload(str(out), access="sequential", fail_on="warning"), "jpeg")
        return False
    except Refused:
        return _save_srgb(path, "jpeg", pyvips.Image.jpegload(str(path), fail_on="none").autorot(), out)


def _repair_webp(path: Path, out: Path) -> bool | None:
    """Correct a wrong length, else pad a truncated file with zeros."""
    shutil.copyfile(path, out)
    with out.open("r+b") as file:
        declared_bytes = 8 + int.from_bytes(file.read(8)[4:], "little")
        actual_bytes = path.stat().st_size
        file.seek(4)
        file.write((actual_bytes - 8).to_bytes(4, "little"))
    try:
        loading.verify(loading.load(out, "webp"), "webp")
        return False
    except Refused:
        if declared_bytes > actual_bytes * _MAX_MISSING:
            return None
    shutil.copyfile(path, out)
    os.truncate(out, declared_bytes)
    padded = out.with_name(f"{out.name}.padded")
    out.rename(padded)
    try:
        return _save_srgb(path, "webp", loading.upright(padded, "webp"), out)
    finally:
        padded.unlink(missing_ok=True)


def _save_srgb(path: Path, kind: Format, image: Any, out: Path) -> bool | None:
    if samples.value_range(image) == 0:
        return None
    rendering = samples.Rendering(colour_space_of(path, kind, image))
    samples.to_srgb(image, rendering).pngsave(str(out), compression=1, keep="none")
    return True
