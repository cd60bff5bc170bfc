"""`python -m tests.emulators.discord --port N`: the emulator on its own, until interrupted."""

import argparse
import asyncio

from tests.emulators.discord.server import DiscordEmulator


async def _serve(port: int, token: str) -> None:
    async with DiscordEmulator(port, token) as emulator:
        print(f"DISCORD_API_URL={emulator.api_url}")
        print(f"DISCORD_TOKEN={emulator.token}")
        print(f"DISCORD_PUBLIC_KEY={emulator.public_key}  (only for HTTP interactions)")
        print(f"control: {emulator.base}/control/…", flush=True)
        await asyncio.Event().wait()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--port", type=int, default=8787)
    parser.add_argument("--token", default="emulated-bot-token")
    arguments = parser.parse_args()
    try:
        asyncio.run(_serve(arguments.port, arguments.token))
    except KeyboardInterrupt:
        return


if __name__ == "__main__":
    main()
