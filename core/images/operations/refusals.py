"""A worker's refusal: code and facts of the error tree, without importing that, which would slow each start."""

import errno
from typing import Any

_UNSUPPORTED = (
    "unsupported", "not supported", "no decoding plugin", "unknown compression", "not configured",
    "samples out of range",
)  # fmt: skip


class Refused(Exception):
    """Becomes the error of `core.domain.errors` with this code in the bot."""

    def __init__(self, code: str, **facts: Any) -> None:
        super().__init__(code)
        self.code = code
        self.facts = facts


def damaged(detail: str) -> Refused:
    """`detail` is `truncated`, `corrupt` or `codec_crash`."""
    return Refused("damaged_image", detail=detail)


def from_codec(error: Exception, format_name: str) -> Refused:
    """Map libvips' error text; the phrases were found by feeding broken files to libvips 8.18.

    Raises OSError if the disk, not the image, is the cause.
    """
    text = str(error).lower()
    if "no space left" in text or "write error" in text or "file too large" in text:
        raise OSError(errno.ENOSPC, "an image could not be written")
    if "out of memory" in text or "memory allocation" in text or "security limit" in text:
        return Refused("image_too_costly")
    text = text.replace("unsupported marker type", "marker")  # a file that only begins like a JPEG
    if any(mark in text for mark in _UNSUPPORTED):
        return Refused("unsupported_format", format=format_name)
    if any(mark in text for mark in ("premature end", "end of file", "unexpected end", "bytes, expected", "bad seek")):
        return Refused("damaged_image", detail="truncated")
    return Refused("damaged_image", detail="corrupt")
