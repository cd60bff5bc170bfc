"""Decodes TIFF, including layouts that libvips refuses or misreads.

Samples whose bits are no multiple of 8, or 24 or 64, are unpacked lazily: a copy of the file declares each row as
bytes, so that libtiff only decompresses, and the samples are assembled here. Separate planes are read one by one.
"""

import math
from pathlib import Path
from typing import Any, Final

import pyvips

from core.images.operations.decoders import tiff_directory
from core.images.operations.decoders.pillow import load_by_pillow
from core.images.operations.decoders.tiff_directory import Directory
from core.images.operations.refusals import Refused, from_codec

_BY_LIBVIPS: Final = {
    1, 2, 3, 4, 5, 7, 8, 32771, 32773, 32809, 32895, 32908, 32909, 32946, 34661, 34676, 34677, 50001,
}  # fmt: skip
"""Compressions (tag 259) that libvips' wheel supports."""

_OTHER_COMPRESSIONS: Final = {
    6: "old-style JPEG", 34925: "LZMA", 50000: "Zstandard", 33003: "JPEG 2000", 33004: "JPEG 2000",
    33005: "JPEG 2000", 34712: "JPEG 2000", 50002: "JPEG XL", 52546: "JPEG XL", 22610: "JPEG XR", 34934: "JPEG XR",
    34887: "LERC", 34892: "lossy JPEG", 34933: "PNG",
}  # fmt: skip
"""Names of the others; Pillow reads some of them."""

_WIDTH, _BITS, _COMPRESSION, _PHOTOMETRIC, _SAMPLES = 256, 258, 259, 262, 277
_STRIPS, _STRIP_BYTES, _TILES, _TILE_BYTES = 273, 279, 324, 325
_PLANAR, _PREDICTOR, _TILE_WIDTH, _EXTRA, _FORMAT, _SUBSAMPLING = 284, 317, 322, 338, 339, 530
_INVERTED, _GREY, _RGB, _PALETTE, _MASK, _CMYK, _YCBCR, _LAB, _ICC_LAB = 0, 1, 2, 3, 4, 5, 6, 8, 9
_COLOURS: Final = {_INVERTED: 1, _GREY: 1, _RGB: 3, _CMYK: 4}
_UNSIGNED, _SIGNED, _FLOAT = 1, 2, 3
_SEPARATE: Final = 2
_NO_PART: Final = (0, 1 << 32)
"""Selects no part of a list, see `Directory.copy`."""

MIN_IS_WHITE: Final = "min-is-white"
"""Our field on images whose lowest sample is the brightest."""

_ROWS: Final = 16
_MAX_PLANES: Final = 8


def load(path: Path, *, stream: bool) -> Any:
    """Load the first page, or the full image if that page is a thumbnail. Raises Refused."""
    file, is_raw = tiff_directory.main_directory(path)
    if is_raw or path.open("rb").read(10)[8:] == b"CR":
        raise Refused("unsupported_format", format="raw")
    compression = file.one(_COMPRESSION)
    if compression not in _BY_LIBVIPS:
        name = _OTHER_COMPRESSIONS.get(compression, f"compression {compression}")
        return load_by_pillow(file.path, f"tiff ({name})")
    photometric, bits = file.one(_PHOTOMETRIC), file.one(_BITS)
    whole_chroma = file.all(_SUBSAMPLING) == (1, 1)
    if photometric == _YCBCR and compression != 7 and whole_chroma:
        return load_by_pillow(file.path, "tiff (YCbCr)")
    if photometric == _MASK or (photometric == _PALETTE and bits > 8):
        raise Refused("unsupported_format", format=f"tiff (photometric {photometric}, {bits} bits)")
    try:
        if photometric in (_LAB, _ICC_LAB) and bits in (8, 16) and file.one(_FORMAT) == _UNSIGNED:
            file = tiff_directory.read(file.copy("lab", {_PHOTOMETRIC: _RGB}, {}))
            return _lab(_coloured(_image(file, stream), file), is_signed=photometric == _LAB)
        return _coloured(_image(file, stream), file)
    except pyvips.Error as error:
        raise from_codec(error, f"tiff ({bits} bits)" if bits > 32 else "tiff") from error


def _image(file: Directory, stream: bool) -> Any:
    samples, tiled = file.one(_SAMPLES), _TILE_WIDTH in file
    planes = samples if file.one(_PLANAR) == _SEPARATE else 1
    if planes == 1 or not (tiled or _is_packed(file, 1)):
        if not _is_packed(file, samples // planes):
            access = "sequential" if stream else "random"
            return pyvips.Image.tiffload(str(file.path), access=access, fail_on="error")
        return _unpacked(file, samples)
    if file.one(_PHOTOMETRIC) not in _COLOURS or planes > _MAX_PLANES:
        raise Refused("unsupported_format", format=f"tiff ({planes} planes)")
    read = [tiff_directory.read(_plane(file, i, planes)) for i in range(planes)]
    bands = [_unpacked(f, 1) if _is_packed(f, 1) else pyvips.Image.tiffload(str(f.path), fail_on="error") for f in read]
    return bands[0].bandjoin(bands[1:]).copy(interpretation="multiband")


def _is_packed(file: Directory, samples: int) -> bool:
    bits = file.one(_BITS)
    return bits in (24, 64) or (bits % 8 != 0 and (bits not in (1, 2, 4) or samples > 1))


def _plane(file: Directory, plane: int, planes: int) -> Path:
    values = {_SAMPLES: 1, _PLANAR: 1, _PHOTOMETRIC: _GREY, _BITS: file.one(_BITS), _FORMAT: file.one(_FORMAT)}
    parts = dict.fromkeys((_STRIPS, _STRIP_BYTES, _TILES, _TILE_BYTES), (plane, planes))
    return file.copy(f"plane{plane}", values, {**parts, _EXTRA: _NO_PART})


def _coloured(image: Any, file: Directory) -> Any:
    """Set the colour space, and remove extra samples without meaning."""
    photometric = file.one(_PHOTOMETRIC)
    colours = _COLOURS.get(photometric, image.bands)
    if image.bands > colours:
        image = image.extract_band(0, n=colours + (file.all(_EXTRA)[:1] != (0,)))
    if photometric == _CMYK:
        image = image.copy(interpretation="cmyk")
    elif image.interpretation == "multiband":
        names = ("b-w", "grey16") if colours == 1 else ("srgb", "rgb16")
        image = image.copy(interpretation=names[image.format == "ushort"])
    if photometric == _INVERTED and image.format not in ("uchar", "ushort", "uint"):  # libvips inverts those
        image = image.copy()
        image.set_type(pyvips.GValue.gint_type, MIN_IS_WHITE, 1)
    return image


def _lab(image: Any, *, is_signed: bool) -> Any:
    """Return samples of CIELab (a and b signed) or ICCLab as floats, with alpha from 0 to 1."""
    step = 1 if image.format == "uchar" else 256
    full, middle = 256 * step - 1, 128 * step
    a_b = image.extract_band(1, n=2)
    a_b = ((a_b + middle) % (2 * middle) if is_signed else a_b) - middle
    parts = [a_b / step, image[3] / full] if image.hasalpha() else [a_b / step]
    return (image[0] * (100 / full)).bandjoin(parts).copy(interpretation="lab")


def _unpacked(file: Directory, samples: int) -> Any:
    bits, kind, width = file.one(_BITS), file.one(_FORMAT), file.one(_WIDTH)
    photometric = file.one(_PHOTOMETRIC)
    strange = file.one(_PREDICTOR) != 1 or photometric not in _COLOURS or bits > 64 or len(set(file.all(_BITS))) > 1
    if strange or (bits not in (24, 64) and kind != _UNSIGNED) or (bits == 24 and kind == _SIGNED):
        raise Refused("unsupported_format", format=f"tiff ({bits} bits)")
    rows = _as_bytes(file, samples * bits)
    if bits == 64:
        image = _of_64_bits(rows, file)
    elif kind == _FLOAT:
        image = _of_24_bit_floats(_in_order(rows.bandfold(factor=3), file))
    else:
        image = _of_odd_bits(rows, bits, file)
    image = image.crop(0, 0, width * samples, image.height)
    if samples > 1:
        image = image.bandfold(factor=samples)
    if photometric == _INVERTED and image.format == "ushort":  # `_coloured` marks the other formats
        image = (65535 - image).cast("ushort")
    return image.copy(interpretation="multiband")


def _as_bytes(file: Directory, pixel_bits: int) -> Any:
    """Load a copy of the file that declares its rows as grey samples of 8 bits."""
    width, tile_width = file.one(_WIDTH), file.one(_TILE_WIDTH, 0)
    values = {_BITS: 8, _PHOTOMETRIC: _GREY, _SAMPLES: 1, _FORMAT: _UNSIGNED}
    if tile_width:  # a multiple of 16 pixels, so that rows end with a byte
        values[_TILE_WIDTH] = tile_width * pixel_bits // 8
        width = math.ceil(width / tile_width) * tile_width
    values[_WIDTH] = math.ceil(width * pixel_bits / 8)
    return pyvips.Image.tiffload(str(file.copy("bytes", values, {_EXTRA: _NO_PART})), fail_on="error")


def _in_order(parts: Any, file: Directory) -> Any:
    """Return three bytes as bands, the most significant first."""
    return parts if file.order == ">" else parts[2].bandjoin([parts[1], parts[0]])


def _of_64_bits(rows: Any, file: Directory) -> Any:
    """Return floats unchanged, and of integers the upper 32 bits."""
    swapped, kind = file.order == ">", file.one(_FORMAT)
    parts = rows.bandfold(factor=8)
    if kind == _FLOAT:
        numbers = parts.copy(bands=1, format="double", interpretation="b-w")
    else:
        upper = parts.extract_band(0 if swapped else 4, n=4)
        numbers = upper.copy(bands=1, format="int" if kind == _SIGNED else "uint", interpretation="b-w")
    return numbers.byteswap() if swapped else numbers


def _of_24_bit_floats(parts: Any) -> Any:
    """Decode 1 sign bit, 7 bits of exponent and 16 of mantissa (TIFF Technical Note 3)."""
    exponent, mantissa = parts[0] & 127, parts[1] * 256.0 + parts[2]
    size = (mantissa / 65536 + (exponent > 0).ifthenelse(1, 0)) * (exponent - 63.0).math2_const("wop", [2])
    return (parts[0] > 127).ifthenelse(size * -1, size).cast("float")


def _of_odd_bits(rows: Any, bits: int, file: Directory) -> Any:
    """Unpack samples that are packed from the highest bit down to 16 bits."""
    group = math.lcm(bits, 8)
    group_bytes, count = group // 8, group // bits
    groups = math.ceil(rows.width / group_bytes)
    parts = rows.embed(0, 0, groups * group_bytes, rows.height).bandfold(factor=group_bytes)
    parts = _in_order(parts, file) if bits == 24 else parts
    bands = []
    for first in range(0, group, bits):
        value: Any = 0
        for i in range(first // 8, (first + bits - 1) // 8 + 1):
            shift = first + bits - 8 * (i + 1)  # position of this byte's last bit in the sample
            lowest, highest = max(0, -shift), min(8, bits - shift)
            mask = (1 << highest) - (1 << lowest)
            value = value + (parts[i] & mask).cast("uint") * 2.0**shift
        bands.append((value * (65535 / ((1 << bits) - 1))).rint().cast("ushort"))
    joined = bands[0].bandjoin(bands[1:]) if count > 1 else bands[0]
    # Whole rows, because libvips 8.18 unfolds a tile that begins between two interleaved samples wrongly.
    return joined.linecache(tile_height=_ROWS, access="sequential", threaded=True).bandunfold(factor=count)
