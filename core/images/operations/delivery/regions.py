"""Parts of a picture worth a look: where most detail is. Found on a reduced grey copy, in one stream."""

import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyvips

from core.images.facts import ImageLimits
from core.images.operations import load as opening
from core.images.operations.colour_management.samples import flat, shown
from core.images.operations.prepare import save_png, written

_SEARCH_SIDE_PX = 512
_OUTPUT_PIXELS = 1_000_000


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
    grey = flat(small).colourspace("b-w").copy_memory()
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


def crop_detail(path: Path, out: Path, factor: float, limits: ImageLimits) -> dict[str, Any]:
    """Writes the most detailed part to `out`, as a PNG that becomes at most 1,000,000 pixels when enlarged by `factor`.

    Of the picture's own shape (at most 2 to 1), or the whole of a picture that is small enough. Raises Refused.
    """
    facts, _ = opening.examine(path, limits)
    image = shown(path, facts.format)
    ratio = min(2.0, max(0.5, image.width / image.height))
    height = min(image.height, math.floor(math.sqrt(_OUTPUT_PIXELS / ratio) / factor))
    width = min(image.width, _room(height, factor))
    height = min(image.height, _room(width, factor))
    region = most_detailed(image, width, height)
    save_png(region.of(shown(path, facts.format)), out)
    return written(out, "image/png", region.width, region.height, left=region.left, top=region.top)


def _room(side_px: int, factor: float) -> int:
    """How long the other side may be, so that the enlarged rectangle keeps the bound."""
    return math.floor(_OUTPUT_PIXELS // math.ceil(side_px * factor) / factor)
