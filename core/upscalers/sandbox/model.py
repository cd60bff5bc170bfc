"""The sandbox's stand-in for the model: checks the inputs as fal's schema does, enlarges, says honestly what it did."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol, TypeAlias

from core.domain.errors import (
    FileTooLarge,
    ImageRejected,
    ImageTooCostly,
    ImageTooSmall,
    InputError,
    InvalidForModel,
    ModelError,
    ModelFailed,
    OutputTooLarge,
    TooManyPixels,
    UnsupportedFormat,
)
from core.domain.models import MODELS, Models, ModelSpec
from core.domain.parameters.spec import SPECS

PIXELS_PER_MEGAPIXEL = 1_000_000


class Sized(Protocol):
    """Anything with a picture's size."""

    @property
    def width_px(self) -> int:
        """Width, upright."""

    @property
    def height_px(self) -> int:
        """Height, upright."""


class Written(Sized, Protocol):
    """A picture file that was written."""

    @property
    def mime(self) -> str:
        """Its type."""

    @property
    def bytes(self) -> int:
        """Its size."""


class Enlarger(Protocol):
    """What the sandbox needs of `core.images.service.ImageService`."""

    async def probe(self, path: Path, *, decode: bool = True) -> Sized:
        """The picture's size; raises InputError."""

    async def enlarge(self, path: Path, out_path: Path, factor: float) -> Written:
        """Write the larger picture; raises InputError."""


Caption: TypeAlias = Callable[[Sized, float, Any], str]
"""The caption of a picture, enlarged by a factor, as it was written."""


@dataclass(frozen=True)
class Pace:
    """How long a request takes: seconds for any, seconds per output megapixel, and at most so many seconds.

    `is_guess`: it is over as soon as the work is.
    """

    base_s: float = 1.0
    per_megapixel_s: float = 0.2
    limit_s: float = 10.0
    is_guess: bool = False

    def duration_s(self, picture: Sized, factor: float) -> float:
        """Seconds for enlarging this picture by `factor`."""
        megapixels = picture.width_px * picture.height_px * factor**2 / PIXELS_PER_MEGAPIXEL
        return min(self.limit_s, self.base_s + self.per_megapixel_s * megapixels)


def caption_for(source: Sized, factor: float, _made: Written) -> str:
    """An honest description, which is also the picture's alternative text."""
    return (
        f"An image of {source.width_px}×{source.height_px} pixels, enlarged {factor:g}× by Lanczos resampling in "
        "sandbox mode. No AI model looked at this image."
    )


@dataclass(frozen=True)
class SandboxConfig:
    """Where it keeps its files, how many requests it works on at once, how long they take, how long results live."""

    folder: Path
    slots: int = 2
    pace: Pace = field(default_factory=Pace)
    result_ttl_s: float = 7 * 86_400.0
    unit_price_nanousd: int = 100_000_000
    caption: Caption = caption_for
    models: Models = MODELS


def refusal_of(model: ModelSpec, inputs: Mapping[str, Any]) -> InvalidForModel | None:
    """The first input outside the model's schema, as fal would report it; never billed."""
    for spec in model.inputs.values():
        value, kind = inputs.get(spec.api_name), SPECS[spec.name].kind
        right_type = isinstance(value, bool) if kind == "bool" else _is_number(value, whole=kind == "int")
        if not right_type:
            return InvalidForModel(parameter=spec.name, rule=kind, billed=False)
        if not isinstance(value, bool) and value is not None and not spec.low <= value <= spec.high:
            rule = f"≥ {spec.low:g}" if value < spec.low else f"≤ {spec.high:g}"
            return InvalidForModel(parameter=spec.name, rule=rule, billed=False)
    return None


def _is_number(value: Any, *, whole: bool) -> bool:
    return isinstance(value, int if whole else int | float) and not isinstance(value, bool)


def failure_of(error: Exception) -> ModelError:
    """The model's error for what went wrong with the picture; never billed."""
    match error:
        case OutputTooLarge() | TooManyPixels() | ImageTooCostly():
            return ImageRejected(reason="too_large", billed=False)
        case ImageTooSmall(min_side_px=side):
            return ImageRejected(reason="too_small", limit_width_px=side, limit_height_px=side, billed=False)
        case FileTooLarge(limit_bytes=limit):
            return ImageRejected(reason="file_too_large", limit_bytes=limit, billed=False)
        case UnsupportedFormat():
            return ImageRejected(reason="format", billed=False)
        case InputError():
            return ImageRejected(reason="unreadable", billed=False)
        case FileNotFoundError():
            return ImageRejected(reason="download", billed=False)
        case _:
            return ModelFailed(kind="internal_server_error", retryable=True, billed=False)


def units_for(made: Sized) -> int:
    """Play-money megapixels: output megapixels, rounded up."""
    return max(1, math.ceil(made.width_px * made.height_px / PIXELS_PER_MEGAPIXEL))
