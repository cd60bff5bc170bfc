"""Handles alpha, which the model cannot: flattening over a background, and restoring alpha in the result."""

from pathlib import Path
from typing import Any

from core.domain.media_types import Format
from core.images.operations import load as loading
from core.images.operations.colour_management.samples import rendering_of, to_srgb, upright_srgb
from core.images.operations.lanczos import enlarge

_BACKGROUNDS = (255, 0, 128)
_CLOSE_GREY = 64
_MAX_LOST_SHARE = 0.1
_SAMPLE_PX = 256
_MIN_COVER = 0.2
"""Below this cover a pixel's colour cannot be separated from the background's."""


def background_for(path: Path, kind: Format) -> int:
    """Return the grey, 0 to 255, that contrasts best with the visible image: white unless a tenth is close to it."""
    image = loading.load(path, kind)
    small = to_srgb(image, rendering_of(path, kind, image)).thumbnail_image(
        _SAMPLE_PX, height=_SAMPLE_PX, size="down", auto_rotate=False
    )
    small = small.copy_memory()
    cover = small[small.bands - 1].cast("float")
    total = cover.avg()
    if total == 0:
        return _BACKGROUNDS[0]
    grey = small.extract_band(0, n=small.bands - 1).colourspace("b-w")[0].cast("float")
    lost = {ground: ((grey - ground).abs() < _CLOSE_GREY).ifthenelse(cover, 0).avg() / total for ground in _BACKGROUNDS}
    return _BACKGROUNDS[0] if lost[_BACKGROUNDS[0]] <= _MAX_LOST_SHARE else min(_BACKGROUNDS, key=lost.__getitem__)


def restore_alpha(result: Any, path: Path, kind: Format) -> Any:
    """Add the enlarged alpha of the source to `result` (8 bits, upright), and remove the background's colour."""
    ground = background_for(path, kind)
    alpha = upright_srgb(path, kind)
    alpha = _sized(alpha[alpha.bands - 1].copy(interpretation="b-w"), result.width, result.height)
    colours = result.extract_band(0, n=result.bands - 1) if result.hasalpha() else result
    cover = alpha / 255
    restored = (colours - (1 - cover) * ground) / (cover < _MIN_COVER).ifthenelse(_MIN_COVER, cover)
    return restored.rint().cast("uchar").copy(interpretation=colours.interpretation).bandjoin(alpha)


def _sized(alpha: Any, width: int, height: int) -> Any:
    scale_x, scale_y = width / alpha.width, height / alpha.height
    if min(scale_x, scale_y) >= 1:
        alpha = enlarge(alpha, scale_x, scale_y)
    if (alpha.width, alpha.height) == (width, height):
        return alpha
    return alpha.copy_memory().thumbnail_image(width, height=height, size="force")
