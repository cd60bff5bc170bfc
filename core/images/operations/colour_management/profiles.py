"""In which colours a file's numbers are meant: by its own ICC profile, or by what its header says.

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
from core.images.operations.metadata import png_head

_LAST_INTENT = 3
_LARGEST_PROFILE_BYTES = 4_000_000
_SAME_MEAN, _SAME_MAX = 0.5, 4


Meaning = bytes | Hdr | Sdr


def meaning_of(path: Path, kind: Format, image: Any) -> Meaning | None:
    """The profile or header that holds for this picture; None where its numbers are sRGB, or nothing is known."""
    profile = bytes(image.get("icc-profile-data")) if image.get_typeof("icc-profile-data") else b""
    if kind == "png":
        chunks = png_head(path)
        codes = chunks.get(b"cICP", b"")
        if len(codes) == 4 and codes[3] and codes[0] in PRIMARIES and codes[1] in (*_CURVES, 13, PQ, HLG):
            return of_codes(codes[0], codes[1])
        if not profile and image.bands < 3:  # libpng leaves a profile for RGB out where the picture is grey
            profile = _unpacked(chunks.get(b"iCCP", b""))
        if b"iCCP" not in chunks or not profile:
            return None if chunks.get(b"sRGB", b"\xff")[0] <= _LAST_INTENT else _of_gamma(chunks)
    if profile:
        return _embedded(image, profile)
    return _of_header(path, image) if kind in ("avif", "heic") else None


def _unpacked(chunk: bytes) -> bytes:
    """The profile in a PNG's iCCP; nothing where it cannot be unpacked."""
    try:
        return zlib.decompressobj().decompress(chunk.partition(b"\0")[2][1:], _LARGEST_PROFILE_BYTES)
    except zlib.error:
        return b""


def _embedded(image: Any, profile: bytes) -> bytes | None:
    """The file's own profile, if it is one for samples like these (for grey ones of RGB too) and differs from sRGB."""
    bands = image.bands - 1 if image.hasalpha() else image.bands
    space = b"CMYK" if image.interpretation == "cmyk" else b"RGB " if bands >= 3 else b"GRAY"
    own = profile[16:20]
    if (own != space and (own, space) != (b"RGB ", b"GRAY")) or len(profile) < 132:
        return None
    return None if is_srgb(profile, own) else profile


def is_srgb(profile: bytes, space: bytes) -> bool:
    """Whether the profile changes nothing worth a conversion; also said of one that cannot be read."""
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
    """8-bit sRGB of 8- or 16-bit samples, without a profile afterwards. Lazy.

    Black point compensated, so that rich black is black; Chromium 156 does not, and shows it as (47, 40, 56).
    """
    image = image.copy()
    image.set_type(pyvips.GValue.blob_type, "icc-profile-data", profile)
    image = image.icc_transform("srgb", embedded=True, intent="relative", black_point_compensation=True, depth=8).copy()
    image.remove("icc-profile-data")
    return image


def _of_gamma(chunks: dict[bytes, bytes]) -> Sdr | None:
    """A PNG's gAMA, with cHRM where it is given (which means nothing alone)."""
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
    """By the box of an AVIF or HEIC that names primaries and curve, else by the AV1 stream itself.

    The curves of video for SDR count as sRGB there, as browsers show them.
    """
    words = first_box(path, b"colr", b"nclx")
    codes = struct.unpack_from(">HH", words, 4) if len(words) >= 8 else (2, 2)
    if codes == (2, 2):
        codes = colour_codes(path, image.width, image.height) or codes
    return of_codes(codes[0], 13 if codes[1] in _VIDEO else codes[1])


def of_codes(primaries: int, transfer: int) -> Hdr | Sdr | None:
    """None where both codes mean sRGB, or are unknown or unspecified."""
    if transfer in (PQ, HLG):
        return Hdr(primaries, transfer)
    curve = _CURVES.get(transfer)
    if curve is None and primaries in (0, 1, 2):
        return None
    if primaries not in PRIMARIES and curve is None:
        return None
    return Sdr(to_xyz(PRIMARIES.get(primaries, SRGB), WHITES.get(primaries, D65)), curve or srgb_curve)


def srgb_curve(value: float) -> float:
    """Light of an sRGB number, both 0 to 1."""
    return value / 12.92 if value <= 0.04045 else ((value + 0.055) / 1.055) ** 2.4


_VIDEO: Final = (1, 6, 14, 15)
_CURVES: Final[dict[int, Curve]] = {
    **dict.fromkeys(_VIDEO, lambda value: value**2.4),
    4: lambda value: value**2.2,
    5: lambda value: value**2.8,
    7: lambda value: value / 4 if value < 0.0913 else ((value + 0.1115) / 1.1115) ** (1 / 0.45),
    8: lambda value: value,
}

"""By code; video's as screens show it (ITU-R BT.1886)."""
