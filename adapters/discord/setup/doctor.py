"""Read-only checks for `doctor` with the configured token, and the credentials that `setup` asks for.

Checks the token, how events arrive, and the IDENTIFYs that are left. Uses neither the gateway nor discord.py's client.
"""

import asyncio
from collections.abc import Iterator, Sequence
from typing import Any, Literal

import aiohttp

from adapters.discord.connection.http_interactions import PATH
from adapters.discord.settings import Settings
from adapters.discord.setup.permissions import ADMINISTRATOR, SERVER_SCOPES, permissions
from core.ports import Credential, Finding

TIMEOUT_S = 9.0
USER_AGENT = "DiscordBot (https://github.com/, 0.1)"
ApiFailure = Literal["refused", "unreachable"]


async def api_get(settings: Settings, path: str) -> dict[str, Any] | ApiFailure:
    """The JSON of a GET with the bot token; `refused` for a wrong token, `unreachable` for any other failure."""
    headers = {"Authorization": f"Bot {settings.token}", "User-Agent": USER_AGENT}
    try:
        async with (
            asyncio.timeout(TIMEOUT_S),
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


async def fetch_application(settings: Settings) -> dict[str, Any] | ApiFailure:
    return await api_get(settings, "/applications/@me")


LOW_IDENTIFIES = 50
PRIVILEGED_INTENTS = 0b1100_1111 << 12
"""Application flags for presences, members and message content, for apps of few and of many servers."""


async def examine(settings: Settings, public_url: str | None) -> Sequence[Finding]:
    """Findings about the configured credentials, within about ten seconds. Never raises for network errors."""
    found = await fetch_application(settings)
    if found == "refused":
        fix = "Copy the token again from the developer portal (Bot → Reset Token) into DISCORD_TOKEN."
        return [Finding("problem", "Discord refuses DISCORD_TOKEN.", fix)]
    if not isinstance(found, dict):
        fix = "Check this machine's way to the internet, or DISCORD_API_URL."
        return [Finding("problem", "Discord cannot be reached.", fix)]
    findings = [Finding("ok", f"Discord: signed in as {found.get('name', 'the application')}.")]
    findings += [_installs(found), *_lacks(found)]
    if found.get("bot_public"):
        what = "Discord: anybody can add it to their server; ALLOWED_WORKSPACES says whose upscales you pay for."
        findings.append(Finding("ok", what, "Developer portal → Bot → untick Public Bot, to keep it to yourself."))
    findings.append(_ingress(settings, found, public_url))
    if settings.discord_public_key is None:
        findings += await _gateway(settings)
    return findings


def _installs(found: dict[str, Any]) -> Finding:
    kinds = found.get("integration_types_config")
    if not isinstance(kinds, dict) or {"0", "1"} <= set(kinds):
        return Finding("ok", "Discord: servers and single accounts can install it; `invite` prints both links.")
    missing = "single accounts" if "1" not in kinds else "servers"
    fix = "Developer portal → Installation → tick both installation contexts."
    return Finding("warning", f"Discord: {missing} cannot install it.", fix)


def _lacks(found: dict[str, Any]) -> Iterator[Finding]:
    """What the portal's settings keep from the bot, and what they give it without need."""
    if found.get("bot_require_code_grant"):
        fix = "Developer portal → Bot → untick Requires OAuth2 Code Grant."
        yield Finding("problem", "Discord: nobody can add it, since the application requires a code grant.", fix)
    kinds = found.get("integration_types_config")
    in_servers = kinds.get("0") if isinstance(kinds, dict) else None
    if default := (in_servers or {}).get("oauth2_install_params"):
        granted = int(default.get("permissions") or 0)
        named = [one.name for one in permissions() if not granted & (one.bit | ADMINISTRATOR)]
        missing = [f"the scope {one}" for one in SERVER_SCOPES if one not in default.get("scopes", ())] + named
        if missing:
            what = f"Discord: its “Add App” button installs it in servers without {', '.join(missing)}."
            yield Finding("warning", what, "Developer portal → Installation → Default Install Settings: add these.")
    if int(found.get("flags") or 0) & PRIVILEGED_INTENTS:
        fix = "Developer portal → Bot → untick all Privileged Gateway Intents."
        yield Finding("ok", "Discord: privileged intents are on; the bot never asks for one.", fix)


def _ingress(settings: Settings, found: dict[str, Any], public_url: str | None) -> Finding:
    """Check that the portal and our settings agree on gateway or HTTP; otherwise no event arrives."""
    address, key = found.get("interactions_endpoint_url"), settings.discord_public_key
    if key is None and address:
        fix = "Empty “Interactions Endpoint URL” in the developer portal, or set DISCORD_PUBLIC_KEY."
        return Finding("problem", "Discord sends events to an HTTP address, but the bot listens on the gateway.", fix)
    if key is None:
        return Finding("ok", "Discord: events come over the gateway.")
    if key.lower() != str(found.get("verify_key", key)).lower():
        fix = "Copy “Public Key” from the developer portal (General Information) again."
        return Finding("problem", "DISCORD_PUBLIC_KEY is not this application's key.", fix)
    if not address:
        where = f"{public_url.rstrip('/')}{PATH}" if public_url else f"your public address followed by {PATH}"
        fix = f"Start the bot, then put {where} as “Interactions Endpoint URL” into the developer portal."
        return Finding("warning", "Discord does not know yet where to send events over HTTP.", fix)
    return Finding("ok", "Discord: events come over HTTP.")


async def _gateway(settings: Settings) -> list[Finding]:
    found = await api_get(settings, "/gateway/bot")
    if not isinstance(found, dict):
        return [Finding("warning", "Discord: the gateway's address could not be read.", "Try again in a minute.")]
    left = found.get("session_start_limit", {}).get("remaining", LOW_IDENTIFIES)
    if left < LOW_IDENTIFIES:
        fix = "Find out why the bot restarts so often; at zero Discord resets the token."
        return [Finding("warning", f"Discord: only {left} starts are left today.", fix)]
    return [Finding("ok", f"Discord: the gateway answers; {found.get('shards', 1)} shard(s) recommended.")]


def credentials(settings: Settings, public_url: str | None) -> tuple[Credential, ...]:
    """The bot token. No privileged intent is needed."""
    steps = (
        "Open https://discord.com/developers/applications and press New Application.",
        "Installation: tick User Install and Guild Install.",
        "Bot: press Reset Token and copy the token; Discord shows it only once.",
        "Leave all three privileged intents off; they are not needed.",
    )
    return (Credential("DISCORD_TOKEN", "the bot token", steps),)
