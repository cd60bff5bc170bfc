"""The model itself: checks its input as fal's schema does, enlarges the picture for real, writes a caption."""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pyvips

from tests.emulators.fal.outcomes import OddImage
from tests.emulators.fal.schemas import Schema


def _detail(param: str, kind: str, msg: str, given: Any, ctx: Mapping[str, Any] | None = None) -> dict[str, Any]:
    found = {"loc": ["body", param], "msg": msg, "type": kind, "input": given}
    found["url"] = f"https://errors.pydantic.dev/2/v/{kind}"
    if ctx:
        found["ctx"] = dict(ctx)
    return found


def _check_range(param: str, value: float, low: float, high: float) -> list[dict[str, Any]]:
    if value < low:
        return [_detail(param, "greater_than_equal", f"should be at least {low}", value, {"ge": low})]
    if value > high:
        return [_detail(param, "less_than_equal", f"should be at most {high}", value, {"le": high})]
    return []


def check_input(schema: Schema, body: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Every mistake in the input; stricter than fal: unknown fields and numbers in quotes are refused."""
    wrong: list[dict[str, Any]] = []
    url = body.get("image_url")
    if "image_url" not in body:
        wrong.append(_detail("image_url", "missing", "Field required", dict(body)))
    elif not isinstance(url, str):
        wrong.append(_detail("image_url", "string_type", "Input should be a valid string", url))
    for name in sorted(set(body) - schema.known):
        wrong.append(_detail(name, "extra_forbidden", "Extra inputs are not permitted", body[name]))
    for name, (low, high) in schema.floats.items():
        if name in body:
            value = body[name]
            if isinstance(value, bool) or not isinstance(value, int | float):
                wrong.append(_detail(name, "float_type", "Input should be a valid number", value))
            else:
                wrong += _check_range(name, value, low, high)
    for name, bounds in schema.integers.items():
        if name in body:
            value = body[name]
            if isinstance(value, bool) or not isinstance(value, int):
                wrong.append(_detail(name, "int_type", "Input should be a valid integer", value))
            elif bounds is not None:
                wrong += _check_range(name, value, *bounds)
    for name in sorted(schema.switches & body.keys()):
        if not isinstance(body[name], bool):
            wrong.append(_detail(name, "bool_type", "Input should be a valid boolean", body[name]))
    for name, allowed in schema.choices.items():
        if name in body and body[name] not in allowed:
            wrong.append(_detail(name, "literal_error", f"Input should be {sorted(allowed)}", body[name]))
    return wrong


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
