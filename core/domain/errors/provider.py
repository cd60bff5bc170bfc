"""The model answered with an error, or fal itself is at fault."""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal
from typing import ClassVar, Literal

from core.domain.errors.base import UpscaleError


@dataclass(eq=False, kw_only=True)
class ModelError(UpscaleError):
    """The model answered with an error. `billed` is None where fal did not say; `billed_units` is what it billed."""

    code: ClassVar[str] = "model"
    billed: bool | None = None
    billed_units: Decimal | None = None


@dataclass(eq=False, kw_only=True)
class ImageRejected(ModelError):
    """The model would not take the picture; limits are given where fal named them."""

    code: ClassVar[str] = "image_rejected"
    reason: Literal["too_small", "too_large", "unreadable", "format", "download", "file_too_large", "no_media"]
    limit_width_px: int | None = None
    limit_height_px: int | None = None
    limit_bytes: int | None = None


@dataclass(eq=False, kw_only=True)
class ContentRejected(ModelError):
    """The safety checker refused the picture."""

    code: ClassVar[str] = "content_rejected"


@dataclass(eq=False, kw_only=True)
class InvalidForModel(ModelError):
    """The model refused a value that we allow; `parameter` is the chat name."""

    code: ClassVar[str] = "invalid_for_model"
    parameter: str
    rule: str = ""


@dataclass(eq=False, kw_only=True)
class ModelFailed(ModelError):
    """The model broke while working. `kind` is fal's error type, for the operator."""

    code: ClassVar[str] = "model_failed"
    kind: str = "unknown"
    retryable: bool = False


@dataclass(eq=False, kw_only=True)
class ModelNotOffered(ModelError):
    """fal has no such model (any more), or not for this account: nothing a member could mend."""

    code: ClassVar[str] = "model_not_offered"


class ProviderError(UpscaleError):
    """fal itself, or the way to it, is at fault."""

    code = "provider"


@dataclass(eq=False, kw_only=True)
class ProviderHalted(ProviderError):
    """fal takes no work from us at all: out of credit, or the key is refused. A global state, not a job's fault."""

    code: ClassVar[str] = "provider_halted"
    kind: Literal["credit", "key"]


@dataclass(eq=False, kw_only=True)
class ProviderBusy(ProviderError):
    """fal surely did not take the request and says when to come back (429)."""

    code: ClassVar[str] = "provider_busy"
    retry_after_s: float | None = None


@dataclass(eq=False, kw_only=True)
class ProviderUnavailable(ProviderError):
    """fal could not be reached for a read, for longer than we wait."""

    code: ClassVar[str] = "provider_unavailable"


@dataclass(eq=False, kw_only=True)
class SubmitNotSent(ProviderError):
    """The submit surely never left: safe to try again."""

    code: ClassVar[str] = "submit_not_sent"


@dataclass(eq=False, kw_only=True)
class SubmitUnknown(ProviderError):
    """The submit may have arrived. Never sent again blindly."""

    code: ClassVar[str] = "submit_unknown"


@dataclass(eq=False, kw_only=True)
class RequestLost(ProviderError):
    """fal no longer knows the request."""

    code: ClassVar[str] = "request_lost"


@dataclass(eq=False, kw_only=True)
class ResultExpired(ProviderError):
    """fal finished, but its result is no longer kept."""

    code: ClassVar[str] = "result_expired"
