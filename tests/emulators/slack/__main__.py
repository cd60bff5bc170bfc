"""`python -m tests.emulators.slack --port N`: run the emulator alone and print the variables that point a bot at it."""

import argparse
import asyncio
import contextlib

from tests.emulators.slack.server import SlackEmulator


async def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--port", type=int, default=0)
    parser.add_argument("--http-target", help="deliver by signed HTTP to this URL instead of Socket Mode")
    parser.add_argument("--no-tiers", action="store_true", help="no rate limits")
    options = parser.parse_args()
    async with SlackEmulator(port=options.port, tiers=not options.no_tiers, processing_s=0.5) as slack:
        slack.http_target = options.http_target
        print(f"SLACK_API_URL={slack.api_url}")
        print("SLACK_BOT_TOKEN=xoxb-acme-bot-token")
        print(f"SLACK_APP_TOKEN={slack.app_token}")
        print(f"SLACK_SIGNING_SECRET={slack.signing_secret}")
        print(f"SLACK_CLIENT_ID={slack.client_id}\nSLACK_CLIENT_SECRET={slack.client_secret}")
        print(f"TRUSTED_FILE_HOSTS={','.join(slack.file_hosts)}")
        print(f"# control: {slack.base_url}/_emulator/info", flush=True)
        await asyncio.Event().wait()


if __name__ == "__main__":
    with contextlib.suppress(KeyboardInterrupt):
        asyncio.run(main())
