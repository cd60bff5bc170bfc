"""Sets of primary colours by their xy coordinates, and their matrices to XYZ."""

from __future__ import annotations

from typing import Final

Primaries = tuple[float, ...]
"""x and y of red, green and blue."""

D50: Final = (0.9642, 1.0, 0.8249)
D65: Final = (0.3127, 0.3290)
SRGB: Final = (0.64, 0.33, 0.30, 0.60, 0.15, 0.06)
BT2020: Final = (0.708, 0.292, 0.17, 0.797, 0.131, 0.046)
PRIMARIES: Final[dict[int, Primaries]] = {
    1: SRGB,
    5: (0.64, 0.33, 0.29, 0.60, 0.15, 0.06),
    6: (0.63, 0.34, 0.31, 0.595, 0.155, 0.07),
    7: (0.63, 0.34, 0.31, 0.595, 0.155, 0.07),
    9: BT2020,
    12: (0.68, 0.32, 0.265, 0.69, 0.15, 0.06),
    22: (0.63, 0.34, 0.295, 0.605, 0.155, 0.077),
}
"""By code of ITU-T H.273."""

_BRADFORD: Final = ((0.8951, 0.2664, -0.1614), (-0.7502, 1.7135, 0.0367), (0.0389, -0.0685, 1.0296))
_BRADFORD_BACK: Final = (
    (0.9869929, -0.1470543, 0.1599627),
    (0.4323053, 0.5183603, 0.0492912),
    (-0.0085287, 0.0400428, 0.9684867),
)


def lightness(primaries: Primaries, white: tuple[float, float] = D65) -> list[float]:
    """The share of each primary in the luminance of white. Raises ZeroDivisionError for nonsense."""
    raw, target = [_of_xy(*primaries[i : i + 2]) for i in (0, 2, 4)], _of_xy(*white)
    whole = _det(raw)
    return [_det([target if i == j else raw[j] for j in range(3)]) / whole for i in range(3)]


def to_xyz(primaries: Primaries, white: tuple[float, float] = D65) -> list[list[float]]:
    """Rows of the matrix from light to XYZ under D50 (Bradford). Raises ZeroDivisionError for nonsense."""
    cones_from, cones_to = _times(_BRADFORD, _of_xy(*white)), _times(_BRADFORD, D50)
    columns = []
    for i, weight in enumerate(lightness(primaries, white)):
        cones = _times(_BRADFORD, tuple(weight * value for value in _of_xy(*primaries[2 * i : 2 * i + 2])))
        adapted = tuple(cone * to / came for cone, to, came in zip(cones, cones_to, cones_from, strict=True))
        columns.append(_times(_BRADFORD_BACK, adapted))
    return [list(row) for row in zip(*columns, strict=True)]


def _times(rows: tuple[tuple[float, ...], ...], vector: tuple[float, ...]) -> tuple[float, ...]:
    return tuple(sum(m * v for m, v in zip(row, vector, strict=True)) for row in rows)


def _of_xy(x: float, y: float) -> tuple[float, float, float]:
    return x / y, 1.0, (1 - x - y) / y


def _det(c: list[tuple[float, float, float]]) -> float:
    (a, b, d), (e, f, g), (h, i, j) = c
    return a * (f * j - g * i) - b * (e * j - g * h) + d * (e * i - f * h)
