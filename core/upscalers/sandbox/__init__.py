"""The sandbox backend: fal's inputs, outputs, queue and errors, but with Lanczos instead of AI, and play money.

It runs on one machine without an account or network. Requests are files, so that they survive a killed process.
"""

from core.upscalers.sandbox.client import SandboxUpscaler
from core.upscalers.sandbox.model import SandboxConfig

__all__ = ["SandboxConfig", "SandboxUpscaler"]
