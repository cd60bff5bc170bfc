"""`python -m tests.emulators [discord] [slack] [fal]`: emulators (all without a name) for trying the bot by hand.

Prints the settings that point a bot at them, and serves until Ctrl-C.
"""

import argparse
import asyncio
import contextlib
import signal
from collections.abc import Callable
from typing import Any

from tests.emulators.discord import DiscordEmulator
from tests.emulators.fal import FalEmulator
from tests.emulators.slack import SlackEmulator

NAMES = ("discord", "slack", "fal")


async def _serve(names: list[str], job_s: float) -> None:
    stop = asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    made: dict[str, Callable[[], Any]] = {
        "discord": DiscordEmulator,
        "slack": SlackEmulator,
        "fal": lambda: FalEmulator(job_s=job_s),
    }
    async with contextlib.AsyncExitStack() as stack:
        for name in names:
            emulator = await stack.enter_async_context(made[name]())
            for variable, value in emulator.env().items():
                print(f"{variable}={value}", flush=True)
        await stop.wait()


if __name__ == "__main__":
    parser = argparse.ArgumentParser(prog="python -m tests.emulators", description="Emulators on loopback.")
    parser.add_argument("names", nargs="*", metavar="|".join(NAMES), help="all without one")
    parser.add_argument("--job-s", type=float, default=8.0, help="seconds that a job takes at fal")
    options = parser.parse_args()
    if unknown := set(options.names) - set(NAMES):
        parser.error(f"no emulator of that name: {', '.join(sorted(unknown))}")
    asyncio.run(_serve(options.names or list(NAMES), options.job_s))
