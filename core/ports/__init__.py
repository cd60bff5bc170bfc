"""Protocols between the core and what surrounds it: what it needs from outside, and what adapters are handed."""

from core.domain.variations import Change as Change
from core.ports.chat import *  # noqa: F403
from core.ports.clock import *  # noqa: F403
from core.ports.files import *  # noqa: F403
from core.ports.metrics import *  # noqa: F403
from core.ports.money import *  # noqa: F403
from core.ports.operator import *  # noqa: F403
from core.ports.ownership import *  # noqa: F403
from core.ports.storage import *  # noqa: F403
from core.ports.upscaler import *  # noqa: F403
