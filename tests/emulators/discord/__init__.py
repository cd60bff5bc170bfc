"""A strict Discord on loopback: REST, gateway and CDN, for driving the real discord.py.

Built from Discord's documentation and its OpenAPI description (facts of 2026-11-22), not from what our
adapter sends: a request that Discord would refuse is refused here. It must not be lenient to make a test pass.
"""

from tests.emulators.discord.faults import Fault
from tests.emulators.discord.interactions import Invocation
from tests.emulators.discord.seen import ClientRefused, SeenMessage, Upload
from tests.emulators.discord.server import DiscordEmulator

__all__ = ["ClientRefused", "DiscordEmulator", "Fault", "Invocation", "SeenMessage", "Upload"]
