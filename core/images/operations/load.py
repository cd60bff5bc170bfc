"""From a path to a libvips image and its true facts. The loader is chosen by the bytes; no other one ever runs.

Order matters: bytes, kind and declared size are judged before a codec is started, the codec's own header before a
pixel is decoded, and `verify` decodes every pixel, in a stream, to be sure that the file is whole.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pyvips

from core.domain.media_types import MIME, Format
from core.images.facts import ImageFacts, ImageLimits
from core.images.operations.decoders import av1, bmp, pillow, tiff
from core.images.operations.metadata import has_png_text, hides_first_frame
from core.images.operations.probe import (
    HEAD_BYTES,
    declared_size,
    first_gif_frame,
    sequence_frames,
    sniff,
)
from core.images.operations.refusals import Refused, from_codec
from core.images.operations.structure import check_parts

VipsImage = Any

_LOADERS: dict[Format, str] = {
    "png": "pngload",
    "jpeg": "jpegload",
    "webp": "webpload",
    "gif": "gifload",
    "avif": "heifload",
}
_METADATA = ("exif-data", "xmp-data", "iptc-data", "photoshop-data", "jpeg-comment", "gif-comment")
_BITS = {"uchar": 8, "char": 8, "ushort": 16, "short": 16, "uint": 32, "int": 32, "float": 32, "double": 64}


def kind_of(path: Path, limits: ImageLimits, *, limit_bytes: int | None = None) -> Format:
    """The format, after the checks that need no codec. Raises Refused."""
    size_bytes = path.stat().st_size
    allowed_bytes = limits.input_bytes if limit_bytes is None else limit_bytes
    if size_bytes > allowed_bytes:
        raise Refused("file_too_large", bytes=size_bytes, limit_bytes=allowed_bytes)
    with path.open("rb") as file:
        kind = sniff(file.read(HEAD_BYTES))
        check_parts(path, kind)
        size = pillow.heic_size(path) if kind == "heic" else declared_size(file, kind)
    if size is not None:
        _check_size(*size, limits)
    return kind


def _check_size(width_px: int, height_px: int, limits: ImageLimits) -> None:
    if width_px * height_px > limits.input_pixels:
        raise Refused("too_many_pixels", width_px=width_px, height_px=height_px, limit_px=limits.input_pixels)
    if min(width_px, height_px) < limits.min_side_px:
        raise Refused("image_too_small", width_px=width_px, height_px=height_px, min_side_px=limits.min_side_px)


def load(path: Path, kind: Format, *, stream: bool = True) -> VipsImage:
    """A lazy image, as stored (see `upright`). `stream` reads rows once, from top to bottom, in bounded memory;
    otherwise libvips unpacks to memory, or to a file of its own above 32 MiB. Raises Refused.
    """
    if kind == "bmp":
        return bmp.load(path)
    if kind == "heic":
        return pillow.load_heic(path)
    if kind == "tiff":
        return tiff.load(path, stream=stream)
    if (kind == "png" and hides_first_frame(path)) or (kind == "avif" and av1.is_limited_grey(path)):
        return pillow.load_by_pillow(path, kind, frame=1 if kind == "png" else 0)
    loader = getattr(pyvips.Image, _LOADERS[kind])
    try:
        image = loader(str(path), access="sequential" if stream else "random", fail_on="error")
        if kind == "avif" and image.hasalpha() and av1.is_premultiplied(path):
            image = image.unpremultiply().rint().cast(image.format)
        return _on_canvas(path, image) if kind == "gif" else image
    except pyvips.Error as error:
        raise from_codec(error, kind) from error


def _on_canvas(path: Path, image: VipsImage) -> VipsImage:
    """A GIF's first frame, transparent where it leaves its canvas free, as a browser shows it (libvips: black)."""
    if image.hasalpha():
        return image
    with path.open("rb") as file:
        left, top, width, height = first_gif_frame(file)
    right, bottom = min(left + width, image.width), min(top + height, image.height)
    if left >= right or top >= bottom or (right - left, bottom - top) == (image.width, image.height):
        return image
    frame = image.crop(left, top, right - left, bottom - top)
    return frame.addalpha().embed(left, top, image.width, image.height, extend="black")


def orientation_of(image: VipsImage) -> int:
    """EXIF's 1 to 8; anything else counts as 1."""
    value = image.get("orientation") if image.get_typeof("orientation") else 1
    return value if isinstance(value, int) and 1 <= value <= 8 else 1


def upright(path: Path, kind: Format) -> VipsImage:
    """The image as it is meant to be seen; streams where it already stands upright."""
    image = load(path, kind)
    if orientation_of(image) == 1:
        return image
    return load(path, kind, stream=False).autorot()


def reduced(path: Path, facts: ImageFacts, side_px: int) -> VipsImage:
    """The picture, upright and at most about twice the asked longest side, read in one stream, as a JPEG's reader
    reduces it for nothing. Held in memory.
    """
    longest = max(facts.width_px, facts.height_px)
    if facts.format == "jpeg":
        shrink = next(s for s in (8, 4, 2, 1) if s == 1 or longest // s >= side_px * 2)
        image = pyvips.Image.jpegload(str(path), shrink=shrink, access="sequential", fail_on="error")
    else:
        image = load(path, facts.format)
    side = min(longest, side_px * 2)
    small = image.thumbnail_image(side, height=side, size="down", auto_rotate=False).copy_memory()
    return small if facts.orientation == 1 else small.autorot()


def facts_of(path: Path, kind: Format, image: VipsImage, *, is_transparent: bool | None = None) -> ImageFacts:
    """What the header tells. Nothing is decoded."""
    orientation = orientation_of(image)
    sides = (image.width, image.height) if orientation < 5 else (image.height, image.width)
    frames = image.get("n-pages") if image.get_typeof("n-pages") else 1
    has_alpha = bool(image.hasalpha())
    return ImageFacts(
        format=kind,
        mime=MIME[kind],
        width_px=sides[0],
        height_px=sides[1],
        orientation=orientation,
        bits=_BITS.get(image.format, 8),
        has_alpha=has_alpha,
        is_transparent=has_alpha if is_transparent is None else is_transparent,
        frames=max(_animation_frames(path, kind), int(frames)),
        has_icc=bool(image.get_typeof("icc-profile-data")),
        has_metadata=_has_metadata(path, kind, image),
        bytes=path.stat().st_size,
    )


def _has_metadata(path: Path, kind: Format, image: VipsImage) -> bool:
    """Asked by name: libvips makes fields of a PNG's text keywords, which are Latin-1 and no valid UTF-8."""
    if any(image.get_typeof(name) for name in _METADATA):
        return True
    return kind == "png" and has_png_text(path)


def _animation_frames(path: Path, kind: Format) -> int:
    """Animated PNG and AVIF say so in their head; the decoders ignore it and read the still picture."""
    if kind not in ("png", "avif", "heic"):
        return 1
    with path.open("rb") as file:
        head = file.read(64 * 1024)
    if kind != "png":
        return sequence_frames(head)
    at = head.find(b"acTL", 8, max(8, head.find(b"IDAT")))
    return max(1, int.from_bytes(head[at + 4 : at + 8], "big")) if at > 0 else 1


def verify(image: VipsImage, kind: Format) -> bool:
    """Decodes everything once and says whether a pixel is transparent. Raises Refused for a broken file.

    The mean of one band needs every row and costs nothing beside the decoding; alpha that averages to its exact
    maximum is opaque everywhere (a double holds the sum exactly).
    """
    try:
        if not image.hasalpha():
            image[0].avg()
            return False
        opaque = {"uchar": 255.0, "ushort": 65535.0}.get(image.format, 1.0)
        return bool(image[image.bands - 1].avg() < opaque)
    except pyvips.Error as error:
        raise from_codec(error, kind) from error


def examine(
    path: Path, limits: ImageLimits, *, limit_bytes: int | None = None, decode: bool = True
) -> tuple[ImageFacts, VipsImage]:
    """Facts of a whole, acceptable picture, and its header's image (spent if it was decoded). Raises Refused."""
    kind = kind_of(path, limits, limit_bytes=limit_bytes)
    image = load(path, kind)
    _check_size(image.width, image.height, limits)
    transparent = verify(image, kind) if decode else None
    return facts_of(path, kind, image, is_transparent=transparent), image
