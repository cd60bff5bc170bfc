"""The file that is sent to the model, and the cleaning of a result."""

import hashlib
import os
import shutil
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import pyvips

from core.domain.media_types import MIME, Format, SavedAs
from core.images.facts import ImageFacts, ImageLimits, ModelLimits, Note
from core.images.operations import load as opening
from core.images.operations import metadata as pieces
from core.images.operations.colour_management import samples
from core.images.operations.colour_management.profiles import meaning_of
from core.images.operations.decoders import pillow
from core.images.operations.refusals import Refused, from_codec
from core.images.operations.transparency import ground_of

JPEG_QUALITY = 95
_JPEG_FALLBACKS = (JPEG_QUALITY, 90, 85, 80)
PNG_COMPRESSION = 3
"""Level 6 takes three times as long for 3 % fewer bytes on photographs (measured, 12 megapixels)."""

_UNSET_PER_MM = (1.0, 72 / 25.4)
_BLACK_LEVEL = 2
_TOP_ROWS = 64
_FLAT_SPREAD = 2
"""Of 255; what a codec makes of one colour is not above."""

_PLAIN_MODES = ("srgb", "b-w")
_STRUCTURED = ("png", "jpeg", "webp")
"""Their parts can be walked through to the end without decoding."""


def probe(path: Path, limits: ImageLimits, decode: bool) -> dict[str, Any]:
    return asdict(opening.examine(path, limits, decode=decode)[0])


def prepare(path: Path, out: Path, limits: ImageLimits, model: ModelLimits) -> dict[str, Any]:
    try:
        return _prepare(path, out, limits, model)
    except Refused as refusal:
        if refusal.code != "damaged_image" or (made := _of_mended(path, out, limits, model)) is None:
            raise
        return made


def _of_mended(path: Path, out: Path, limits: ImageLimits, model: ModelLimits) -> dict[str, Any] | None:
    """Made of what a browser shows of a damaged file; None where that is nothing."""
    kind = opening.kind_of(path, limits)
    mended = out.with_name(f"{out.name}.mended")
    try:
        incomplete = mend(path, kind, mended)
        if incomplete is None:
            return None
        made = _prepare(mended, out, limits, model)
        made["source"] |= {"format": kind, "mime": MIME[kind], "bytes": path.stat().st_size}
        made["notes"] += ["incomplete"] if incomplete else []
        return made
    finally:
        mended.unlink(missing_ok=True)


def _prepare(path: Path, out: Path, limits: ImageLimits, model: ModelLimits) -> dict[str, Any]:
    facts, image = opening.examine(path, limits)
    try:
        rendering = samples.rendering_of(path, facts.format, image)
        if rendering.profile is None and _is_plain(path, facts, image) and facts.bytes <= model.max_bytes:
            opening.verify(image, facts.format)
            pieces.write(pieces.plan_of(path, facts.format), path, out)
            mime, notes = facts.mime, _notes(facts, converted=False)
        else:
            if facts.has_alpha:  # looked at, so that nobody is told about the flattening of an opaque picture
                facts = replace(facts, is_transparent=opening.verify(image, facts.format))
            mime = _convert(path, facts, rendering, out, model)
            _refuse_flattened(path, facts, out)
            deep = image.format not in ("uchar", "char") or image.interpretation == "cmyk"
            converted = facts.format not in ("jpeg", "png") or deep or rendering.profile is not None
            notes = _notes(facts, converted=converted)
    except pyvips.Error as error:
        raise from_codec(error, facts.format) from error
    size_px = facts.width_px, facts.height_px
    return written(out, mime, *size_px, sha256=sha256_of(out), notes=notes, source=asdict(facts))


def written(out: Path, mime: str, width_px: int, height_px: int, **more: Any) -> dict[str, Any]:
    """What a worker answers of a picture that it wrote."""
    return {"mime": mime, "width_px": width_px, "height_px": height_px, "bytes": out.stat().st_size, **more}


def _is_plain(path: Path, facts: ImageFacts, image: Any) -> bool:
    """Whether the model can have these very pixels."""
    return (
        facts.format in ("jpeg", "png")
        and facts.orientation == 1
        and not facts.has_alpha
        and image.format == "uchar"
        and image.interpretation in _PLAIN_MODES
        and not (facts.format == "png" and pieces.hides_first_frame(path))
    )


def _refuse_flattened(path: Path, facts: ImageFacts, out: Path) -> None:
    """Raises Refused where a picture became one colour on its way here: nobody pays for a blank sheet."""
    top = pyvips.Image.new_from_file(str(out))
    if samples.spread(top.crop(0, 0, top.width, min(_TOP_ROWS, top.height))) > _FLAT_SPREAD:
        return
    if samples.spread(pyvips.Image.new_from_file(str(out), access="sequential")) > _FLAT_SPREAD:
        return
    source = opening.load(path, facts.format)
    if source.interpretation == "cmyk":  # different inks may mean the same black
        return
    if samples.spread(source) > (_FLAT_SPREAD if source.format == "uchar" else 0):
        raise Refused("flat_image")


def _notes(facts: ImageFacts, *, converted: bool) -> list[Note]:
    found: list[tuple[bool, Note]] = [
        (facts.is_transparent, "alpha_flattened"),
        (facts.frames > 1, "first_frame"),
        (converted, "converted"),
    ]
    return [note for applies, note in found if applies]


def _convert(path: Path, facts: ImageFacts, rendering: samples.Rendering, out: Path, model: ModelLimits) -> str:
    """PNG where that stays handy, else the best JPEG under the model's byte limit. Returns the MIME type."""

    ground = ground_of(path, facts.format) if facts.is_transparent else 255

    def pixels() -> Any:
        image = samples.to_srgb(opening.upright(path, facts.format), rendering)
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
    """A kind of file that cannot be cleaned at byte level is rewritten as a PNG."""
    facts, image = opening.examine(path, limits)
    if facts.format in _STRUCTURED:
        plan = pieces.plan_of(path, facts.format, facts.orientation)
        if changed := plan != [(0, facts.bytes)]:
            pieces.rewrite(path, plan)
    else:
        opening.verify(image, facts.format)
        fresh, changed = path.with_name(f"{path.name}.stripped"), True
        save(samples.shown(path, facts.format), fresh)
        fresh.replace(path)
    if changed:
        facts, _ = opening.examine(path, limits)
    return {"facts": asdict(facts), "sha256": sha256_of(path)}


def blank(path: Path, limits: ImageLimits) -> dict[str, Any]:
    """Whether all pixels have one colour, and whether none is brighter than a codec's rounding. Reads every pixel."""
    stats = samples.flat(samples.opened(path, limits)[1]).stats()
    rows = [(stats(0, band)[0], stats(1, band)[0]) for band in range(1, stats.height)]
    black = all(brightest <= _BLACK_LEVEL for _, brightest in rows)
    one_colour = all(high - low <= _FLAT_SPREAD for low, high in rows)
    return {"blank": "black" if black else "flat" if one_colour else None}


def save(image: Any, out: Path, saved_as: SavedAs = "png", quality: int = JPEG_QUALITY) -> str:
    """Without metadata, with the profile; a JPEG over white, 4:4:4 from quality 90 up; a PNG without the density that
    libvips makes up where its source gave none. The MIME type.
    """
    if saved_as == "png":
        image.pngsave(str(out), compression=PNG_COMPRESSION, keep="icc")
        if has_no_density(image):
            pieces.write_png_density(out, None)
    elif saved_as == "jpeg":
        chroma = "off" if quality >= 90 else "on"
        samples.flat(image).jpegsave(str(out), Q=quality, subsample_mode=chroma, keep="icc")
    else:
        image.webpsave(str(out), Q=quality, effort=2, keep="icc")
    return MIME[saved_as]


def has_no_density(image: Any) -> bool:
    """Whether libvips says of it what it says where a file gives no density."""
    return any(abs(image.xres - unset) < 1e-3 for unset in _UNSET_PER_MM)


def sha256_of(path: Path) -> str:
    """Of the file's bytes, in hexadecimal."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


_END_OF_JPEG = b"\xff\xd9"
_MOST_MISSING = 4
"""Times as large as what is there, at most, is what the file says to be."""


def mend(path: Path, kind: Format, out: Path) -> bool | None:
    """Writes what can be seen of a damaged `path` to `out`, in sRGB; whether a part of it is missing.

    None where nothing can be seen, and for kinds of which no part can be shown.
    """
    try:
        if kind == "jpeg":
            return _mend_jpeg(path, out)
        if kind == "webp":
            return _mend_webp(path, out)
        if kind in ("png", "gif", "bmp"):
            return _written(path, kind, pillow.load_by_pillow(path, kind, cut=True), out)
    except (Refused, pyvips.Error):
        pass
    return None


def _mend_jpeg(path: Path, out: Path) -> bool | None:
    """A JPEG that lacks no more than its end marker is given one; what is there of another is unpacked."""
    shutil.copyfile(path, out)
    with out.open("ab") as file:
        file.write(_END_OF_JPEG)
    try:
        opening.verify(pyvips.Image.jpegload(str(out), access="sequential", fail_on="warning"), "jpeg")
        return False
    except Refused:
        return _written(path, "jpeg", pyvips.Image.jpegload(str(path), fail_on="none").autorot(), out)


def _mend_webp(path: Path, out: Path) -> bool | None:
    """A WebP that has another length than it says is told the right one; what is missing of another is zeros."""
    shutil.copyfile(path, out)
    with out.open("r+b") as file:
        said = 8 + int.from_bytes(file.read(8)[4:], "little")
        there = path.stat().st_size
        file.seek(4)
        file.write((there - 8).to_bytes(4, "little"))
    try:
        opening.verify(opening.load(out, "webp"), "webp")
        return False
    except Refused:
        if said > there * _MOST_MISSING:
            return None
    shutil.copyfile(path, out)
    os.truncate(out, said)
    padded = out.with_name(f"{out.name}.padded")
    out.rename(padded)
    try:
        return _written(path, "webp", opening.upright(padded, "webp"), out)
    finally:
        padded.unlink(missing_ok=True)


def _written(path: Path, kind: Format, image: Any, out: Path) -> bool | None:
    if samples.spread(image) == 0:
        return None
    rendering = samples.Rendering(meaning_of(path, kind, image))
    samples.to_srgb(image, rendering).pngsave(str(out), compression=1, keep="none")
    return True
