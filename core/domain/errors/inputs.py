"""The picture, or the way to it, is at fault."""

from typing import Literal

from core.domain.errors.base import UpscaleError


class InputError(UpscaleError):
    """The picture, or the way to it, is at fault. Nothing was charged."""


class NotAnImage(InputError):
    """The bytes are no picture; `detected` names what they look like, where that is known (`html`, `pdf` …).

    Or the names of `files` that are no pictures.
    """

    detected: str | None = None
    files: int = 1


class UnsupportedFormat(InputError):
    format: str


class DamagedImage(InputError):
    detail: str = ""


class FileTooLarge(InputError):
    """`bytes` is None where reading stopped at the limit."""

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
    """Scaled by the asked factor the result would pass a limit; `largest_factor` is None where none fits."""

    width_px: int
    height_px: int
    limit_px: int
    limit_side_px: int
    largest_factor: float | None


class TargetUnreachable(InputError):
    """A wanted size that the picture has already, that is beyond the model, or an amount that pays for nothing.

    `largest_factor` is what would work instead, None where nothing would; `other_model` reaches the size.
    """

    reason: Literal["already_larger", "beyond_model", "amount"]
    target: str
    width_px: int
    height_px: int
    model: str
    largest_factor: float | None
    other_model: str = ""


class ImageTooCostly(InputError):
    """Decoding took too long or too much memory and was stopped."""


class FlatImage(InputError):
    """Read as it can be read here, the picture would be one flat colour although its file is not."""


class LinkRefused(InputError):
    """A typed link that is not fetched, whatever it holds."""

    reason: Literal["scheme", "port", "credentials", "private_address", "dns", "redirects", "syntax"]


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
