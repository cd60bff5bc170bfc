"""A model that needs no account: a small neural network in the image workers, or Lanczos where that is as good.

It uses the sandbox's queue and play money.
"""

import dataclasses

from core.images.service import ImageFacts, ImageService, WrittenImage
from core.ports import Clock
from core.upscalers.sandbox import SandboxConfig, SandboxUpscaler
from core.upscalers.sandbox.model import Pace

_PACE = Pace(base_s=0.5, per_megapixel_s=0.3, limit_s=60.0, is_estimate=True)
"""Measured on one core: 12 megapixels doubled in 14 s."""


class LocalUpscaler(SandboxUpscaler):
    """One instance per process; many processes may share the folder."""

    name = "local"

    def __init__(self, config: SandboxConfig, images: ImageService, clock: Clock) -> None:
        super().__init__(dataclasses.replace(config, pace=_PACE, caption=caption_for, network=True), images, clock)


def caption_for(source: ImageFacts, factor: float, made: WrittenImage) -> str:
    """Describe what was run; it is also the image's alternative text."""
    how = "by Lanczos resampling"
    if made.network_share:
        how += f", sharpened {made.network_share:.0%} of the way by the small network ACNet"
    return f"An image of {source.width_px}×{source.height_px} pixels, enlarged {factor:g}× on this machine {how}."
