"""The fal backend: the models of `core.domain.models` through fal's queue, with real money.

fal-client only validates lifetimes and gives our User-Agent its version. The HTTP calls are our own, because a paid
call must be sent once, response headers carry the bill, and one stream replaces hundreds of polls (facts of
2026-11-22). This package knows nothing of jobs or chat platforms.
"""

from core.upscalers.fal.circuit_breaker import OnHalt
from core.upscalers.fal.client import FalUpscaler
from core.upscalers.fal.config import FalConfig
from core.upscalers.fal.webhooks import WebhookAccepted

__all__ = ["FalConfig", "FalUpscaler", "OnHalt", "WebhookAccepted"]
