"""The chat platform refuses the answer, or is away."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Literal

from core.domain.errors.base import UpscaleError


class DeliveryError(UpscaleError):
    """The chat platform refuses the answer, or is away. The result is kept."""

    code = "delivery"


@dataclass(eq=False, kw_only=True)
class DeliveryRefused(DeliveryError):
    """No way of delivering is left; trying again is useless."""

    code: ClassVar[str] = "delivery_refused"
    reason: Literal["gone", "forbidden", "revoked", "too_old", "refused"]


class PlaceRefused(DeliveryError):
    """Known before anything was paid: no place takes the job's message."""

    code = "place_refused"


@dataclass(eq=False, kw_only=True)
class DeliveryUnavailable(DeliveryError):
    """The platform is away or limits us; try again later."""

    code: ClassVar[str] = "delivery_unavailable"
    retry_after_s: float | None = None
