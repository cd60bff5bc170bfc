"""The sandbox model: the inputs, outputs, queue and errors of fal's, with Lanczos instead of AI and play money.

It lets everything run on one machine with no account. Requests are files, so that a killed process finds them again
under the same ids. It never touches the network.
"""

from core.upscalers.sandbox.client import SandboxUpscaler
from core.upscalers.sandbox.model import SandboxConfig

__all__ = ["SandboxConfig", "SandboxUpscaler"]
