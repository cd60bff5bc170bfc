"""Loads a path as a libvips image, with facts. The loader is chosen by the file's bytes; no other one ever runs.

Order matters: file size, format and declared dimensions are checked before a codec starts, and the codec's header
before a pixel is decoded. `verify` decodes every pixel, in a stream, to check that the file is complete.
"""

from pathlib import Path
from typing import Any

import pyvips

from core.domain.media_types import MIME, Format
from core.images.facts import ImageFacts, ImageLimits
from core.images.operations import probe
from core.images.operations.containers import WEBP_ALPHA, WEBP_FLAGS, check_parts, first_box, hides_alpha, mapped
from core.images.operations.decoders import av1, bmp, pillow, tiff
from core.images.operations.metadata import default_image_is_no_frame, first_frame, png_header_chunks
from core.images.operations.refusals import Refused, from_codec

VipsImage = Any

_LOADERS: dict[Format, str] = {
    "png": "pngload",
    "jpeg": "jpegload",
    "webp": "webpload",
    "gif": "gifload",
    "avif": "heifload",
}


def kind_of(path: Path, limits: ImageLimits) -> Format:
    """Return the format after all checks that need no codec. Raises Refused."""
    size_bytes = path.stat().st_size
    if size_bytes > limits.input_bytes:
        raise Refused("file_too_large", bytes=size_bytes, limit_bytes=limits.input_bytes)
    with mapped(path) as data:
        kind = probe.sniff(data[: probe.HEAD_BYTES])
        check_parts(data, kind)
        size = pillow.heic_size(path) if kind == "heic" else probe.declared_size(data, kind)
    if size is not None:
        _check_size(*size, limits)
    return kind


def _check_size(width_px: int, height_px: int, limits: ImageLimits) -> None:
    if width_px * height_px > limits.input_pixels:
        raise Refused("too_many_pixels", width_px=width_px, height_px=height_px, limit_px=limits.input_pixels)
    if min(width_px, height_px) < limits.min_side_px:
        raise Refused("image_too_small", width_px=width_px, height_px=height_px, min_side_px=limits.min_side_px)


def load(path: Path, kind: Format, *, stream: bool = True) -> VipsImage:
    """Return a lazy image as stored (see `upright`). `stream` reads rows once, from top to bottom, in bounded memory;
    otherwise libvips decodes to memory, or above 32 MiB to a temporary file. Raises Refused.
    """
    return with_known_density(path, kind, _load(path, kind, stream))


def with_known_density(path: Path, kind: Format, image: VipsImage) -> VipsImage:
    """Set a density without a unit, which is only a ratio or libvips' default, to 1 dot per mm: none."""
    if kind == "png":
        known = png_header_chunks(path).get(b"pHYs", b"")[8:] == b"\x01"
    else:
        known = image.xres > 0 if kind == "bmp" else image.get_typeof("resolution-unit") != 0
    return image if known else image.copy(xres=1.0, yres=1.0)


def _load(path: Path, kind: Format, stream: bool) -> VipsImage:
    if kind == "bmp":
        return bmp.load(path)
    if kind == "heic":
        return pillow.load_heic(path)
    if kind == "tiff":
        return tiff.load(path, stream=stream)
    if kind == "ico":
        return pillow.load_by_pillow(path, kind)
    if kind == "avif" and av1.is_limited_grey(path):
        return pillow.load_by_pillow(path, kind)
    loader = getattr(pyvips.Image, _LOADERS[kind])
    try:
        access = "sequential" if stream else "random"
        if kind == "png" and default_image_is_no_frame(path):
            frame, place, canvas = first_frame(path)
            return _embedded(pyvips.Image.pngload_buffer(frame, access=access, fail_on="error"), place, canvas)
        if kind == "webp" and hides_alpha(path):
            data = bytearray(path.read_bytes())
            data[WEBP_FLAGS] |= WEBP_ALPHA
            return pyvips.Image.webpload_buffer(bytes(data), access=access, fail_on="error")
        image = loader(str(path), access=access, fail_on="error")
        # libvips ignores that an AVIF's colours are premultiplied.
        if kind == "avif" and image.hasalpha() and first_box(path, b"prem"):
            image = image.unpremultiply().rint().cast(image.format)
        if kind == "avif" and image.bands >= 3 and av1.is_grey(path):
            grey = image[0].copy(interpretation="b-w" if image.format == "uchar" else "grey16")
            image = grey.bandjoin(image[3]) if image.hasalpha() else grey
        return _on_canvas(path, image) if kind == "gif" else image
    except pyvips.Error as error:
        raise from_codec(error, kind) from error


def _on_canvas(path: Path, image: VipsImage) -> VipsImage:
    """Make the canvas outside a GIF's first frame transparent, as browsers do (libvips: black)."""
    if image.hasalpha():
        return image
    with mapped(path) as data:
        left, top, width, height = probe.first_gif_frame(data)
    right, bottom = min(left + width, image.width), min(top + height, image.height)
    if left >= right or top >= bottom or (right - left, bottom - top) == (image.width, image.height):
        return image
    frame = image.crop(left, top, right - left, bottom - top)
    return _embedded(frame, (left, top, width, height), (image.width, image.height))


def _embedded(frame: VipsImage, place: tuple[int, int, int, int], canvas: tuple[int, int]) -> VipsImage:
    if place == (0, 0, *canvas):
        return frame
    frame = frame if frame.hasalpha() else frame.addalpha()
    return frame.embed(*place[:2], *canvas, extend="black")


def orientation_of(image: VipsImage) -> int:
    """Return EXIF's 1 to 8; anything else counts as 1."""
    value = image.get("orientation") if image.get_typeof("orientation") else 1
    return value if isinstance(value, int) and 1 <= value <= 8 else 1


def upright(path: Path, kind: Format) -> VipsImage:
    """Load with the orientation applied; streams if there is nothing to rotate."""
    image = load(path, kind)
    if orientation_of(image) == 1:
        return image
    return load(path, kind, stream=False).autorot()


def facts_of(path: Path, kind: Format, image: VipsImage, *, is_transparent: bool | None = None) -> ImageFacts:
    """Collect the facts in the header; nothing is decoded."""
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
        has_alpha=has_alpha,
        is_transparent=has_alpha if is_transparent is None else is_transparent,
        frames=max(1, _animation_frames(path, kind), int(frames)),
        bytes=path.stat().st_size,
    )


def _animation_frames(path: Path, kind: Format) -> int:
    """Count frames of animated PNG and AVIF, of which the decoders read the still image only."""
    if kind not in ("png", "avif", "heic"):
        return 0
    if kind == "png":
        return int.from_bytes(png_header_chunks(path).get(b"acTL", b"")[:4], "big")
    with mapped(path) as data:
        return probe.sequence_frames(data)


def verify(image: VipsImage, kind: Format) -> bool:
    """Decode everything and return whether any pixel is transparent. Raises Refused for a broken file.

    The mean of one band reads every row and costs little; alpha whose mean is its exact maximum is opaque everywhere
    (a double holds the sum exactly).
    """
    try:
        if not image.hasalpha():
            image[0].avg()
            return False
        opaque = {"uchar": 255.0, "ushort": 65535.0}.get(image.format, 1.0)
        return bool(image[image.bands - 1].avg() < opaque)
    except pyvips.Error as error:
        raise from_codec(error, kind) from error


def examine(path: Path, limits: ImageLimits, *, decode: bool = False) -> tuple[ImageFacts, VipsImage]:
    """Check an image, with `decode` all its pixels; return its facts and the lazy image (consumed if decoded).

    Raises Refused.
    """
    kind = kind_of(path, limits)
    image = load(path, kind)
    _check_size(image.width, image.height, limits)
    transparent = verify(image, kind) if decode else None
    return facts_of(path, kind, image, is_transparent=transparent), image
