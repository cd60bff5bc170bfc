"""How much of a picture's structure its enlargement kept: the result, reduced to the source's size, against the source.

Locally, it is the share of the variation that the result explains: the square of SSIM's structure term (Wang et al.,
2004), which asks how alike two neighbourhoods vary, whatever their brightness and contrast. 100 % for a plain
enlargement, about 95 where it was sharpened or recompressed hard, 30 for another picture.
"""

import math
import struct
from array import array
from pathlib import Path
from typing import Any, Final

import pyvips

from core.images.facts import ImageFacts, ImageLimits
from core.images.operations import load as opening
from core.images.operations.colour_management.samples import flat, small_of

_SIDE_PX: Final = 768
"""Both pictures are looked at in at most this size: a full-size look at 64 megapixels would take seconds."""

_BLOCK_PX: Final = 8
_C3: Final = (0.03 * 255) ** 2 / 2
_PLACES: Final = (
    ("top_left", "top", "top_right"), ("left", "centre", "right"), ("bottom_left", "bottom", "bottom_right"),
)  # fmt: skip
_DETAIL: Final = 100.0
"""Variance at which a neighbourhood counts half; flat ones, in which nothing can be lost, count for nothing."""

_EVEN: Final = 0.01
"""A part that lost less than this, or hardly more than the whole, is not named."""


def measure(before: Path, after: Path, limits: ImageLimits) -> dict[str, Any]:
    """The structure kept, in percent, and the ninth of the picture that changed most, if one stands out."""
    lost, detail = lost_structure(before, after, limits)
    mean_lost = lost.avg()
    whole = mean_lost / max(1e-6, detail)
    ninths = lost.resize(3 / lost.width, vscale=3 / lost.height, kernel="linear").tolist()
    cells = {
        place: lost for names, row in zip(_PLACES, ninths, strict=True) for place, lost in zip(names, row, strict=True)
    }
    worst = max(cells, key=cells.__getitem__)
    stands_out = cells[worst] > max(_EVEN, 1.5 * mean_lost)
    return {"percent": max(0, round(100 * (1 - whole))), "most_changed": worst if stands_out else None}


def lost_structure(before: Path, after: Path, limits: ImageLimits) -> tuple[Any, float]:
    """A map of what was lost, 0 to 1 for each block of the source, and how much there was to lose in the mean."""
    facts, _ = opening.examine(before, limits)
    scale = min(1.0, _SIDE_PX / max(facts.width_px, facts.height_px))
    size = (max(1, round(facts.width_px * scale)), max(1, round(facts.height_px * scale)))
    new_facts, _ = opening.examine(after, limits)
    return _lost(_grey(before, facts, size), _grey(after, new_facts, size))


def _grey(path: Path, facts: ImageFacts, size: tuple[int, int]) -> Any:
    image = flat(small_of(path, facts, max(size)))
    if (image.width, image.height) != size:
        image = image.thumbnail_image(size[0], height=size[1], size="force")
    return image.colourspace("b-w")[0].cast("float").copy_memory()


def _lost(x: Any, y: Any) -> tuple[Any, float]:
    """Blocks are few, and an operation of libvips costs as much as a hundred of them in Python."""
    block = max(1, min(_BLOCK_PX, x.width, x.height))
    both = x.bandjoin(y)
    means = both.bandjoin([both * both, x * y]).shrink(block, block)
    lost, details = array("f"), 0.0
    for mean_x, mean_y, mean_xx, mean_yy, mean_xy in struct.iter_unpack("5f", means.write_to_memory()):
        var_x, var_y = max(0.0, mean_xx - mean_x * mean_x), max(0.0, mean_yy - mean_y * mean_y)
        alike = max(0.0, (mean_xy - mean_x * mean_y + _C3) / (math.sqrt(var_x * var_y) + _C3))
        detail = (var_x + var_y) / (var_x + var_y + _DETAIL)
        lost.append((1 - alike * alike) * detail)
        details += detail
    return pyvips.Image.new_from_memory(lost.tobytes(), means.width, means.height, 1, "float"), details / len(lost)
