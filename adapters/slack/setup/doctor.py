"""Slack's checks for `doctor`: tokens, scopes, and whether events can arrive. Read-only."""

import asyncio
from collections.abc import Sequence

import aiohttp
from slack_sdk.errors import SlackApiError

from adapters.slack.connection.log_redaction import web_client
from adapters.slack.outbound.api_client import scopes_of
from adapters.slack.outbound.errors import code_of
from adapters.slack.settings import TOKEN_FIX, Settings, secret
from adapters.slack.setup.manifest import BOT_SCOPES
from core.ports import Finding

LIMIT_S = 9.0


async def examine(settings: Settings, public_url: str | None) -> Sequence[Finding]:
    """Check the configured credentials. Errors of Slack and of the network become findings."""
    try:
        async with asyncio.timeout(LIMIT_S), aiohttp.ClientSession() as session:
            found = await _bot(settings, session)
            found += await _transport(settings, session, public_url)
            return found
    except (TimeoutError, aiohttp.ClientError, OSError):
        fix = "Check this machine's way to the internet, or SLACK_API_URL."
        return [Finding("problem", "Slack cannot be reached.", fix)]


async def _bot(settings: Settings, session: aiohttp.ClientSession) -> list[Finding]:
    token = secret(settings.slack_bot_token)
    if not token:
        return [Finding("ok", "Slack: workspaces install it themselves at /slack/install.", "")]
    try:
        answer = await web_client(session, settings.slack_api_url, token).auth_test()
    except SlackApiError as error:
        return [Finding("problem", f"Slack refuses SLACK_BOT_TOKEN ({code_of(error)}).", TOKEN_FIX["SLACK_BOT_TOKEN"])]
    found = [Finding("ok", f"Slack: signed in to {answer.get('team')} as {answer.get('user')}.", "")]
    granted = scopes_of(answer)
    missing = [scope for scope in BOT_SCOPES if scope not in granted]
    if granted and missing:
        fix = "Paste the output of `python -m bot slack-manifest` into the app's manifest and install the app again."
        found.append(Finding("problem", f"Slack: scopes are missing: {', '.join(missing)}.", fix))
    elif granted:
        found.append(Finding("ok", "Slack: every scope is granted.", ""))
    return found


async def _transport(settings: Settings, session: aiohttp.ClientSession, public_url: str | None) -> list[Finding]:
    if not settings.socket_mode:
        if public_url:
            return [Finding("ok", f"Slack: events are expected at {public_url.rstrip('/')}/slack/events.", "")]
        fix = "Set PUBLIC_URL to the address under which Slack reaches this server, and use it in the manifest."
        return [Finding("warning", "Slack: HTTP mode without PUBLIC_URL.", fix)]
    try:
        await web_client(session, settings.slack_api_url).apps_connections_open(
            app_token=secret(settings.slack_app_token)
        )
    except SlackApiError as error:
        return [Finding("problem", f"Slack refuses SLACK_APP_TOKEN ({code_of(error)}).", TOKEN_FIX["SLACK_APP_TOKEN"])]
    return [Finding("ok", "Slack: Socket Mode works.", "")]
