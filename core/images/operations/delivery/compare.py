"""Before and after, side by side at 100 %, where the picture has most detail and where it changed most."""

from __future__ import annotations

import importlib.util
import math
from pathlib import Path
from typing import Any

import pyvips

from core.images.facts import ImageFacts, ImageLimits
from core.images.operations import colour as colours
from core.images.operations import load as opening
from core.images.operations.delivery.regions import Region, most_detailed, strongest
from core.images.operations.delivery.similarity import lost_structure
from core.images.operations.prepare import save_jpeg, save_png
from core.images.operations.refusals import from_codec

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


def compare(before: Path, after: Path, out: Path, labels: tuple[str, str], limits: ImageLimits) -> dict[str, Any]:
    """Writes the picture to `out`: PNG, or JPEG where a PNG would be over 4 MB. Raises Refused.

    One row, or two where another part changed more than that of most detail: it is below.
    """
    facts, _ = opening.examine(after, limits, limit_bytes=1 << 62, decode=False)
    old_facts, _ = opening.examine(before, limits, limit_bytes=1 << 62, decode=False)
    try:
        rows = []
        for region in _regions(before, after, facts, limits):
            new = _shown(region.of(_upright(after, facts)))
            old = _same_region(before, old_facts, facts, region)
            rows.append(_beside(_labelled(old, labels[0]), _labelled(new, labels[1]), "horizontal"))
        picture = rows[0] if len(rows) == 1 else _beside(rows[0], rows[1], "vertical")
        save_png(picture, out)
        mime = "image/png"
        if out.stat().st_size > _MAX_BYTES:
            save_jpeg(picture, out, 92)
            mime = "image/jpeg"
    except pyvips.Error as error:
        raise from_codec(error, facts.format) from error
    return {
        "path": str(out),
        "mime": mime,
        "width_px": picture.width,
        "height_px": picture.height,
        "bytes": out.stat().st_size,
        "rows": len(rows),
    }


def _regions(before: Path, after: Path, facts: ImageFacts, limits: ImageLimits) -> list[Region]:
    width, height = min(_PANE_PX, facts.width_px), min(_PANE_PX, facts.height_px)
    detailed = most_detailed(_upright(after, facts), width, height)
    lost, _ = lost_structure(before, after, limits)
    if lost.max() < _SEEN_LOSS:
        return [detailed]
    changed = strongest(lost, (facts.width_px, facts.height_px), width, height)
    apart = abs(changed.left - detailed.left) > width // 2 or abs(changed.top - detailed.top) > height // 2
    return [detailed, changed] if apart else [detailed]


def _upright(path: Path, facts: ImageFacts) -> Any:
    return colours.to_8_bit(opening.upright(path, facts.format))


def _same_region(path: Path, old: ImageFacts, new: ImageFacts, region: Region) -> Any:
    """The region of the smaller picture, enlarged by Lanczos to the larger one's scale."""
    scale_x, scale_y = new.width_px / old.width_px, new.height_px / old.height_px
    if scale_x < 1 or scale_y < 1:
        image = _upright(path, old).thumbnail_image(new.width_px, height=new.height_px, size="force")
        return _shown(region.of(image))
    left = max(0, math.floor(region.left / scale_x) - _MARGIN_PX)
    top = max(0, math.floor(region.top / scale_y) - _MARGIN_PX)
    right = min(old.width_px, math.ceil((region.left + region.width) / scale_x) + _MARGIN_PX)
    bottom = min(old.height_px, math.ceil((region.top + region.height) / scale_y) + _MARGIN_PX)
    piece = _shown(_upright(path, old).crop(left, top, right - left, bottom - top))
    large = colours.enlarge(piece, scale_x, scale_y)
    x = min(round(region.left - left * scale_x), large.width - region.width)
    y = min(round(region.top - top * scale_y), large.height - region.height)
    return large.crop(max(0, x), max(0, y), region.width, region.height)


def _shown(piece: Any) -> Any:
    """A small piece in memory, opaque, as sRGB, so that both halves mean the same colours."""
    piece = colours.flat(piece)
    if piece.get_typeof("icc-profile-data"):
        try:
            piece = piece.icc_transform("srgb", embedded=True)
        except pyvips.Error:
            piece = piece.copy()  # a broken profile: shown without it
        piece.remove("icc-profile-data") if piece.get_typeof("icc-profile-data") else None
    return piece.colourspace("srgb").copy_memory()


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
    escaped = label.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
    options: dict[str, Any] = {"dpi": _LABEL_DPI}
    found = importlib.util.find_spec("matplotlib")
    if found is not None and found.origin is not None:
        font = Path(found.origin).parent / "mpl-data" / "fonts" / "ttf" / "DejaVuSans-Bold.ttf"
        if font.is_file():
            options["fontfile"] = str(font)
    return pyvips.Image.text(escaped, font="DejaVu Sans Bold 10", **options)


def _beside(first: Any, second: Any, direction: str) -> Any:
    size = (_DIVIDER_PX, first.height) if direction == "horizontal" else (first.width, _DIVIDER_PX)
    divider = (pyvips.Image.black(*size) + _PAPER).cast("uchar").copy(interpretation="srgb")
    return first.join(divider, direction).join(second, direction)
