"""The model itself: enlarges the picture for real, writes a caption."""

import shutil
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pyvips

from tests.emulators.fal.outcomes import OddImage


@dataclass(frozen=True)
class Made:
    width_px: int
    height_px: int
    size_bytes: int
    has_gps: bool


class CannotLoad(Exception):
    """The bytes are no picture this model reads."""


class TooLarge(Exception):
    """A side of the output would pass the toolkit's limit."""


def enlarge(source: Path, target: Path, factor: float, *, black: bool) -> Made:
    """Write `target` (PNG): upright, RGB, `factor` times as large. Blocking; run it in a thread."""
    try:
        picture = pyvips.Image.new_from_file(str(source), access="sequential", fail_on="error")
        has_gps = any(name.startswith("exif-ifd3") for name in picture.get_fields())
        swap = picture.get("orientation") in (5, 6, 7, 8) if "orientation" in picture.get_fields() else False
        width, height = (picture.height, picture.width) if swap else (picture.width, picture.height)
        out_width, out_height = round(width * factor), round(height * factor)
        if max(out_width, out_height) > 14142:
            raise TooLarge
        picture = pyvips.Image.thumbnail(
            str(source), out_width, height=out_height, size="force", no_rotate=False, fail_on="error"
        )
        if picture.hasalpha():
            picture = picture.flatten(background=[255])
        if black:
            picture = picture * 0
        picture.cast("uchar").pngsave(str(target), compression=1, keep="icc")
    except pyvips.Error as error:
        raise CannotLoad from error
    return Made(out_width, out_height, target.stat().st_size, has_gps)


def make_odd(source: Path, target: Path, made: Made, odd: OddImage) -> Made:
    """Put in the place of `target` what a model answers that does not do what it was asked."""
    if odd.unchanged:
        shutil.copyfile(source, target)
    elif odd.size is not None or odd.grey is not None:
        picture = pyvips.Image.new_from_file(str(target), memory=True)
        if odd.size is not None:
            picture = picture.thumbnail_image(odd.size[0], height=odd.size[1], size="force")
        if odd.grey is not None:
            picture = picture * 0 + odd.grey
        picture.cast("uchar").pngsave(str(target))
    shown = pyvips.Image.new_from_file(str(target))
    return replace(made, width_px=shown.width, height_px=shown.height, size_bytes=target.stat().st_size)


def caption_for(body: Mapping[str, Any], made: Made) -> str:
    return (
        f"A detailed photograph, {made.width_px} by {made.height_px} pixels, with <natural> light, *fine* "
        f"texture & @everyone in sharp focus; seed {body.get('seed', 0)}."
    )
