"""Before and after, side by side at 100 %, where the picture has most detail and where it changed most."""

import importlib.util
import math
from pathlib import Path
from typing import Any

import pyvips

from core.images.facts import ImageFacts, ImageLimits
from core.images.operations import load as opening
from core.images.operations.colour_management.samples import flat, shown
from core.images.operations.delivery.regions import Region, most_detailed, strongest
from core.images.operations.delivery.similarity import lost_structure
from core.images.operations.lanczos import enlarge
from core.images.operations.prepare import save_jpeg, save_png, written

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
    """Writes the picture to `out`: PNG, or JPEG where a PNG would be over 4 MB. Raises Refused.

    One row, or two where another part changed more than that of most detail: it is below.
    """
    facts, _ = opening.examine(after, limits)
    old_facts, _ = opening.examine(before, limits)
    rows = []
    for region in _regions(before, after, facts, limits):
        new = _opaque(region.of(shown(after, facts.format)))
        old = _same_region(before, old_facts, facts, region)
        rows.append(_beside(_labelled(old, "before"), _labelled(new, "after"), "horizontal"))
    picture = rows[0] if len(rows) == 1 else _beside(rows[0], rows[1], "vertical")
    save_png(picture, out)
    mime = "image/png"
    if out.stat().st_size > _MAX_BYTES:
        save_jpeg(picture, out, 92)
        mime = "image/jpeg"
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
        return _opaque(region.of(image))
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
