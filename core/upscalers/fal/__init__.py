"""The fal backend: the models of `core.domain.models` through fal's queue, with real money.

fal-client is used where it serves (checking lifetimes, its version in our User-Agent); the calls themselves are a thin
layer of our own, because a paid call must leave once, answer headers carry the bill, and one stream replaces hundreds
of polls (facts of 2026-11-22). Nothing in here knows jobs, money, or chat platforms.
"""

from core.upscalers.fal.circuit_breaker import OnHalt
from core.upscalers.fal.client import FalUpscaler
from core.upscalers.fal.config import FalConfig
from core.upscalers.fal.webhooks import WebhookAccepted, WebhookOutcome, WebhookRefused

__all__ = ["FalConfig", "FalUpscaler", "OnHalt", "WebhookAccepted", "WebhookOutcome", "WebhookRefused"]
