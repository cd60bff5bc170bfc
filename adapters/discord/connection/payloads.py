"""Leaves out of Discord's messages what nobody here reads, because the library (2.7.1) stops at any field that is odd.

A poll that never expires, a reaction without an emoji, an application without an icon: each made a message with a
picture unreadable. What is read is tried one by one, so that one odd sticker does not hide the picture beside it.
"""

from collections.abc import Callable, Mapping
from typing import Any, TypeAlias

import discord
from discord.components import _component_factory
from discord.sticker import StickerItem

Payload: TypeAlias = dict[str, Any]
UNREADABLE = (LookupError, TypeError, ValueError, AttributeError)
"""What the library raises for a payload that is not as it expects."""

_READ = ("id", "channel_id", "guild_id", "author", "member", "type", "timestamp", "flags", "webhook_id")
_FIXED: Payload = {"tts": False, "mention_everyone": False, "pinned": False, "edited_timestamp": None, "mentions": []}
_FILE = {"size": 0, "proxy_url": "", "filename": "image"}


def readable(message: Mapping[str, Any], state: Any) -> Payload:
    """A message, also one that is answered or forwarded in it, with nothing in it that cannot be read."""
    kept = {name: message[name] for name in _READ if message.get(name) is not None}
    kept |= {**_FIXED, "content": str(message.get("content") or "")}
    files = [{**_FILE, **one} for one in message.get("attachments") or ()]
    kept["attachments"] = _each(files, lambda one: discord.Attachment(data=one, state=state))
    kept["embeds"] = _each(message.get("embeds"), discord.Embed.from_dict)
    kept["components"] = _each(message.get("components"), lambda one: _component_factory(one, state))
    kept["sticker_items"] = _each(message.get("sticker_items"), lambda one: StickerItem(data=one, state=state))
    snapshots = [one.get("message") for one in message.get("message_snapshots") or ()]
    kept["message_snapshots"] = [{"message": readable(one, state)} for one in snapshots if one]
    if message.get("message_reference"):
        kept["message_reference"] = message["message_reference"]
        if message.get("referenced_message"):
            kept["referenced_message"] = readable(message["referenced_message"], state)
    return kept


def clean_interaction(payload: Payload, state: Any) -> None:
    """Make the messages of an interaction readable, in place: the one with the button, those that a menu is about."""
    if isinstance(payload.get("message"), dict):
        payload["message"] = readable(payload["message"], state)
    data = payload.get("data")
    resolved = data.get("resolved") if isinstance(data, dict) else None
    messages: Payload = (resolved.get("messages") if isinstance(resolved, dict) else None) or {}
    for number, message in messages.items():
        messages[number] = readable(message, state)


def _each(items: Any, read: Callable[[Any], object]) -> list[Payload]:
    kept = []
    for one in items or ():
        try:
            read(one)
        except UNREADABLE:
            continue
        kept.append(one)
    return kept
