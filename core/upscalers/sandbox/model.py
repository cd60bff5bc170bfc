"""How the sandbox imitates a model: run times, captions, errors."""

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeAlias

from core.domain import errors
from core.domain.models import MODELS, Models
from core.domain.money import PIXELS_PER_MEGAPIXEL
from core.images.service import ImageFacts, WrittenImage

Caption: TypeAlias = Callable[[ImageFacts, float, WrittenImage], str]
"""(source, factor, result) to caption."""


@dataclass(frozen=True)
class Pace:
    """How long a request takes: a base, plus a time per output megapixel, up to a limit.

    `is_estimate`: a request ends as soon as its work is done.
    """

    base_s: float = 1.0
    per_megapixel_s: float = 0.2
    limit_s: float = 10.0
    is_estimate: bool = False

    def duration_s(self, picture: ImageFacts, factor: float) -> float:
        megapixels = picture.width_px * picture.height_px * factor**2 / PIXELS_PER_MEGAPIXEL
        return min(self.limit_s, self.base_s + self.per_megapixel_s * megapixels)


def caption_for(source: ImageFacts, factor: float, _made: WrittenImage) -> str:
    """Describe what was done; it is also the image's alternative text."""
    return (
        f"An image of {source.width_px}×{source.height_px} pixels, enlarged {factor:g}× by Lanczos resampling in "
        "sandbox mode. No AI model looked at this image."
    )


@dataclass(frozen=True)
class SandboxConfig:
    """`slots` is the number of concurrent requests; `network`: use the neural network where it helps the image."""

    folder: Path
    slots: int = 2
    pace: Pace = field(default_factory=Pace)
    result_ttl_s: float = 7 * 86_400.0
    unit_price_nanousd: int = 100_000_000
    caption: Caption = caption_for
    network: bool = False
    models: Models = MODELS


def model_error_for(error: Exception) -> errors.ModelError:
    """Map an image error to the model's error; never billed."""
    match error:
        case errors.OutputTooLarge() | errors.TooManyPixels() | errors.ImageTooCostly():
            return errors.ImageRejected(reason="too_large", billed=False)
        case errors.ImageTooSmall(min_side_px=side):
            return errors.ImageRejected(reason="too_small", limit_width_px=side, limit_height_px=side, billed=False)
        case errors.FileTooLarge(limit_bytes=limit):
            return errors.ImageRejected(reason="file_too_large", limit_bytes=limit, billed=False)
        case errors.UnsupportedFormat():
            return errors.ImageRejected(reason="format", billed=False)
        case errors.InputError():
            return errors.ImageRejected(reason="unreadable", billed=False)
        case FileNotFoundError():
            return errors.ImageRejected(reason="download", billed=False)
        case _:
            return errors.ModelFailed(kind="internal_server_error", billed=False)
