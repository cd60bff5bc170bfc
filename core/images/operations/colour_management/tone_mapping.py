"""Converts samples with given primaries and transfer curve to sRGB; HDR (PQ and HLG) as browsers show it.

HDR uses the reference white tone mapping of SMPTE ST 2094-50. Diffuse white is 203 nits (ITU-R BT.2408) and the peak
1,000 if the file names none. From 1,000 up white becomes half of sRGB's light, and brighter values roll off along a
Bézier curve up to the peak. All three components are scaled by the brightest one's factor, so that hues stay. Chromium
156 shows the same within 0.6 of 255 on average (measured over random colours).
"""

import array
import math
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any, Final

import pyvips

Primaries = tuple[float, ...]
"""Chromaticities x and y of red, green and blue."""

D50: Final = (0.9642, 1.0, 0.8249)
D65: Final = (0.3127, 0.3290)
SRGB: Final = (0.64, 0.33, 0.30, 0.60, 0.15, 0.06)
BT2020: Final = (0.708, 0.292, 0.17, 0.797, 0.131, 0.046)
PRIMARIES: Final[dict[int, Primaries]] = {
    1: SRGB,
    4: (0.67, 0.33, 0.21, 0.71, 0.14, 0.08),
    5: (0.64, 0.33, 0.29, 0.60, 0.15, 0.06),
    6: (0.63, 0.34, 0.31, 0.595, 0.155, 0.07),
    7: (0.63, 0.34, 0.31, 0.595, 0.155, 0.07),
    8: (0.681, 0.319, 0.243, 0.692, 0.145, 0.049),
    9: BT2020,
    10: (1.0, 1e-6, 0.0, 1.0, 0.0, 1e-6),  # XYZ itself, whose red and blue have no luminance to divide by
    11: (0.68, 0.32, 0.265, 0.69, 0.15, 0.06),
    12: (0.68, 0.32, 0.265, 0.69, 0.15, 0.06),
    22: (0.63, 0.34, 0.295, 0.605, 0.155, 0.077),
}
"""By code of ITU-T H.273."""

WHITES: Final = {4: (0.310, 0.316), 8: (0.310, 0.316), 10: (1 / 3, 1 / 3), 11: (0.314, 0.351)}
"""White points by the same codes, where not D65."""

_BRADFORD: Final = [[0.8951, 0.2664, -0.1614], [-0.7502, 1.7135, 0.0367], [0.0389, -0.0685, 1.0296]]


def matrix(rows: Iterable[Iterable[float]]) -> Any:
    return pyvips.Image.new_from_array([list(row) for row in rows])


def lightness(primaries: Primaries, white: tuple[float, float] = D65) -> list[float]:
    """Each primary's share of the luminance of white. Raises ZeroDivisionError or pyvips.Error for invalid values."""
    shares = _primaries_to_xyz(primaries).matrixinvert().matrixmultiply(matrix([value] for value in _xyz_of_xy(*white)))
    return [shares(0, row)[0] for row in range(3)]


def to_xyz(primaries: Primaries, white: tuple[float, float] = D65) -> Any:
    """The matrix from linear light to XYZ under D50 (Bradford adaptation). Raises like `lightness`."""
    bradford = matrix(_BRADFORD)
    source, target = (bradford.matrixmultiply(matrix([value] for value in xyz)) for xyz in (_xyz_of_xy(*white), D50))
    adapted = _diagonal(target(0, i)[0] / source(0, i)[0] for i in range(3)).matrixmultiply(bradford)
    light = _primaries_to_xyz(primaries).matrixmultiply(_diagonal(lightness(primaries, white)))
    return bradford.matrixinvert().matrixmultiply(adapted).matrixmultiply(light)


def _primaries_to_xyz(primaries: Primaries) -> Any:
    return matrix(zip(*(_xyz_of_xy(*primaries[i : i + 2]) for i in (0, 2, 4)), strict=True))


def _diagonal(values: Iterable[float]) -> Any:
    return matrix([value * (i == j) for j in range(3)] for i, value in enumerate(values))


def _xyz_of_xy(x: float, y: float) -> tuple[float, float, float]:
    return x / y, 1.0, (1 - x - y) / y


PQ: Final = 16
HLG: Final = 18
_WHITE_NITS: Final = 203.0
DEFAULT_PEAK_NITS: Final = 1_000.0
_DARKEST_WHITE: Final = 0.5
_BEND: Final = 0.65


Curve = Callable[[float], float]


@dataclass(frozen=True, slots=True)
class Hdr:
    """Primaries and transfer curve by their codes of ITU-T H.273."""

    primaries: int
    transfer: int
    peak_nits: float = DEFAULT_PEAK_NITS


@dataclass(frozen=True, slots=True)
class Sdr:
    """The matrix from linear light to XYZ under D50, and the curve from a sample to light, both 0 to 1."""

    matrix: Any
    curve: Curve


def as_srgb(image: Any, meaning: Hdr | Sdr) -> Any:
    """Convert an image of 8 or 16 bits, grey or RGB, to 8-bit sRGB. Lazy."""
    image = image.bandjoin([image, image]) if image.bands == 1 else image
    curve = meaning.curve if isinstance(meaning, Sdr) else _pq if meaning.transfer == PQ else _hlg
    count = 65536 if image.format == "ushort" else 256
    values = array.array("f", (curve(i / (count - 1)) for i in range(count)))
    light = image.maplut(pyvips.Image.new_from_memory(values.tobytes(), count, 1, 1, "float"))
    wide = light.recomb(meaning.matrix) if isinstance(meaning, Sdr) else _tone_mapped(light, meaning)
    return wide.recomb(to_xyz(SRGB).matrixinvert()).copy(interpretation="scrgb").colourspace("srgb")


def _tone_mapped(light: Any, hdr: Hdr) -> Any:
    """Tone map to XYZ. `light` is relative to diffuse white for PQ, and scene light from 0 to 1 for HLG."""
    primaries, white = PRIMARIES.get(hdr.primaries, SRGB), WHITES.get(hdr.primaries, D65)
    if hdr.transfer == HLG:
        light = light * light.recomb(matrix([lightness(primaries, white)])) ** 0.2 * (DEFAULT_PEAK_NITS / _WHITE_NITS)
    wide = light.recomb(to_xyz(primaries, white)).recomb(to_xyz(BT2020).matrixinvert())
    brightest = wide[0].bandrank([wide[1], wide[2]], index=2)
    peak = max(hdr.peak_nits / _WHITE_NITS, 1.01)
    full = 1 - (1 - _DARKEST_WHITE) * min(1.0, math.log(peak) / math.log(DEFAULT_PEAK_NITS / _WHITE_NITS))
    mapped = wide * (brightest > 1).ifthenelse(_rolled_off(brightest, peak, full) / brightest, full)
    return mapped.recomb(to_xyz(BT2020))


def _rolled_off(light: Any, peak: float, white: float) -> Any:
    """The quadratic Bézier curve from diffuse white to the peak; 1 above the peak."""
    middle = 1 - _BEND + _BEND / white
    bent, steep = peak - 2 * middle + 1, 2 * (middle - 1)
    above = (light > peak).ifthenelse(peak, (light > 1).ifthenelse(light, 1))
    t = ((steep**2 + (above - 1) * (4 * bent)) ** 0.5 - steep) / (2 * bent)
    height = (1 - _BEND) * white + _BEND
    return white + t * (2 * (height - white)) + t * t * (1 - 2 * height + white)


def _pq(value: float) -> float:
    power = value ** (1 / 78.84375)
    nits = 10_000 * (max(power - 0.8359375, 0) / (18.8515625 - 18.6875 * power)) ** (1 / 0.1593017578125)
    return float(nits / _WHITE_NITS)


def _hlg(value: float) -> float:
    return value * value / 3 if value <= 0.5 else (math.exp((value - 0.55991073) / 0.17883277) + 0.28466892) / 12
