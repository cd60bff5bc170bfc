"""What a browser shows of a file that is cut or slightly broken, written anew as a whole one.

Only for what people hand in: a result that ends early is fetched again instead.
"""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import pyvips

from core.domain.media_types import Format
from core.images.operations import load as opening
from core.images.operations.colour_management.samples import spread
from core.images.operations.decoders import pillow
from core.images.operations.refusals import Refused

_END_OF_JPEG = b"\xff\xd9"


def mend(path: Path, kind: Format, out: Path) -> bool | None:
    """Writes what can be seen of a damaged `path` to `out`, with its profile; whether a part of it is missing.

    None where nothing can be seen, and for kinds of which browsers show no part.
    """
    try:
        if kind == "jpeg":
            return _mend_jpeg(path, out)
        if kind in ("png", "gif", "bmp"):
            return _written(pillow.load_by_pillow(path, kind, cut=True), out)
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
        image = pyvips.Image.jpegload(str(path), fail_on="none")
        return _written(image.autorot(), out)


def _written(image: Any, out: Path) -> bool | None:
    if spread(image) == 0:
        return None
    image.pngsave(str(out), compression=1, keep="icc")
    return True
