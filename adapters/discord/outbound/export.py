"""A smaller export where the whole one is larger than Discord takes: everything but the pictures. Blocking."""

import tempfile
import zipfile
from pathlib import Path

RECORD_SUFFIX = ".json"
"""What is written down about a member; everything else in the archive is a picture, whatever its name."""


def reduced(archive: Path) -> Path:
    """A new ZIP without the pictures; the caller deletes it."""
    with tempfile.NamedTemporaryFile(suffix=".zip", delete=False) as out:
        target = Path(out.name)
    with zipfile.ZipFile(archive) as whole, zipfile.ZipFile(target, "w", zipfile.ZIP_DEFLATED) as part:
        for entry in whole.infolist():
            if entry.filename.lower().endswith(RECORD_SUFFIX):
                part.writestr(entry, whole.read(entry))
    return target
