"""The model answered with an error, or fal or the chat platform itself is at fault."""

from decimal import Decimal
from typing import Literal

from core.domain.errors.base import UpscaleError


class ModelError(UpscaleError):
    """The model answered with an error. `billed` is None where fal did not say; `billed_units` is what it billed."""

    billed: bool | None = None
    billed_units: Decimal | None = None


class ImageRejected(ModelError):
    """The model would not take the picture; limits are given where fal named them."""

    reason: Literal["too_small", "too_large", "unreadable", "format", "download", "file_too_large", "no_media"]
    limit_width_px: int | None = None
    limit_height_px: int | None = None
    limit_bytes: int | None = None


class ContentRejected(ModelError):
    """The safety checker refused the picture."""


class InvalidForModel(ModelError):
    """The model refused a value that we allow; `parameter` is the chat name."""

    parameter: str
    rule: str = ""


class ModelFailed(ModelError):
    """The model broke while working. `kind` is fal's error type, for the operator."""

    kind: str = "unknown"


class ModelNotOffered(ModelError):
    """fal has no such model (any more), or not for this account: nothing a member could mend."""


class ProviderError(UpscaleError):
    """fal itself, or the way to it, is at fault."""


class ProviderHalted(ProviderError):
    """fal takes no work from us at all: out of credit, or the key is refused. A global state, not a job's fault."""

    kind: Literal["credit", "key"]


class ProviderBusy(ProviderError):
    """fal surely did not take the request and says when to come back (429)."""

    retry_after_s: float | None = None


class ProviderUnavailable(ProviderError):
    """fal could not be reached for a read, for longer than we wait."""


class SubmitNotSent(ProviderError):
    """The submit surely never left: safe to try again."""


class SubmitUnknown(ProviderError):
    """The submit may have arrived. Never sent again blindly."""


class RequestLost(ProviderError):
    """fal no longer knows the request."""


class ResultExpired(ProviderError):
    """fal finished, but its result is no longer kept."""


class DeliveryError(UpscaleError):
    """The chat platform refuses the answer, or is away. The result is kept."""


class DeliveryRefused(DeliveryError):
    """No way of delivering is left; trying again is useless."""

    reason: Literal["gone", "forbidden", "revoked", "too_old", "refused"]


class PlaceRefused(DeliveryError):
    """Known before anything was paid: no place takes the job's message."""


class DeliveryUnavailable(DeliveryError):
    """The platform is away or limits us; try again later."""

    retry_after_s: float | None = None
