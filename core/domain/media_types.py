"""The one table of media types: what each is called, and the ending its files have."""

from __future__ import annotations

SUFFIXES = {"image/png": ".png", "image/jpeg": ".jpg", "image/webp": ".webp"}


def suffix_for(mime: str) -> str:
    """The file name's ending for a type."""
    return SUFFIXES.get(mime, ".bin")
