"""One plain look at Discord with the configured token, for `doctor` and `invite`; no gateway, no library client."""

import asyncio
from typing import Any, Literal

import aiohttp

from adapters.discord.settings import Settings

LIMIT_S = 9.0
USER_AGENT = "DiscordBot (https://github.com/, 0.1)"
Trouble = Literal["refused", "unreachable"]


async def look(settings: Settings, path: str) -> dict[str, Any] | Trouble:
    """The JSON answer of a GET with the bot token; `refused` for a wrong token, `unreachable` for anything else."""
    headers = {"Authorization": f"Bot {settings.token}", "User-Agent": USER_AGENT}
    try:
        async with (
            asyncio.timeout(LIMIT_S),
            aiohttp.ClientSession(headers=headers) as session,
            session.get(f"{settings.discord_api_url}{path}") as response,
        ):
            if response.status in (401, 403):
                return "refused"
            if response.status != 200:
                return "unreachable"
            found = await response.json()
            return found if isinstance(found, dict) else "unreachable"
    except (aiohttp.ClientError, OSError, TimeoutError, ValueError):
        return "unreachable"


async def application(settings: Settings) -> dict[str, Any] | Trouble:
    return await look(settings, "/oauth2/applications/@me")
