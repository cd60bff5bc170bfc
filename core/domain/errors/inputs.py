"""The picture, or the way to it, is at fault."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Literal

from core.domain.errors.base import UpscaleError


class InputError(UpscaleError):
    """The picture, or the way to it, is at fault. Nothing was charged."""

    code = "input"


@dataclass(eq=False, kw_only=True)
class NotAnImage(InputError):
    """The bytes are no picture; `detected` names what they look like, where that is known (`html`, `pdf` …)."""

    code: ClassVar[str] = "not_an_image"
    detected: str | None = None


@dataclass(eq=False, kw_only=True)
class UnsupportedFormat(InputError):
    """A picture of a kind that cannot be read here."""

    code: ClassVar[str] = "unsupported_format"
    format: str


@dataclass(eq=False, kw_only=True)
class DamagedImage(InputError):
    """Truncated or corrupt."""

    code: ClassVar[str] = "damaged_image"
    detail: str = ""


@dataclass(eq=False, kw_only=True)
class FileTooLarge(InputError):
    """`bytes` is None where reading stopped at the limit."""

    code: ClassVar[str] = "file_too_large"
    bytes: int | None
    limit_bytes: int


@dataclass(eq=False, kw_only=True)
class TooManyPixels(InputError):
    """The input itself has more pixels than allowed."""

    code: ClassVar[str] = "too_many_pixels"
    width_px: int
    height_px: int
    limit_px: int


@dataclass(eq=False, kw_only=True)
class ImageTooSmall(InputError):
    """A side is shorter than the smallest allowed."""

    code: ClassVar[str] = "image_too_small"
    width_px: int
    height_px: int
    min_side_px: int


@dataclass(eq=False, kw_only=True)
class OutputTooLarge(InputError):
    """Scaled by the asked factor the result would pass a limit; `largest_factor` is None where none fits."""

    code: ClassVar[str] = "output_too_large"
    width_px: int
    height_px: int
    limit_px: int
    limit_side_px: int
    largest_factor: float | None


@dataclass(eq=False, kw_only=True)
class TargetUnreachable(InputError):
    """A wanted size that the picture has already, that is beyond the model, or an amount that pays for nothing.

    `largest_factor` is what would work instead, None where nothing would; `other_model` reaches the size.
    """

    code: ClassVar[str] = "target_unreachable"
    reason: Literal["already_larger", "beyond_model", "amount"]
    target: str
    width_px: int
    height_px: int
    model: str
    largest_factor: float | None
    other_model: str = ""


@dataclass(eq=False, kw_only=True)
class ImageTooCostly(InputError):
    """Decoding took too long or too much memory and was stopped."""

    code: ClassVar[str] = "image_too_costly"


@dataclass(eq=False, kw_only=True)
class FlatImage(InputError):
    """Read as it can be read here, the picture would be one flat colour although its file is not."""

    code: ClassVar[str] = "flat_image"


@dataclass(eq=False, kw_only=True)
class LinkRefused(InputError):
    """A typed link that is not fetched, whatever it holds."""

    code: ClassVar[str] = "link_refused"
    reason: Literal["scheme", "port", "credentials", "private_address", "dns", "redirects", "syntax"]


@dataclass(eq=False, kw_only=True)
class DownloadFailed(InputError):
    """The file could not be had from where it lies."""

    code: ClassVar[str] = "download_failed"
    reason: Literal[
        "status",
        "timeout",
        "connection",
        "truncated",
        "login_page",
        "gone",
        "not_ready",
        "not_visible",
        "external",
    ]
    status: int | None = None
