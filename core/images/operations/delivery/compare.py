"""Compares before and after: how much structure an enlargement kept, and both side by side at 100 %.

The comparison shows the part with most detail, found on a reduced grey copy in one stream, and the part that changed
most. For the similarity the result is reduced to the source's size. Locally it is the share of the variation that the
result explains: the square of SSIM's structure term (Wang et al., 2004), which ignores brightness and contrast. It is
100 % for a plain enlargement, about 95 after sharpening or strong compression, and 30 for another image.
"""

import importlib.util
import math
import struct
from array import array
from pathlib import Path
from typing import Any, Final, NamedTuple

import pyvips

from core.images.facts import ImageFacts, ImageLimits
from core.images.operations import load as loading
from core.images.operations.colour_management.samples import open_srgb, over_white, reduced_srgb, upright_srgb
from core.images.operations.lanczos import enlarge
from core.images.operations.prepare import image_facts, save

_SIDE_PX: Final = 768
"""Both images are compared at this size at most: 64 megapixels would take seconds."""

_BLOCK_PX: Final = 8
_C3: Final = (0.03 * 255) ** 2 / 2
_GRID: Final = (
    ("top_left", "top", "top_right"), ("left", "centre", "right"), ("bottom_left", "bottom", "bottom_right"),
)  # fmt: skip
_DETAIL: Final = 100.0
"""Variance at which a block has half the weight; flat blocks, which cannot lose anything, have none."""

_MIN_LOSS: Final = 0.01
"""A ninth that lost less than this, or hardly more than the whole, is not reported."""


def similarity(before: Path, after: Path, limits: ImageLimits) -> dict[str, Any]:
    lost, detail = lost_structure(before, after, limits)
    mean_lost = lost.avg()
    whole = mean_lost / max(1e-6, detail)
    ninths = lost.resize(3 / lost.width, vscale=3 / lost.height, kernel="linear").tolist()
    cells = {
        place: lost for names, row in zip(_GRID, ninths, strict=True) for place, lost in zip(names, row, strict=True)
    }
    worst = max(cells, key=cells.__getitem__)
    stands_out = cells[worst] > max(_MIN_LOSS, 1.5 * mean_lost)
    return {"percent": max(0, round(100 * (1 - whole))), "most_changed": worst if stands_out else None}


def lost_structure(before: Path, after: Path, limits: ImageLimits) -> tuple[Any, float]:
    """Return a map of the loss, 0 to 1 for each block of the source, and the mean weight of the blocks."""
    facts, _ = loading.examine(before, limits)
    scale = min(1.0, _SIDE_PX / max(facts.width_px, facts.height_px))
    size = (max(1, round(facts.width_px * scale)), max(1, round(facts.height_px * scale)))
    new_facts, _ = loading.examine(after, limits)
    return _lost(_grey(before, facts, size), _grey(after, new_facts, size))


def _grey(path: Path, facts: ImageFacts, size: tuple[int, int]) -> Any:
    image = over_white(reduced_srgb(path, facts, max(size)))
    if (image.width, image.height) != size:
        image = image.thumbnail_image(size[0], height=size[1], size="force")
    return image.colourspace("b-w")[0].cast("float").copy_memory()


def _lost(x: Any, y: Any) -> tuple[Any, float]:
    """Loop in Python, because one libvips operation costs as much as a hundred blocks, and there are few."""
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


_SEARCH_SIDE_PX = 512
_OUTPUT_PIXELS = 1_000_000


class Region(NamedTuple):
    left: int
    top: int
    width: int
    height: int


def most_detailed(image: Any, width: int, height: int) -> Region:
    small = image.thumbnail_image(_SEARCH_SIDE_PX, height=_SEARCH_SIDE_PX, size="down", auto_rotate=False)
    grey = over_white(small).colourspace("b-w").copy_memory()
    # The square root prevents one hard edge (a frame, a caption) from outweighing a textured area.
    return max_energy_window(grey.sobel().cast("float") ** 0.5, (image.width, image.height), width, height)


def max_energy_window(energy: Any, full: tuple[int, int], width: int, height: int) -> Region:
    """Return the window of `width` by `height` in an image of size `full` with most energy of a reduced map."""
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
    """Crop with the image's own aspect ratio (at most 2 to 1); a small image is not cropped."""
    facts, image = open_srgb(path, limits)
    ratio = min(2.0, max(0.5, image.width / image.height))
    height = min(image.height, math.floor(math.sqrt(_OUTPUT_PIXELS / ratio) / factor))
    width = min(image.width, _max_other_side(height, factor))
    height = min(image.height, _max_other_side(width, factor))
    region = most_detailed(image, width, height)
    save(upright_srgb(path, facts.format).crop(*region), out)
    return image_facts(out, "image/png", region.width, region.height, left=region.left, top=region.top)


def _max_other_side(side_px: int, factor: float) -> int:
    return math.floor(_OUTPUT_PIXELS // math.ceil(side_px * factor) / factor)


_PANE_PX = 273
_DIVIDER_PX = 4
"""Two panes are 550 pixels wide, which chats show without reducing."""

_VISIBLE_LOSS = 0.2
"""Loss of a block below which nobody would see a change."""

_MARGIN_PX = 6
_LABEL_DPI = 90
_MAX_BYTES = 4_000_000
_INK = [255, 255, 255]
_PAPER = [24, 24, 27]


def compare(before: Path, after: Path, out: Path, limits: ImageLimits) -> dict[str, Any]:
    """Write one row, or two if another part than the most detailed one changed most. JPEG if a PNG is too large."""
    facts, _ = loading.examine(after, limits)
    old_facts, _ = loading.examine(before, limits)
    rows = []
    for region in _regions(before, after, facts, limits):
        new = _opaque(upright_srgb(after, facts.format).crop(*region))
        old = _same_region(before, old_facts, facts, region)
        rows.append(_join_with_divider(_labelled(old, "before"), _labelled(new, "after"), "horizontal"))
    picture = rows[0] if len(rows) == 1 else _join_with_divider(rows[0], rows[1], "vertical")
    mime = save(picture, out)
    if out.stat().st_size > _MAX_BYTES:
        mime = save(picture, out, "jpeg", 92)
    return image_facts(out, mime, picture.width, picture.height, kind="preview", rows=len(rows))


def _regions(before: Path, after: Path, facts: ImageFacts, limits: ImageLimits) -> list[Region]:
    width, height = min(_PANE_PX, facts.width_px), min(_PANE_PX, facts.height_px)
    detailed = most_detailed(upright_srgb(after, facts.format), width, height)
    lost, _ = lost_structure(before, after, limits)
    if lost.max() < _VISIBLE_LOSS:
        return [detailed]
    changed = max_energy_window(lost, (facts.width_px, facts.height_px), width, height)
    is_elsewhere = abs(changed.left - detailed.left) > width // 2 or abs(changed.top - detailed.top) > height // 2
    return [detailed, changed] if is_elsewhere else [detailed]


def _same_region(path: Path, old: ImageFacts, new: ImageFacts, region: Region) -> Any:
    """Return the region of the smaller image, enlarged by Lanczos to the scale of the larger one."""
    scale_x, scale_y = new.width_px / old.width_px, new.height_px / old.height_px
    if scale_x < 1 or scale_y < 1:
        image = upright_srgb(path, old.format).thumbnail_image(new.width_px, height=new.height_px, size="force")
        return _opaque(image.crop(*region))
    left = max(0, math.floor(region.left / scale_x) - _MARGIN_PX)
    top = max(0, math.floor(region.top / scale_y) - _MARGIN_PX)
    right = min(old.width_px, math.ceil((region.left + region.width) / scale_x) + _MARGIN_PX)
    bottom = min(old.height_px, math.ceil((region.top + region.height) / scale_y) + _MARGIN_PX)
    piece = _opaque(upright_srgb(path, old.format).crop(left, top, right - left, bottom - top))
    large = enlarge(piece, scale_x, scale_y)
    x = min(round(region.left - left * scale_x), large.width - region.width)
    y = min(round(region.top - top * scale_y), large.height - region.height)
    return large.crop(max(0, x), max(0, y), region.width, region.height)


def _opaque(piece: Any) -> Any:
    return over_white(piece).colourspace("srgb").copy_memory()


def _labelled(pane: Any, label: str) -> Any:
    """Draw the label on a dark rectangle in the upper left corner, if the pane has room for it."""
    text = _text(label)
    pad_x, pad_y = 10, 6
    width, height = text.width + 2 * pad_x, text.height + 2 * pad_y
    if width + 16 > pane.width or height + 16 > pane.height:
        return pane
    mask = text.embed(pad_x, pad_y, width, height)
    plate = mask.ifthenelse(_INK, _PAPER, blend=True).copy(interpretation="srgb")
    return pane.insert(plate, 8, 8)


def _text(label: str) -> Any:
    """Render a text as a mask. Uses matplotlib's font, so that a machine without fonts renders the same."""
    options: dict[str, Any] = {"dpi": _LABEL_DPI}
    found = importlib.util.find_spec("matplotlib")
    if found is not None and found.origin is not None:
        font = Path(found.origin).parent / "mpl-data" / "fonts" / "ttf" / "DejaVuSans-Bold.ttf"
        if font.is_file():
            options["fontfile"] = str(font)
    return pyvips.Image.text(label, font="DejaVu Sans Bold 10", **options)


def _join_with_divider(first: Any, second: Any, direction: str) -> Any:
    size = (_DIVIDER_PX, first.height) if direction == "horizontal" else (first.width, _DIVIDER_PX)
    divider = (pyvips.Image.black(*size) + _PAPER).cast("uchar").copy(interpretation="srgb")
    return first.join(divider, direction).join(second, direction)
