"""Alpha beside the model: a ground on which the picture can be seen, and the alpha put back into the result."""

from pathlib import Path
from typing import Any

from core.domain.media_types import Format
from core.images.operations import load as opening
from core.images.operations.colour_management.samples import rendering_of, shown, to_srgb
from core.images.operations.lanczos import enlarge

_GROUNDS = (255, 0, 128)
_NEAR = 64
_SEEN_SHARE = 0.1
_SAMPLE_PX = 256
_LEAST_COVER = 0.2
"""Below this cover the colour of a pixel cannot be told from the ground's."""


def ground_of(path: Path, kind: Format) -> int:
    """The grey, 0 to 255, on which least of the visible picture vanishes: white unless a tenth of it would."""
    image = opening.load(path, kind)
    small = to_srgb(image, rendering_of(path, kind, image)).thumbnail_image(
        _SAMPLE_PX, height=_SAMPLE_PX, size="down", auto_rotate=False
    )
    small = small.copy_memory()
    cover = small[small.bands - 1].cast("float")
    total = cover.avg()
    if total == 0:
        return _GROUNDS[0]
    grey = small.extract_band(0, n=small.bands - 1).colourspace("b-w")[0].cast("float")
    lost = {ground: ((grey - ground).abs() < _NEAR).ifthenelse(cover, 0).avg() / total for ground in _GROUNDS}
    return _GROUNDS[0] if lost[_GROUNDS[0]] <= _SEEN_SHARE else min(_GROUNDS, key=lost.__getitem__)


def put_back(result: Any, path: Path, kind: Format) -> Any:
    """`result` (8 bits, upright) with the alpha of the source at `path`, enlarged, and without the ground's colour."""
    ground = ground_of(path, kind)
    alpha = shown(path, kind)
    alpha = _sized(alpha[alpha.bands - 1].copy(interpretation="b-w"), result.width, result.height)
    seen = result.extract_band(0, n=result.bands - 1) if result.hasalpha() else result
    cover = alpha / 255
    lit = (seen - (1 - cover) * ground) / (cover < _LEAST_COVER).ifthenelse(_LEAST_COVER, cover)
    return lit.rint().cast("uchar").copy(interpretation=seen.interpretation).bandjoin(alpha)


def _sized(alpha: Any, width: int, height: int) -> Any:
    scale_x, scale_y = width / alpha.width, height / alpha.height
    if min(scale_x, scale_y) >= 1:
        alpha = enlarge(alpha, scale_x, scale_y)
    if (alpha.width, alpha.height) == (width, height):
        return alpha
    return alpha.copy_memory().thumbnail_image(width, height=height, size="force")
