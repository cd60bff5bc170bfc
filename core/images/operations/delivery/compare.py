"""Before and after: how much of a picture's structure its enlargement kept, and both side by side at 100 %.

They are shown where most detail is, found on a reduced grey copy in one stream, and where the picture changed most.
Structure is that of the result, reduced to the source's size, against the source. Locally, it is the share of the
variation that the result explains: the square of SSIM's structure term (Wang et al., 2004), which asks how alike two
neighbourhoods vary, whatever their brightness and contrast. 100 % for a plain enlargement, about 95 where it was
sharpened or recompressed hard, 30 for another picture.
"""

import importlib.util
import math
import struct
from array import array
from pathlib import Path
from typing import Any, Final, NamedTuple

import pyvips

from core.images.facts import ImageFacts, ImageLimits
from core.images.operations import load as opening
from core.images.operations.colour_management.samples import flat, opened, shown, small_of
from core.images.operations.lanczos import enlarge
from core.images.operations.prepare import save, written

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


def similarity(before: Path, after: Path, limits: ImageLimits) -> dict[str, Any]:
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


_SEARCH_SIDE_PX = 512
_OUTPUT_PIXELS = 1_000_000


class Region(NamedTuple):
    left: int
    top: int
    width: int
    height: int


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
    """Of the picture's own shape (at most 2 to 1), or the whole of a picture that is small enough."""
    facts, image = opened(path, limits)
    ratio = min(2.0, max(0.5, image.width / image.height))
    height = min(image.height, math.floor(math.sqrt(_OUTPUT_PIXELS / ratio) / factor))
    width = min(image.width, _room(height, factor))
    height = min(image.height, _room(width, factor))
    region = most_detailed(image, width, height)
    save(shown(path, facts.format).crop(*region), out)
    return written(out, "image/png", region.width, region.height, left=region.left, top=region.top)


def _room(side_px: int, factor: float) -> int:
    """How long the other side may be, so that the enlarged rectangle keeps the bound."""
    return math.floor(_OUTPUT_PIXELS // math.ceil(side_px * factor) / factor)


_PANE_PX = 273
_DIVIDER_PX = 4
"""Two panes are 550 pixels, as wide as chats show a picture without reducing it."""

_SEEN_LOSS = 0.2
"""Of the structure of one neighbourhood; below it nobody would see a change."""

_MARGIN_PX = 6
_LABEL_DPI = 90
_MAX_BYTES = 4_000_000
_INK = [255, 255, 255]
_PAPER = [24, 24, 27]


def compare(before: Path, after: Path, out: Path, limits: ImageLimits) -> dict[str, Any]:
    """One row, or two where another part changed more than that of most detail. JPEG where a PNG would be too large."""
    facts, _ = opening.examine(after, limits)
    old_facts, _ = opening.examine(before, limits)
    rows = []
    for region in _regions(before, after, facts, limits):
        new = _opaque(shown(after, facts.format).crop(*region))
        old = _same_region(before, old_facts, facts, region)
        rows.append(_beside(_labelled(old, "before"), _labelled(new, "after"), "horizontal"))
    picture = rows[0] if len(rows) == 1 else _beside(rows[0], rows[1], "vertical")
    mime = save(picture, out)
    if out.stat().st_size > _MAX_BYTES:
        mime = save(picture, out, "jpeg", 92)
    return written(out, mime, picture.width, picture.height, kind="preview", rows=len(rows))


def _regions(before: Path, after: Path, facts: ImageFacts, limits: ImageLimits) -> list[Region]:
    width, height = min(_PANE_PX, facts.width_px), min(_PANE_PX, facts.height_px)
    detailed = most_detailed(shown(after, facts.format), width, height)
    lost, _ = lost_structure(before, after, limits)
    if lost.max() < _SEEN_LOSS:
        return [detailed]
    changed = strongest(lost, (facts.width_px, facts.height_px), width, height)
    apart = abs(changed.left - detailed.left) > width // 2 or abs(changed.top - detailed.top) > height // 2
    return [detailed, changed] if apart else [detailed]


def _same_region(path: Path, old: ImageFacts, new: ImageFacts, region: Region) -> Any:
    """The region of the smaller picture, enlarged by Lanczos to the larger one's scale."""
    scale_x, scale_y = new.width_px / old.width_px, new.height_px / old.height_px
    if scale_x < 1 or scale_y < 1:
        image = shown(path, old.format).thumbnail_image(new.width_px, height=new.height_px, size="force")
        return _opaque(image.crop(*region))
    left = max(0, math.floor(region.left / scale_x) - _MARGIN_PX)
    top = max(0, math.floor(region.top / scale_y) - _MARGIN_PX)
    right = min(old.width_px, math.ceil((region.left + region.width) / scale_x) + _MARGIN_PX)
    bottom = min(old.height_px, math.ceil((region.top + region.height) / scale_y) + _MARGIN_PX)
    piece = _opaque(shown(path, old.format).crop(left, top, right - left, bottom - top))
    large = enlarge(piece, scale_x, scale_y)
    x = min(round(region.left - left * scale_x), large.width - region.width)
    y = min(round(region.top - top * scale_y), large.height - region.height)
    return large.crop(max(0, x), max(0, y), region.width, region.height)


def _opaque(piece: Any) -> Any:
    """A small piece in memory, in three colours."""
    return flat(piece).colourspace("srgb").copy_memory()


def _labelled(pane: Any, label: str) -> Any:
    """The label on a dark plate in the upper left corner, if the pane has room for it."""
    text = _text(label)
    pad_x, pad_y = 10, 6
    width, height = text.width + 2 * pad_x, text.height + 2 * pad_y
    if width + 16 > pane.width or height + 16 > pane.height:
        return pane
    mask = text.embed(pad_x, pad_y, width, height)
    plate = mask.ifthenelse(_INK, _PAPER, blend=True).copy(interpretation="srgb")
    return pane.insert(plate, 8, 8)


def _text(label: str) -> Any:
    """Ink as a mask. The font is matplotlib's own copy, so that a machine without fonts writes the same."""
    options: dict[str, Any] = {"dpi": _LABEL_DPI}
    found = importlib.util.find_spec("matplotlib")
    if found is not None and found.origin is not None:
        font = Path(found.origin).parent / "mpl-data" / "fonts" / "ttf" / "DejaVuSans-Bold.ttf"
        if font.is_file():
            options["fontfile"] = str(font)
    return pyvips.Image.text(label, font="DejaVu Sans Bold 10", **options)


def _beside(first: Any, second: Any, direction: str) -> Any:
    size = (_DIVIDER_PX, first.height) if direction == "horizontal" else (first.width, _DIVIDER_PX)
    divider = (pyvips.Image.black(*size) + _PAPER).cast("uchar").copy(interpretation="srgb")
    return first.join(divider, direction).join(second, direction)
