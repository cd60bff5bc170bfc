"""A picture cut into tiles at every halving of its size, so that a viewer loads only what it shows."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import pyvips

from core.images.facts import ImageLimits
from core.images.operations import colour as colours
from core.images.operations import load as opening
from core.images.operations.refusals import from_codec

_JPEG = ".jpg[Q=93,subsample-mode=off,keep=icc]"
_PNG = ".png[compression=1,keep=icc]"


def cut(path: Path, out_dir: Path, tile_px: int, limits: ImageLimits) -> dict[str, Any]:
    """Writes `out_dir/<level>/<x>_<y><suffix>`, level 0 being the smallest: one tile. Read in one stream.

    Raises Refused.
    """
    facts, _ = opening.examine(path, limits, limit_bytes=1 << 62, decode=False)
    work = out_dir.with_name(f"{out_dir.name}.part")
    made = work.with_name(f"{work.name}_files")
    shutil.rmtree(made, ignore_errors=True)
    try:
        image = colours.to_8_bit(opening.upright(path, facts.format))
        suffix = _PNG if image.hasalpha() else _JPEG
        image.dzsave(str(work), suffix=suffix, tile_size=tile_px, overlap=0, depth="onetile", skip_blanks=-1)
    except pyvips.Error as error:
        shutil.rmtree(made, ignore_errors=True)
        raise from_codec(error, facts.format) from error
    finally:
        work.with_name(f"{work.name}.dzi").unlink(missing_ok=True)
    levels = sum(1 for level in made.iterdir() if level.is_dir())
    shutil.rmtree(out_dir, ignore_errors=True)
    made.rename(out_dir)
    return {"levels": levels, "suffix": suffix.partition("[")[0]}
