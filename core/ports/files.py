"""Pictures of finished jobs in the shapes that platforms need. Implemented in `core.images.renditions`."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from core.domain.job import DeliveryKind, Job


@dataclass(frozen=True, slots=True)
class MediaFile:
    """A file made for delivery. `shape` says what was done to the original to fit."""

    path: Path
    mime: str
    shape: DeliveryKind
    width_px: int
    height_px: int
    bytes: int


class Media(Protocol):
    """Pictures of finished jobs in the shapes that platforms need. All work happens in other processes."""

    async def original(self, job: Job) -> MediaFile:
        """The full result, fetched again from the provider if this machine does not have it. Raises ResultExpired."""

    async def fit(self, job: Job, *, max_bytes: int) -> MediaFile:
        """The best shape of the result within `max_bytes`: original, lossless WebP, WebP/JPEG, else a preview."""

    async def preview(self, job: Job, *, max_side_px: int, max_bytes: int) -> MediaFile:
        """A reduced PNG or JPEG of the result."""

    async def source(self, job: Job) -> MediaFile:
        """The upright picture that went into the job, as the model got it. Raises ResultExpired where it is gone."""

    async def compare(self, job: Job) -> MediaFile:
        """Before and after, side by side at 100 %, of the most detailed region."""
