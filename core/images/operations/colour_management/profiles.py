"""Determines a file's colour space from its ICC profile or its header.

Codes of primaries and transfer curves are those of ITU-T H.273 (cICP in PNG, nclx in AVIF and HEIC).
"""

import struct
import zlib
from pathlib import Path
from typing import Any, Final

import pyvips

from core.domain.media_types import Format
from core.images.operations.colour_management.tone_mapping import (
    D65,
    DEFAULT_PEAK_NITS,
    HLG,
    PQ,
    PRIMARIES,
    SRGB,
    WHITES,
    Curve,
    Hdr,
    Sdr,
    to_xyz,
)
from core.images.operations.containers import first_box
from core.images.operations.decoders.av1 import colour_codes
from core.images.operations.metadata import png_header_chunks

_LAST_INTENT = 3
_MAX_PROFILE_BYTES = 4_000_000
_SAME_MEAN, _SAME_MAX = 0.5, 4
"""Differences (of 255) below which a profile counts as sRGB."""

ColourSpace = bytes | Hdr | Sdr


def colour_space_of(path: Path, kind: Format, image: Any) -> ColourSpace | None:
    """Return the profile or header that applies to this image; None if it is sRGB, or unknown."""
    profile = bytes(image.get("icc-profile-data")) if image.get_typeof("icc-profile-data") else b""
    if kind == "png":
        chunks = png_header_chunks(path)
        codes = chunks.get(b"cICP", b"")
        if len(codes) == 4 and codes[3] and codes[0] in PRIMARIES and codes[1] in (*_CURVES, 13, PQ, HLG):
            return colour_space_from_codes(
                codes[0], codes[1], _nits(chunks.get(b"cLLI", b"")[:4]), _nits(chunks.get(b"mDCV", b"")[16:20])
            )
        if not profile:  # libpng ignores an RGB profile of a grey image, and any that follows the palette
            profile = _unpacked(chunks.get(b"iCCP", b""))
        if b"iCCP" not in chunks or not profile:
            return None if chunks.get(b"sRGB", b"\xff")[0] <= _LAST_INTENT else _of_gamma(chunks)
    if profile:
        return _embedded(image, profile)
    return _of_header(path, image) if kind in ("avif", "heic") else None


def _unpacked(chunk: bytes) -> bytes:
    """Return the profile of an iCCP chunk; empty without a name or with a wrong length, as browsers want both."""
    name, _, packed = chunk.partition(b"\0")
    try:
        profile = zlib.decompressobj().decompress(packed[1:], _MAX_PROFILE_BYTES)
    except zlib.error:
        return b""
    return profile if name and int.from_bytes(profile[:4], "big") == len(profile) else b""


def _embedded(image: Any, profile: bytes) -> bytes | None:
    """Return the profile if it matches the samples (an RGB profile also matches grey) and differs from sRGB."""
    bands = image.bands - 1 if image.hasalpha() else image.bands
    space = b"CMYK" if image.interpretation == "cmyk" else b"RGB " if bands >= 3 else b"GRAY"
    own = profile[16:20]
    if (own != space and (own, space) != (b"RGB ", b"GRAY")) or len(profile) < 132:
        return None
    return None if is_srgb(profile, own) else profile


def is_srgb(profile: bytes, space: bytes) -> bool:
    """Whether the profile is equal enough to sRGB to ignore it; also True if it cannot be read."""
    ramp = pyvips.Image.identity()
    if space == b"CMYK":
        before = pyvips.Image.black(1, 1, bands=4).copy(interpretation="cmyk")
    elif space == b"GRAY":
        before = ramp.copy(interpretation="b-w")
    else:
        grid = pyvips.Image.xyz(12, 144).cast("int")
        levels = [grid[0], grid[1] % 12, (grid[1] / 12).floor()]
        before = ramp.bandjoin([ramp, ramp]).join(
            (levels[0].bandjoin(levels[1:]) * (255 / 11)).rint().cast("uchar"), "vertical", expand=True
        )
        before = before.copy(interpretation="srgb")
    try:
        after = to_srgb_by(before, profile).copy_memory()
    except pyvips.Error:
        return True
    if space == b"CMYK":
        return False
    off = (after - before).abs()
    return bool(off.avg() <= _SAME_MEAN and off.max() <= _SAME_MAX)


def to_srgb_by(image: Any, profile: bytes) -> Any:
    """Convert 8- or 16-bit samples to 8-bit sRGB and drop the profile. Lazy.

    With black point compensation, so that rich black is black; Chromium 156 shows it as (47, 40, 56).
    """
    image = image.copy()
    image.set_type(pyvips.GValue.blob_type, "icc-profile-data", profile)
    image = image.icc_transform("srgb", embedded=True, intent="relative", black_point_compensation=True, depth=8).copy()
    image.remove("icc-profile-data")
    return image


def _of_gamma(chunks: dict[bytes, bytes]) -> Sdr | None:
    """Use a PNG's gAMA, with cHRM if given (which means nothing alone)."""
    gamma = int.from_bytes(chunks.get(b"gAMA", b"")[:4], "big") / 100_000
    if not 0.05 <= gamma <= 20:
        return None
    white: tuple[float, float] = D65
    primaries: tuple[float, ...] = SRGB
    if len(chunks.get(b"cHRM", b"")) == 32:
        numbers = [n / 100_000 for n in struct.unpack(">8I", chunks[b"cHRM"])]
        white, primaries = (numbers[0], numbers[1]), tuple(numbers[2:])
    known = all(abs(a - b) < 0.002 for a, b in zip((*white, *primaries), (*D65, *SRGB), strict=True))
    if known and abs(gamma - 1 / 2.2) < 0.01:
        return None
    try:
        return Sdr(to_xyz(primaries, white), lambda value: value ** (1 / gamma))
    except (ZeroDivisionError, pyvips.Error):
        return None


def _of_header(path: Path, image: Any) -> Hdr | Sdr | None:
    """Use the colr box of an AVIF or HEIC, else the AV1 stream itself.

    SDR video curves count as sRGB here, as in browsers.
    """
    words = first_box(path, b"colr", b"nclx")
    codes = struct.unpack_from(">HH", words, 4) if len(words) >= 8 else (2, 2)
    if codes == (2, 2):
        codes = colour_codes(path, image.width, image.height) or codes
    content, display = first_box(path, b"clli")[:2], first_box(path, b"mdcv")[16:20]
    peaks_nits = int.from_bytes(content, "big"), _nits(display)
    return colour_space_from_codes(codes[0], 13 if codes[1] in _VIDEO else codes[1], *peaks_nits)


def _nits(field: bytes) -> float:
    return int.from_bytes(field, "big") / 10_000


def colour_space_from_codes(primaries: int, transfer: int, *peaks_nits: float) -> Hdr | Sdr | None:
    """Return None if both codes mean sRGB, or are unknown or unspecified.

    The first of `peaks_nits` above 0 counts: of the content, then of the display that it was made on.
    """
    if transfer in (PQ, HLG):
        return Hdr(primaries, transfer, next((nits for nits in peaks_nits if nits), DEFAULT_PEAK_NITS))
    curve = _CURVES.get(transfer)
    if curve is None and primaries in (0, 1, 2):
        return None
    if primaries not in PRIMARIES and curve is None:
        return None
    return Sdr(to_xyz(PRIMARIES.get(primaries, SRGB), WHITES.get(primaries, D65)), curve or srgb_curve)


def srgb_curve(value: float) -> float:
    """Convert an sRGB value to linear light, both 0 to 1."""
    return value / 12.92 if value <= 0.04045 else ((value + 0.055) / 1.055) ** 2.4


_VIDEO: Final = (1, 6, 11, 14, 15)
_CURVES: Final[dict[int, Curve]] = {
    **dict.fromkeys(_VIDEO, lambda value: value**2.4),
    4: lambda value: value**2.2,
    5: lambda value: value**2.8,
    7: lambda value: value / 4 if value < 0.0913 else ((value + 0.1115) / 1.1115) ** (1 / 0.45),
    8: lambda value: value,
    17: lambda value: value**2.6 * 52.37 / 48,
}
"""By code; those of video as displays show it (ITU-R BT.1886)."""
