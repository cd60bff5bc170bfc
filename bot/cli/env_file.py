"""Writes variables into `.env` and leaves everything else in it as it stands."""

from __future__ import annotations

import os
import re
import tempfile
from collections.abc import Mapping
from pathlib import Path

_PLAIN = re.compile(r"[A-Za-z0-9_.:/@+=,-]*")


def write(path: Path, values: Mapping[str, str]) -> None:
    """Set these variables: in the line that sets them already, else at the end. Whole or not at all; owner only (0600).

    Raises OSError.
    """
    lines = path.read_text(encoding="utf-8").splitlines() if path.exists() else []
    left = dict(values)
    for number, line in enumerate(lines):
        name = line.split("=", 1)[0].strip().removeprefix("export ").strip()
        if "=" in line and not line.lstrip().startswith("#") and name in values:
            lines[number] = f"{name}={_quoted(values[name])}"
            left.pop(name, None)
    lines += [f"{name}={_quoted(value)}" for name, value in left.items()]
    handle, made = tempfile.mkstemp(dir=path.parent, prefix=".env.")
    try:
        with os.fdopen(handle, "w", encoding="utf-8") as file:
            file.write("\n".join(lines) + "\n")
            file.flush()
            os.fsync(file.fileno())
        Path(made).replace(path)
    except OSError:
        Path(made).unlink(missing_ok=True)
        raise


def _quoted(value: str) -> str:
    if _PLAIN.fullmatch(value):
        return value
    escaped = value.replace("\\", "\\\\").replace("'", "\\'")
    return f"'{escaped}'"
