"""What a browser shows of a file that is cut or slightly broken, written anew as a whole one.

Only for what people hand in: a result that ends early is fetched again instead.
"""

import os
import shutil
from pathlib import Path
from typing import Any

import pyvips

from core.domain.media_types import Format
from core.images.operations import load as opening
from core.images.operations.colour_management.profiles import meaning_of
from core.images.operations.colour_management.samples import Rendering, spread, to_srgb
from core.images.operations.decoders import pillow
from core.images.operations.refusals import Refused

_END_OF_JPEG = b"\xff\xd9"
_MOST_MISSING = 4
"""Times as large as what is there, at most, is what the file says to be."""


def mend(path: Path, kind: Format, out: Path) -> bool | None:
    """Writes what can be seen of a damaged `path` to `out`, in sRGB; whether a part of it is missing.

    None where nothing can be seen, and for kinds of which no part can be shown.
    """
    try:
        if kind == "jpeg":
            return _mend_jpeg(path, out)
        if kind == "webp":
            return _mend_webp(path, out)
        if kind in ("png", "gif", "bmp"):
            return _written(path, kind, pillow.load_by_pillow(path, kind, cut=True), out)
    except (Refused, pyvips.Error):
        pass
    return None


def _mend_jpeg(path: Path, out: Path) -> bool | None:
    """A JPEG that lacks no more than its end marker is given one; what is there of another is unpacked."""
    shutil.copyfile(path, out)
    with out.open("ab") as file:
        file.write(_END_OF_JPEG)
    try:
        opening.verify(pyvips.Image.jpegload(str(out), access="sequential", fail_on="warning"), "jpeg")
        return False
    except Refused:
        return _written(path, "jpeg", pyvips.Image.jpegload(str(path), fail_on="none").autorot(), out)


def _mend_webp(path: Path, out: Path) -> bool | None:
    """A WebP that has another length than it says is told the right one; what is missing of another is zeros."""
    shutil.copyfile(path, out)
    with out.open("r+b") as file:
        said = 8 + int.from_bytes(file.read(8)[4:], "little")
        there = path.stat().st_size
        file.seek(4)
        file.write((there - 8).to_bytes(4, "little"))
    try:
        opening.verify(opening.load(out, "webp"), "webp")
        return False
    except Refused:
        if said > there * _MOST_MISSING:
            return None
    shutil.copyfile(path, out)
    os.truncate(out, said)
    padded = out.with_name(f"{out.name}.padded")
    out.rename(padded)
    try:
        return _written(path, "webp", opening.upright(padded, "webp"), out)
    finally:
        padded.unlink(missing_ok=True)


def _written(path: Path, kind: Format, image: Any, out: Path) -> bool | None:
    if spread(image) == 0:
        return None
    to_srgb(image, Rendering(meaning_of(path, kind, image))).pngsave(str(out), compression=1, keep="none")
    return True
