"""Errors of the model, of fal, and of the chat platform that receives the result."""

from decimal import Decimal
from typing import Literal

from core.domain.errors.base import UpscaleError


class ModelError(UpscaleError):
    """The model answered with an error. `billed` is None if fal did not say; `billed_units` are megapixels."""

    billed: bool | None = None
    billed_units: Decimal | None = None


class ImageRejected(ModelError):
    """The model refused the image. Limits are set where fal named them."""

    reason: Literal["too_small", "too_large", "unreadable", "format", "download", "file_too_large", "no_media"]
    limit_width_px: int | None = None
    limit_height_px: int | None = None
    limit_bytes: int | None = None


class ContentRejected(ModelError):
    """The safety checker refused the image."""


class InvalidForModel(ModelError):
    """The model refused a value that we allow. `parameter` is the name that people type."""

    parameter: str
    rule: str = ""


class ModelFailed(ModelError):
    """The model failed. `kind` is fal's error type, for the operator."""

    kind: str = "unknown"


class ModelNotOffered(ModelError):
    """fal does not offer this model, or not to this account."""


class ProviderError(UpscaleError):
    """fal failed, or could not be reached."""


class ProviderHalted(ProviderError):
    """fal accepts no requests of this account: it is out of credit, or the key is refused."""

    kind: Literal["credit", "key"]


class ProviderBusy(ProviderError):
    """fal answered 429: the request was not accepted, and may be repeated after `retry_after_s`."""

    retry_after_s: float | None = None


class ProviderUnavailable(ProviderError):
    """fal did not answer a repeatable request within all retries."""


class SubmitNotSent(ProviderError):
    """The submit was certainly not sent, so it is safe to repeat."""


class SubmitUnknown(ProviderError):
    """The submit may have arrived, so it must not be repeated blindly."""


class RequestLost(ProviderError):
    """fal no longer knows the request."""


class ResultExpired(ProviderError):
    """fal finished the request but no longer keeps the result."""


class DeliveryError(UpscaleError):
    """The chat platform refuses the message, or is down. The result is kept."""


class DeliveryRefused(DeliveryError):
    """Every way of delivering has failed; a retry would not help."""

    reason: Literal["gone", "forbidden", "revoked", "too_old", "refused"]


class PlaceRefused(DeliveryError):
    """No channel accepts the job's message. Raised before anything is paid."""


class DeliveryUnavailable(DeliveryError):
    """The platform is down or rate limits us; a later retry may work."""

    retry_after_s: float | None = None
