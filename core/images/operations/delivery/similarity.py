"""How much of a picture's structure its enlargement kept: the result, reduced to the source's size, against the source.

Locally, it is the share of the variation that the result explains: the square of SSIM's structure term (Wang et al.,
2004), which asks how alike two neighbourhoods vary, whatever their brightness and contrast. 100 % for a plain
enlargement, about 95 where it was sharpened or recompressed hard, 30 for another picture.
"""

from pathlib import Path
from typing import Any, Final

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
    whole = mean_lost / max(1e-6, detail.avg())
    ninths = lost.resize(3 / lost.width, vscale=3 / lost.height, kernel="linear").tolist()
    cells = {
        place: lost for names, row in zip(_PLACES, ninths, strict=True) for place, lost in zip(names, row, strict=True)
    }
    worst = max(cells, key=cells.__getitem__)
    stands_out = cells[worst] > max(_EVEN, 1.5 * mean_lost)
    return {"percent": max(0, round(100 * (1 - whole))), "most_changed": worst if stands_out else None}


def lost_structure(before: Path, after: Path, limits: ImageLimits) -> tuple[Any, Any]:
    """Maps of what was lost, and of how much there was to lose: 0 to 1 for each block of the source, in memory."""
    facts, _ = opening.examine(before, limits)
    scale = min(1.0, _SIDE_PX / max(facts.width_px, facts.height_px))
    size = (max(1, round(facts.width_px * scale)), max(1, round(facts.height_px * scale)))
    new_facts, _ = opening.examine(after, limits)
    return _lost(_grey(before, facts, size), _grey(after, new_facts, size))


def _grey(path: Path, facts: ImageFacts, size: tuple[int, int]) -> Any:
    image = flat(small_of(path, facts, max(size)))
    return (
        image.thumbnail_image(size[0], height=size[1], size="force").colourspace("b-w")[0].cast("float").copy_memory()
    )


def _lost(x: Any, y: Any) -> tuple[Any, Any]:
    block = max(1, min(_BLOCK_PX, x.width, x.height))

    def mean(image: Any) -> Any:
        return image.shrink(block, block).copy_memory()

    def above_zero(image: Any) -> Any:
        return (image + image.abs()) / 2  # exactly; a choice between images takes seven operations more

    both = x.bandjoin(y)
    means = mean(both)
    mean_x, mean_y = means.bandsplit()
    var_x, var_y = above_zero(mean(both * both) - means * means).bandsplit()
    alike = (mean(x * y) - mean_x * mean_y + _C3) / ((var_x * var_y) ** 0.5 + _C3)
    lost = 1 - above_zero(alike) ** 2
    detail = ((var_x + var_y) / (var_x + var_y + _DETAIL)).copy_memory()
    return (lost * detail).copy_memory(), detail
