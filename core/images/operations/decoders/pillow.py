"""Decodes formats that libvips' wheel cannot, by Pillow and by libheif's HEVC decoder, whole in memory.

Both are imported inside the functions, because most workers never need them and must start fast. The caller has
checked the image's size, as far as its header tells it.
"""

import contextlib
import functools
import io
import struct
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pyvips

from core.images.operations.refusals import Refused, from_codec

_MODES = {
    "RGB": (3, "uchar", "srgb"), "RGBA": (4, "uchar", "srgb"), "CMYK": (4, "uchar", "cmyk"),
    "L": (1, "uchar", "b-w"), "LA": (2, "uchar", "b-w"), "I": (1, "int", "b-w"), "F": (1, "float", "b-w"),
}  # fmt: skip
"""Bands, sample type and colour space in libvips' terms, by Pillow's mode."""

_MAX_PIXELS = 200_000_000
"""What a worker's memory holds; the caller's own limit is checked afterwards, since the formats hide their size."""

_BITMAP_HEADER = b"\x28\0\0\0"


def load_by_pillow(path: Path, name: str, *, cut: bool = False) -> Any:
    """Decode the first frame. `name` is the format in a refusal; `cut` accepts a truncated file. Raises Refused."""
    from PIL import Image, ImageFile, ImageOps

    Image.MAX_IMAGE_PIXELS = _MAX_PIXELS // 2  # Pillow refuses more than twice this
    ImageFile.LOAD_TRUNCATED_IMAGES = cut
    try:
        source = _icon(path) if name == "ico" else path
        with warnings.catch_warnings(action="ignore"), Image.open(source) as file:
            if hasattr(file, "ico"):  # the largest, and of those the one with most colours, as in browsers
                icons = file.ico
                best = max(range(len(icons.entry)), key=lambda i: (icons.entry[i].square, icons.entry[i].color_depth))
                picture = _in_known_mode(icons.frame(best))
            else:
                picture = _in_known_mode(ImageOps.exif_transpose(file))
            data, size, mode = picture.tobytes(), picture.size, picture.mode
            profile = file.info.get("icc_profile")
            dpi = file.info.get("dpi", (0, 0))
    except MemoryError:
        raise
    except Exception as error:
        raise _refusal(error, name) from error
    finally:
        ImageFile.LOAD_TRUNCATED_IMAGES = False
    bands, sample, space = _MODES[mode]
    image = pyvips.Image.new_from_memory(data, *size, bands, sample).copy(interpretation=space)
    return _tagged(image, {"icc-profile-data": profile}, dpi)


def _icon(path: Path) -> io.BytesIO:
    """Return an icon or cursor as an icon whose directory has each image's own bit depth.

    A cursor has its hot spot there, and Pillow derives from that field whether transparency is alpha or a mask.
    """
    data = bytearray(path.read_bytes())
    is_cursor, data[2] = data[2] == 2, 1
    for at in range(12, min(len(data), 6 + 16 * int.from_bytes(data[4:6], "little")), 16):
        start = int.from_bytes(data[at + 6 : at + 10], "little")
        if data[start : start + 4] == _BITMAP_HEADER:
            data[at : at + 2] = data[start + 14 : start + 16]
            width, height = struct.unpack_from("<ii", data, start + 4)
            if data[at] == 32 and not any(data[start + 43 : start + 40 + 2 * width * height : 4]):
                data[at] = 24  # alpha was left empty: the mask counts, as in browsers
        elif is_cursor:
            data[at : at + 2] = b"\x20\0"
    return io.BytesIO(data)


def _in_known_mode(file: Any) -> Any:
    if file.mode in _MODES:
        return file
    if file.mode.startswith("I"):
        return file.convert("I")
    return file.convert("RGBA" if "transparency" in file.info else "RGB")


def heic_size(path: Path) -> tuple[int, int]:
    """Return the upright width and height of the main image without decoding it. Raises Refused."""
    with _open_heif(path) as file:
        return file.size[0], file.size[1]


def load_heic(path: Path) -> Any:
    """Decode the main image, upright, 8 or 16 bits. Raises Refused, also if no decoder is installed."""
    state = path.stat()
    return _decoded_heic(path, state.st_size, state.st_mtime_ns)


def heic_exif(path: Path) -> bytes | None:
    """Return EXIF of the main image without decoding it. Raises Refused."""
    with _open_heif(path) as file:
        found: bytes | None = file.info.get("exif")
        return found


@functools.lru_cache(maxsize=1)
def _decoded_heic(path: Path, _size: int, _changed_ns: int) -> Any:
    with _open_heif(path) as file:
        wide = "16" in file.mode
        bands = {"RGBA": 4, "RGBa": 4, "RGB": 3, "L": 1, "LA": 2, "I": 1}[file.mode.split(";")[0]]
        step = bands * (2 if wide else 1)
        sample, spaces = ("ushort", ("grey16", "rgb16")) if wide else ("uchar", ("b-w", "srgb"))
        rows = pyvips.Image.new_from_memory(bytes(file.data), file.stride // step, file.size[1], bands, sample)
        image = rows.crop(0, 0, *file.size).copy(interpretation=spaces[bands >= 3])
        if file.mode.startswith("RGBa"):
            image = image.unpremultiply().rint().cast(image.format)
        image = _tagged(image, {"icc-profile-data": file.info.get("icc_profile"), "exif-data": file.info.get("exif")})
        image.remove("orientation")  # libheif has applied the container's rotation, which EXIF repeats
        return image


clear_cache = _decoded_heic.cache_clear
"""Drop the image that was decoded last."""


@contextlib.contextmanager
def _open_heif(path: Path) -> Iterator[Any]:
    try:
        import pillow_heif
    except ImportError as error:
        raise Refused("unsupported_format", format="heic") from error
    try:
        yield pillow_heif.open_heif(path, convert_hdr_to_8bit=False)
    except (MemoryError, Refused):
        raise
    except Exception as error:
        raise _refusal(error, "heic") from error


def _tagged(image: Any, blobs: dict[str, bytes | None], dpi: tuple[float, float] = (0, 0)) -> Any:
    image = image.copy()
    if min(dpi) > 1:  # Pillow's value for a TIFF without a density is 1
        image = image.copy(xres=dpi[0] / 25.4, yres=dpi[1] / 25.4)
        image.set_type(pyvips.GValue.gstr_type, "resolution-unit", "in")
    for name, blob in blobs.items():
        if blob:
            image.set_type(pyvips.GValue.blob_type, name, blob)
    return image


def _refusal(error: Exception, name: str) -> Refused:
    """Map Pillow's and libheif's exceptions, by type and text."""
    text = str(error).lower()
    if "decompression bomb" in text:
        return Refused("image_too_costly")
    marks = ("unsupported", "not support", "cannot identify", "unknown", "not available", "unrecognized", "error -2")
    if isinstance(error, NotImplementedError | KeyError) or any(mark in text for mark in marks):
        return Refused("unsupported_format", format=name)
    if "truncated" in text or "end of file" in text or "not enough" in text:
        return Refused("damaged_image", detail="truncated")
    return from_codec(error, name)
