"""`python -m tests.emulators.fal --port N`: the emulator on one port, for trying the bot by hand."""

import argparse
import asyncio
import signal

from tests.emulators.fal.server import FalEmulator


async def _serve(options: argparse.Namespace) -> None:
    emulator = FalEmulator(job_s=options.job_s, slots=options.slots, single_port=options.port)
    stop = asyncio.Event()
    for name in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(name, stop.set)
    async with emulator:
        for name, value in emulator.env().items():
            print(f"{name}={value}", flush=True)
        await stop.wait()


def main() -> None:
    parser = argparse.ArgumentParser(description="An emulator of fal on loopback.")
    parser.add_argument("--port", type=int, default=0, help="0 picks a free one")
    parser.add_argument("--job-s", type=float, default=8.0, help="seconds a job takes")
    parser.add_argument("--slots", type=int, default=2, help="jobs worked on at once")
    asyncio.run(_serve(parser.parse_args()))


if __name__ == "__main__":
    main()
