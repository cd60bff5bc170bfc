"""One picture or file of the bot's own making (comparison, chart, export) into a conversation. Not for results."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from adapters.slack.outbound.api_client import SlackApi, Team
from adapters.slack.outbound.uploads import Upload, Uploader
from adapters.slack.views import blocks as b
from adapters.slack.views.blocks import Content


@dataclass(frozen=True, slots=True)
class Picture:
    """A picture to show, with the words that stand for it."""

    path: Path
    name: str
    alt: str
    bytes: int
    title: str = ""


async def _forgotten(_: dict[str, Any]) -> None:
    """These uploads are not carried on after a crash: whoever asked presses again."""


async def send_picture(
    api: SlackApi, uploader: Uploader, team: Team, channel: str, thread_ts: str, picture: Picture, words: Content
) -> tuple[str, str]:
    """Upload, wait until Slack can show it, and post it above `words`; the message's ts and the file's id."""
    upload = Upload(picture.path, picture.name, picture.name, picture.alt, picture.bytes)
    file_id = await uploader.send(team, upload, {}, _forgotten)
    await uploader.wait_processed(team, file_id)
    content = Content(words.text, [b.image(file_id, picture.alt, picture.title), *words.blocks])
    answer = await api.call(
        team,
        "chat.postMessage",
        channel=channel,
        thread_ts=thread_ts or None,
        unfurl_links=False,
        unfurl_media=False,
        **content.as_args(),
    )
    return str(answer["ts"]), file_id


async def send_file(uploader: Uploader, team: Team, channel: str, picture: Picture) -> str:
    """Upload a file straight into a conversation."""
    upload = Upload(picture.path, picture.name, picture.name, picture.alt, picture.bytes, channel)
    return await uploader.send(team, upload, {}, _forgotten)


async def direct_channel(api: SlackApi, team: Team, user_id: str) -> str:
    """The direct message with a member."""
    opened = await api.call(team, "conversations.open", users=user_id)
    return str((opened.get("channel") or {}).get("id") or user_id)
