"""Sets of primary colours by their xy coordinates, and their matrices to XYZ."""

from collections.abc import Iterable
from typing import Any, Final

import pyvips

Primaries = tuple[float, ...]
"""x and y of red, green and blue."""

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
"""By the same codes, where it is not D65."""

_BRADFORD: Final = [[0.8951, 0.2664, -0.1614], [-0.7502, 1.7135, 0.0367], [0.0389, -0.0685, 1.0296]]


def matrix(rows: Iterable[Iterable[float]]) -> Any:
    """As libvips has them."""
    return pyvips.Image.new_from_array([list(row) for row in rows])


def lightness(primaries: Primaries, white: tuple[float, float] = D65) -> list[float]:
    """The share of each primary in the luminance of white. Raises ZeroDivisionError or pyvips.Error for nonsense."""
    shares = _raw(primaries).matrixinvert().matrixmultiply(matrix([value] for value in _of_xy(*white)))
    return [shares(0, row)[0] for row in range(3)]


def to_xyz(primaries: Primaries, white: tuple[float, float] = D65) -> Any:
    """The matrix from light to XYZ under D50 (Bradford). Raises as `lightness`."""
    bradford = matrix(_BRADFORD)
    came, to = (bradford.matrixmultiply(matrix([value] for value in xyz)) for xyz in (_of_xy(*white), D50))
    adapted = _diagonal(to(0, i)[0] / came(0, i)[0] for i in range(3)).matrixmultiply(bradford)
    light = _raw(primaries).matrixmultiply(_diagonal(lightness(primaries, white)))
    return bradford.matrixinvert().matrixmultiply(adapted).matrixmultiply(light)


def _raw(primaries: Primaries) -> Any:
    return matrix(zip(*(_of_xy(*primaries[i : i + 2]) for i in (0, 2, 4)), strict=True))


def _diagonal(values: Iterable[float]) -> Any:
    return matrix([value * (i == j) for j in range(3)] for i, value in enumerate(values))


def _of_xy(x: float, y: float) -> tuple[float, float, float]:
    return x / y, 1.0, (1 - x - y) / y
