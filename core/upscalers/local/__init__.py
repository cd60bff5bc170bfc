"""A real model without an account: a small network in the image workers, or Lanczos where that is no better."""

from __future__ import annotations

from core.upscalers.local.client import LocalUpscaler, caption_for

__all__ = ["LocalUpscaler", "caption_for"]
