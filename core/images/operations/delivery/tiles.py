"""A picture cut into tiles at every halving of its size, so that a viewer loads only what it shows."""

import shutil
from pathlib import Path
from typing import Any

from core.images.facts import ImageLimits
from core.images.operations import load as opening
from core.images.operations.colour_management.samples import shown

_JPEG = ".jpg[Q=93,subsample-mode=off,keep=icc]"
_PNG = ".png[compression=1,keep=icc]"


def cut(path: Path, out: Path, tile_px: int, limits: ImageLimits) -> dict[str, Any]:
    """Writes `out/<level>/<x>_<y><suffix>`, level 0 being the smallest: one tile. Read in one stream.

    Raises Refused.
    """
    facts, _ = opening.examine(path, limits)
    work = out.with_name(f"{out.name}.part")
    made = work.with_name(f"{work.name}_files")
    shutil.rmtree(made, ignore_errors=True)
    try:
        image = shown(path, facts.format)
        suffix = _PNG if image.hasalpha() else _JPEG
        image.dzsave(str(work), suffix=suffix, tile_size=tile_px, overlap=0, depth="onetile", skip_blanks=-1)
    finally:
        work.with_name(f"{work.name}.dzi").unlink(missing_ok=True)
    levels = sum(1 for level in made.iterdir() if level.is_dir())
    shutil.rmtree(out, ignore_errors=True)
    made.rename(out)
    return {"levels": levels, "suffix": suffix.partition("[")[0]}
