"""Errors of the image that was sent, and of fetching it."""

from typing import Literal

from core.domain.errors.base import UpscaleError


class InputError(UpscaleError):
    """The image is unusable, or could not be fetched. Nothing was charged."""


class NotAnImage(InputError):
    """The bytes are no image; `detected` names their kind where known (`html`, `pdf` …).

    `files` counts the files where several were sent and none is an image.
    """

    detected: str | None = None
    files: int = 1


class UnsupportedFormat(InputError):
    format: str


class DamagedImage(InputError):
    detail: str = ""


class FileTooLarge(InputError):
    """`bytes` is None if reading stopped at the limit."""

    bytes: int | None
    limit_bytes: int


class TooManyPixels(InputError):
    width_px: int
    height_px: int
    limit_px: int


class ImageTooSmall(InputError):
    width_px: int
    height_px: int
    min_side_px: int


class OutputTooLarge(InputError):
    """The enlarged image would exceed a limit. `largest_factor` fits; it is None if no factor does."""

    width_px: int
    height_px: int
    limit_px: int
    limit_side_px: int
    largest_factor: float | None


class TargetUnreachable(InputError):
    """The image already has the requested size, the model cannot reach it, or the amount pays for no enlargement.

    `largest_factor` would work instead, or is None if none does; `other_model` can reach the size.
    """

    reason: Literal["already_larger", "beyond_model", "amount"]
    target: str
    width_px: int
    height_px: int
    model: str
    largest_factor: float | None
    other_model: str = ""


class ImageTooCostly(InputError):
    """Decoding was stopped because it took too long or too much memory."""


class FlatImage(InputError):
    """Our conversion would produce a single flat colour although the file holds more."""


class LinkRefused(InputError):
    """The guard does not allow fetching this link."""

    reason: Literal["scheme", "port", "credentials", "private_address", "dns", "redirects", "syntax", "message"]


class DownloadFailed(InputError):
    reason: Literal[
        "status",
        "timeout",
        "connection",
        "truncated",
        "login_page",
        "gone",
        "not_ready",
        "not_visible",
        "hidden",
        "external",
    ]
    status: int | None = None
