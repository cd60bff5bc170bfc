"""In which colours a file's numbers are meant, as an ICC profile: its own, or one made of what its header says.

Codes of primaries and transfer curves are those of ITU-T H.273 (cICP in PNG, nclx in AVIF and HEIC). HDR curves
(PQ, HLG) are tone-mapped inside the profile: linear up to most of diffuse white (203 nits, ITU-R BT.2408), rolled
off above.
"""

from __future__ import annotations

import math
import struct
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

import pyvips

from core.domain.media_types import Format
from core.images.operations.decoders.av1 import colour_codes
from core.images.operations.metadata import colour_chunks

_D50: Final = (0.9642, 1.0, 0.8249)
_D65: Final = (0.3127, 0.3290)
_SRGB: Final = (0.64, 0.33, 0.30, 0.60, 0.15, 0.06)
_PRIMARIES: Final[dict[int, tuple[float, ...]]] = {
    1: _SRGB,
    5: (0.64, 0.33, 0.29, 0.60, 0.15, 0.06),
    6: (0.63, 0.34, 0.31, 0.595, 0.155, 0.07),
    7: (0.63, 0.34, 0.31, 0.595, 0.155, 0.07),
    9: (0.708, 0.292, 0.17, 0.797, 0.131, 0.046),
    12: (0.68, 0.32, 0.265, 0.69, 0.15, 0.06),
    22: (0.63, 0.34, 0.295, 0.605, 0.155, 0.077),
}
_CURVE_POINTS = 4096
_WHITE_NITS = 203.0
_KNEE = 0.7
_HEADER_BYTES = 1 << 18
_SAME_MEAN, _SAME_MAX = 0.5, 4

Curve = Callable[[float], float]


def profile_of(path: Path, kind: Format, image: Any) -> bytes | None:
    """The profile that holds for this picture; None where its numbers are sRGB, or nothing is known."""
    if kind == "png":
        chunks = colour_chunks(path)
        if len(chunks.get(b"cICP", b"")) == 4:
            return of_codes(chunks[b"cICP"][0], chunks[b"cICP"][1])
        if b"iCCP" not in chunks:
            return None if b"sRGB" in chunks else _of_gamma(chunks)
    embedded = _embedded(image)
    if embedded is None and kind in ("avif", "heic") and not image.get_typeof("icc-profile-data"):
        return _of_header(path, image)
    return embedded


def _embedded(image: Any) -> bytes | None:
    """The file's own profile, if it is one for samples like these and differs from sRGB."""
    if not image.get_typeof("icc-profile-data"):
        return None
    profile = bytes(image.get("icc-profile-data"))
    bands = image.bands - 1 if image.hasalpha() else image.bands
    space = b"CMYK" if image.interpretation == "cmyk" else b"RGB " if bands >= 3 else b"GRAY"
    if profile[16:20] != space or len(profile) < 132:
        return None
    return None if is_srgb(profile, space) else profile


def is_srgb(profile: bytes, space: bytes) -> bool:
    """Whether the profile changes nothing worth a conversion; also said of one that cannot be read."""
    if space == b"CMYK":
        return not _readable(profile)
    ramp = pyvips.Image.identity()
    if space == b"GRAY":
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
    off = (after - before).abs()
    return bool(off.avg() <= _SAME_MEAN and off.max() <= _SAME_MAX)


def _readable(profile: bytes) -> bool:
    black = pyvips.Image.black(1, 1, bands=4).copy(interpretation="cmyk")
    try:
        to_srgb_by(black, profile).copy_memory()
    except pyvips.Error:
        return False
    return True


def to_srgb_by(image: Any, profile: bytes) -> Any:
    """8-bit sRGB of 8- or 16-bit samples, black point compensated. Without a profile afterwards. Lazy."""
    image = image.copy()
    image.set_type(pyvips.GValue.blob_type, "icc-profile-data", profile)
    image = image.icc_transform("srgb", embedded=True, intent="relative", black_point_compensation=True, depth=8).copy()
    image.remove("icc-profile-data")
    return image


def _of_gamma(chunks: dict[bytes, bytes]) -> bytes | None:
    """A PNG's gAMA, with cHRM where it is given (which means nothing alone)."""
    gamma = int.from_bytes(chunks.get(b"gAMA", b"")[:4], "big") / 100_000
    if not 0.05 <= gamma <= 20:
        return None
    white, primaries = _D65, _SRGB
    if len(chunks.get(b"cHRM", b"")) == 32:
        numbers = [n / 100_000 for n in struct.unpack(">8I", chunks[b"cHRM"])]
        white, primaries = (numbers[0], numbers[1]), tuple(numbers[2:])
    known = all(abs(a - b) < 0.002 for a, b in zip((*white, *primaries), (*_D65, *_SRGB), strict=True))
    if known and abs(gamma - 1 / 2.2) < 0.01:
        return None
    try:
        return made(primaries, white, lambda value: value ** (1 / gamma))
    except ZeroDivisionError:
        return None


def _of_header(path: Path, image: Any) -> bytes | None:
    """By the box of an AVIF or HEIC that names primaries and curve, else by the AV1 stream itself."""
    with path.open("rb") as file:
        head = file.read(_HEADER_BYTES)
    at = head.find(b"colrnclx")
    codes = struct.unpack_from(">HH", head, at + 8) if 0 <= at <= len(head) - 12 else (2, 2)
    if codes == (2, 2):
        codes = colour_codes(head, image.width, image.height) or codes
    return of_codes(*codes)


def of_codes(primaries: int, transfer: int) -> bytes | None:
    """None where both codes mean sRGB, or are unknown or unspecified."""
    curve = _CURVES.get(transfer)
    if curve is None and primaries in (0, 1, 2):
        return None
    if primaries not in _PRIMARIES and curve is None:
        return None
    return made(_PRIMARIES.get(primaries, _SRGB), _D65, curve or srgb_curve)


def srgb_curve(value: float) -> float:
    """Light of an sRGB number, both 0 to 1."""
    return value / 12.92 if value <= 0.04045 else ((value + 0.055) / 1.055) ** 2.4


def _rolled_off(light: float) -> float:
    """Light relative to diffuse white, brought below 1."""
    return light if light <= _KNEE else _KNEE + (1 - _KNEE) * (1 - math.exp((_KNEE - light) / (1 - _KNEE)))


def _pq(value: float) -> float:
    power = value ** (1 / 78.84375)
    nits = 10_000 * (max(power - 0.8359375, 0) / (18.8515625 - 18.6875 * power)) ** (1 / 0.1593017578125)
    return _rolled_off(nits / _WHITE_NITS)


def _hlg(value: float) -> float:
    scene = value * value / 3 if value <= 0.5 else (math.exp((value - 0.55991073) / 0.17883277) + 0.28466892) / 12
    return _rolled_off(1_000 * scene**1.2 / _WHITE_NITS)


_CURVES: Final[dict[int, Curve]] = {
    4: lambda value: value**2.2,
    5: lambda value: value**2.8,
    8: lambda value: value,
    16: _pq,
    18: _hlg,
}
"""By code; the curves of BT.709, BT.601 and BT.2020 for SDR count as sRGB, as browsers show them."""


def made(primaries: tuple[float, ...], white: tuple[float, float], curve: Curve) -> bytes:
    """A display profile of version 2: a matrix to D50 and one curve for all three colours."""
    columns = _matrix(primaries, white)
    points = [round(min(1.0, max(0.0, curve(i / (_CURVE_POINTS - 1)))) * 65535) for i in range(_CURVE_POINTS)]
    trc = b"curv\0\0\0\0" + struct.pack(f">I{_CURVE_POINTS}H", _CURVE_POINTS, *points)
    name = b"made from the file's header\0"
    tags = {
        b"desc": b"desc\0\0\0\0" + struct.pack(">I", len(name)) + name + bytes(78),
        b"cprt": b"text\0\0\0\0none\0",
        b"wtpt": _xyz(_D50),
        b"rXYZ": _xyz(columns[0]),
        b"gXYZ": _xyz(columns[1]),
        b"bXYZ": _xyz(columns[2]),
        b"rTRC": trc,
    }
    table, body = b"", b""
    start = 128 + 4 + 12 * (len(tags) + 2)
    for tag, data in tags.items():
        entry = struct.pack(">II", start + len(body), len(data))
        table += b"".join(name + entry for name in ((tag, b"gTRC", b"bTRC") if tag == b"rTRC" else (tag,)))
        body += data + bytes(-len(data) % 4)
    size = start + len(body)
    head = struct.pack(">I4sI4s4s4s12x4s", size, bytes(4), 0x02400000, b"mntr", b"RGB ", b"XYZ ", b"acsp")
    head += bytes(28) + _xyz(_D50)[8:]
    return head.ljust(128, b"\0") + struct.pack(">I", len(tags) + 2) + table + body


def _xyz(values: tuple[float, ...]) -> bytes:
    return b"XYZ \0\0\0\0" + struct.pack(">3i", *(round(value * 65536) for value in values))


def _matrix(primaries: tuple[float, ...], white: tuple[float, float]) -> list[tuple[float, ...]]:
    """The three colours at full strength as XYZ under D50 (Bradford). Raises ZeroDivisionError for nonsense."""
    raw = [_of_xy(*primaries[i : i + 2]) for i in (0, 2, 4)]
    target = _of_xy(*white)
    whole = _det(raw)
    weights = [_det([target if i == j else raw[j] for j in range(3)]) / whole for i in range(3)]
    cones_from, cones_to = _cones(target), _cones(_D50)
    adapted = []
    for column, weight in zip(raw, weights, strict=True):
        cones = _cones(tuple(weight * value for value in column))
        scaled = [cones[i] * cones_to[i] / cones_from[i] for i in range(3)]
        adapted.append(tuple(sum(m * v for m, v in zip(row, scaled, strict=True)) for row in _BRADFORD_BACK))
    return adapted


_BRADFORD = ((0.8951, 0.2664, -0.1614), (-0.7502, 1.7135, 0.0367), (0.0389, -0.0685, 1.0296))
_BRADFORD_BACK = (
    (0.9869929, -0.1470543, 0.1599627),
    (0.4323053, 0.5183603, 0.0492912),
    (-0.0085287, 0.0400428, 0.9684867),
)


def _cones(xyz: tuple[float, ...]) -> list[float]:
    return [sum(m * v for m, v in zip(row, xyz, strict=True)) for row in _BRADFORD]


def _of_xy(x: float, y: float) -> tuple[float, float, float]:
    return x / y, 1.0, (1 - x - y) / y


def _det(c: list[tuple[float, float, float]]) -> float:
    (a, b, d), (e, f, g), (h, i, j) = c
    return a * (f * j - g * i) - b * (e * j - g * h) + d * (e * i - f * h)
