"""The nearest picture above a mention in a thread, where the workspace lets us read that kind of channel."""

from __future__ import annotations

from typing import Any

from adapters.slack.inbound.message_images import pictures_of
from adapters.slack.inbound.translate import Where
from adapters.slack.outbound.api_client import SlackApi
from adapters.slack.setup.installations import Installs

HISTORY_SCOPES = {"channel": "channels:history", "group": "groups:history", "im": "im:history"}
PAGE = 200
MAX_PAGES = 5
WAIT_S = 1.2
"""Slack allows one such call a minute to some apps; nobody waits for that."""


async def nearest_above(api: SlackApi, where: Where, ts: str, installs: Installs) -> list[dict[str, Any]]:
    """The pictures of the last message before `ts` in the thread that has any and is not ours. Raises SlackError."""
    install = installs.cached(where.team_id, where.enterprise_id)
    ours = install.bot_user_id if install is not None else ""
    found: list[dict[str, Any]] = []
    cursor = ""
    for _ in range(MAX_PAGES):
        page = await api.call(
            where.team,
            "conversations.replies",
            max_wait_s=WAIT_S,
            channel=where.channel_id,
            ts=where.thread_ts,
            latest=ts,
            limit=PAGE,
            cursor=cursor or None,
        )
        for message in page.get("messages") or ():
            if message.get("ts") != ts and message.get("user") != ours:
                found = pictures_of(message) or found
        cursor = str((page.get("response_metadata") or {}).get("next_cursor") or "")
        if not cursor:
            break
    return found
