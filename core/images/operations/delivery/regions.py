"""Parts of a picture worth a look: where most detail is. Found on a reduced grey copy, in one stream."""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import pyvips

from core.images.facts import ImageLimits
from core.images.operations import colour as colours
from core.images.operations import load as opening
from core.images.operations.prepare import save_png
from core.images.operations.refusals import from_codec

_SEARCH_SIDE_PX = 512


@dataclass(frozen=True, slots=True)
class Region:
    """A rectangle of a picture."""

    left: int
    top: int
    width: int
    height: int

    def of(self, image: Any) -> Any:
        """This part of `image`."""
        return image.crop(self.left, self.top, self.width, self.height)


def most_detailed(image: Any, width: int, height: int) -> Region:
    """Where a window of this size gathers most edge energy."""
    small = image.thumbnail_image(_SEARCH_SIDE_PX, height=_SEARCH_SIDE_PX, size="down", auto_rotate=False)
    grey = colours.flat(small).colourspace("b-w").copy_memory()
    # The square root keeps one hard edge (a frame, a caption) from outweighing a whole field of texture.
    return strongest(grey.sobel().cast("float") ** 0.5, (image.width, image.height), width, height)


def strongest(energy: Any, full: tuple[int, int], width: int, height: int) -> Region:
    """The window of `width` by `height` in a picture of size `full` that gathers most of a reduced map's energy."""
    scale_x, scale_y = energy.width / full[0], energy.height / full[1]
    half_x = min(int(width * scale_x / 2), (energy.width - 1) // 2)
    half_y = min(int(height * scale_y / 2), (energy.height - 1) // 2)
    across, down = pyvips.Image.new_from_array([[1] * (2 * half_x + 1)]), [[1]] * (2 * half_y + 1)
    sums = energy.conv(across, precision="float").conv(pyvips.Image.new_from_array(down), precision="float")
    centres = sums.crop(half_x, half_y, energy.width - 2 * half_x, energy.height - 2 * half_y)
    _, at = centres.max(x=True, y=True)
    left = round((int(at["x"]) + half_x + 0.5) / scale_x - width / 2)
    top = round((int(at["y"]) + half_y + 0.5) / scale_y - height / 2)
    return Region(max(0, min(left, full[0] - width)), max(0, min(top, full[1] - height)), width, height)


def crop_detail(path: Path, out: Path, factor: float, output_pixels: int, limits: ImageLimits) -> dict[str, Any]:
    """Writes the most detailed part to `out`, as a PNG that becomes at most `output_pixels` when enlarged by `factor`.

    Of the picture's own shape (at most 2 to 1), or the whole of a picture that is small enough. Raises Refused.
    """
    facts, _ = opening.examine(path, limits, limit_bytes=1 << 62, decode=False)
    try:
        image = colours.to_8_bit(opening.upright(path, facts.format))
        ratio = min(2.0, max(0.5, image.width / image.height))
        height = min(image.height, math.floor(math.sqrt(output_pixels / ratio) / factor))
        width = min(image.width, _room(height, factor, output_pixels))
        height = min(image.height, _room(width, factor, output_pixels))
        region = most_detailed(image, width, height)
        save_png(region.of(colours.to_8_bit(opening.upright(path, facts.format))), out)
    except pyvips.Error as error:
        raise from_codec(error, facts.format) from error
    return {**asdict(region), "bytes": out.stat().st_size}


def _room(side_px: int, factor: float, output_pixels: int) -> int:
    """How long the other side may be, so that the enlarged rectangle keeps the bound."""
    return math.floor(output_pixels // math.ceil(side_px * factor) / factor)
