"""Puts the emulator together and serves it on one loopback port."""

from __future__ import annotations

import asyncio
import tempfile
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

from aiohttp import web
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from tests.emulators.discord.cdn import Cdn
from tests.emulators.discord.clock import Clock
from tests.emulators.discord.faults import Fault
from tests.emulators.discord.gateway import Gateway
from tests.emulators.discord.limits import Limits
from tests.emulators.discord.members import Members
from tests.emulators.discord.posts import Posts
from tests.emulators.discord.request_entry import PREFIX, Record
from tests.emulators.discord.rest import Rest
from tests.emulators.discord.webhooks import Webhooks
from tests.emulators.discord.world import DEFAULT_FILE_LIMIT_BYTES, World
from tests.served import served


class DiscordEmulator(Members):
    """`async with DiscordEmulator() as discord:` — then point the bot at `discord.api_url` with `discord.token`.

    `requests` is the record of everything asked; `violations` lists what broke Discord's schema or rules;
    `posts.warnings` what Discord takes but no member sees.
    """

    def __init__(self, token: str = "emulated-bot-token") -> None:
        self.token = token
        self.clock = Clock()
        self._directory = tempfile.TemporaryDirectory(prefix="discord-emulator-")
        self.world = World(self.clock, Path(self._directory.name))
        self.cdn = Cdn(self.world)
        self.posts = Posts(self.world, self.cdn)
        self.webhooks = Webhooks(self.world, self.posts)
        self.limits = Limits(self.clock)
        self.gateway = Gateway(self)
        self.faults: list[Fault] = []
        self.requests: list[Record] = []
        self.violations: list[str] = []
        self.default_file_limit_bytes = DEFAULT_FILE_LIMIT_BYTES
        # Discord itself names no character set; a proxy in between may.
        self.json_type = "application/json"
        # Whether a reply that mentions the bot carries what the message replied to says, too.
        self.referenced_visible = True
        self.signing_key = Ed25519PrivateKey.generate()
        self.interactions_endpoint: str | None = None
        self._life = AsyncExitStack()
        self.change = asyncio.Event()
        self.base = ""
        super().__init__()

    @property
    def api_url(self) -> str:
        return f"{self.base}{PREFIX}"

    def env(self) -> dict[str, str]:
        """The settings that point the bot at this emulator."""
        return {"DISCORD_TOKEN": self.token, "DISCORD_API_URL": self.api_url}

    @property
    def public_key(self) -> str:
        """The application's Ed25519 key in hex, as the developer portal shows it."""
        return self.signing_key.public_key().public_bytes_raw().hex()

    def application(self) -> dict[str, Any]:
        return {
            "id": str(self.world.application_id),
            "name": "Upscale",
            "description": "",
            "icon": None,
            "bot_public": True,
            "bot_require_code_grant": False,
            "owner": self.world.owner.data(),
            "team": self.world.team,
            "verify_key": self.public_key,
            "flags": 0,
            "interactions_endpoint_url": self.interactions_endpoint,
            "integration_types_config": {"0": {}, "1": {}},
            "approximate_guild_count": len(self.world.guilds),
            "approximate_user_install_count": 0,
        }

    async def __aenter__(self) -> DiscordEmulator:
        rest = Rest(self)
        app = web.Application(middlewares=[rest.middleware], client_max_size=64 * 1024 * 1024)
        app.add_routes(rest.routes())
        app.add_routes(self.gateway.routes())
        app.add_routes(self.cdn.routes())
        serving = served(app, handler_cancellation=False, shutdown_timeout=1.0)
        self.base = self.cdn.base = await self._life.enter_async_context(serving)
        self.gateway.url = f"ws{self.base.removeprefix('http')}/gateway-socket"
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.gateway.close()
        await self.close_members()
        await self._life.aclose()
        self._directory.cleanup()

    def changed(self) -> None:
        """Wake everybody who waits for something to be seen."""
        self.change.set()
        self.change = asyncio.Event()
