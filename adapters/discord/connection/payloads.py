"""Reduces Discord's messages to the fields that we use, because the library (2.7.1) fails on any unexpected field.

A poll that never expires, a reaction without an emoji, an application without an icon: each made a message with a
picture unreadable. Each part is parsed by itself, so that one odd sticker does not hide the picture beside it. A
picture that cannot be parsed stays as an attachment without a URL, so that its name can be shown.
"""

from collections.abc import Callable, Iterator, Mapping
from typing import Any, TypeAlias

import discord
from discord.components import _component_factory
from discord.sticker import StickerItem

from adapters.discord.inbound.message_images import name_of
from core.domain.untrusted_text import Shape, clean_json, clean_line, has_shape

Payload: TypeAlias = dict[str, Any]
PARSE_ERRORS = (LookupError, TypeError, ValueError, AttributeError, RecursionError)
"""What the library raises for a payload of an unexpected shape."""

_KEPT_FIELDS = ("id", "channel_id", "guild_id", "author", "member", "type", "timestamp", "flags", "webhook_id")
_UNUSED: Payload = {"tts": False, "mention_everyone": False, "pinned": False, "edited_timestamp": None, "mentions": []}
_EMPTY_FILE: Payload = {"id": 0, "size": 0, "url": "", "proxy_url": "", "filename": "image"}
_KEPT_FILE_FIELDS = (*_EMPTY_FILE, "content_type", "width", "height")

_FILE: Shape = {"filename": str, "url": str, "content_type": str, "size": int, "width": int, "height": int}
_USER: Shape = {"username": str, "global_name": str}
_SHAPE: Shape = {
    "user": _USER, "member": {"user": _USER, "nick": str}, "locale": str, "token": str,
    "data": {"custom_id": str, "name": str, "options": [dict], "components": [dict], "values": list},
}  # fmt: skip
_STRING_OPTION = 3


def readable_message(message: Mapping[str, Any], state: Any) -> Payload:
    """The message with only what the library can parse, also in messages that it answers or forwards."""
    kept = {name: message[name] for name in _KEPT_FIELDS if message.get(name) is not None}
    kept |= {**_UNUSED, "content": str(message.get("content") or "")}
    lost: list[str] = []
    kept["embeds"] = _parseable(message.get("embeds"), discord.Embed.from_dict, lost)
    kept["components"] = _parseable(message.get("components"), lambda one: _component_factory(one, state), lost)
    stickers = message.get("sticker_items")
    kept["sticker_items"] = _parseable(stickers, lambda one: StickerItem(data=one, state=state), lost)
    files = [*(message.get("attachments") or ()), *({"filename": name} for name in lost)]
    kept["attachments"] = [_file(one, state) for one in files]
    snapshots = [one.get("message") for one in message.get("message_snapshots") or ()]
    kept["message_snapshots"] = [{"message": readable_message(one, state)} for one in snapshots if one]
    if message.get("message_reference"):
        kept["message_reference"] = message["message_reference"]
        if message.get("referenced_message"):
            kept["referenced_message"] = readable_message(message["referenced_message"], state)
    return kept


def clean_interaction(payload: Payload, state: Any) -> None:
    """Make the messages and attachments of an interaction parseable, in place.

    Raises one of PARSE_ERRORS when the acting user or the command's options cannot be parsed.
    """
    payload |= clean_json(payload)
    for name in [name for name, value in payload.items() if value is None]:
        del payload[name]  # the library serves it missing, and stops at null
    payload |= {"entitlements": [], "version": 1}  # read by nobody here
    actor = "member" if int(payload.get("guild_id") or 0) else "user"
    if not has_shape(payload, _SHAPE) or not payload.get(actor) or not 0 <= int(payload["id"]) < 1 << 63:
        raise TypeError("an interaction that Discord does not send")
    _check_options((payload.get("data") or {}).get("options"))
    if isinstance(payload.get("message"), dict):
        payload["message"] = readable_message(payload["message"], state)
    data = payload.get("data")
    resolved = data.get("resolved") if isinstance(data, dict) else None
    if isinstance(resolved, dict):
        for kind, read in (("messages", readable_message), ("attachments", _file)):
            for number, one in (resolved.get(kind) or {}).items():
                resolved[kind][number] = read(one, state)


def _check_options(options: Any) -> None:
    for option in options or ():
        if option.get("type") == _STRING_OPTION and not isinstance(option.get("value"), str):
            raise TypeError("a text that is none")
        _check_options(option.get("options"))


def _file(file: Any, state: Any) -> Payload:
    """The file with as many fields as can be parsed; without a URL when only its name can be."""
    given = {name: value for name, value in file.items() if value is not None} if isinstance(file, Mapping) else {}
    if isinstance(given.get("filename"), str):
        given["filename"] = clean_line(given["filename"])
    whole, known = _EMPTY_FILE | given, _EMPTY_FILE | {name: given[name] for name in _KEPT_FILE_FIELDS if name in given}

    def read(data: Any) -> None:
        discord.Attachment(data=data, state=state).is_spoiler()

    for one in (whole, known):
        if one["url"] and has_shape(one, _FILE) and _is_parseable(one, read):
            return one
    return _EMPTY_FILE | {"filename": str(given.get("filename") or "")}


def _parseable(items: Any, read: Callable[[Any], object], lost: list[str]) -> list[Payload]:
    """The items that the library can parse; the names of pictures in the others are added to `lost`."""
    kept = []
    for one in items or ():
        if _is_parseable(one, read):
            kept.append(one)
        else:
            lost += _media_names(one)
    return kept


def _is_parseable(one: Any, read: Callable[[Any], object]) -> bool:
    try:
        read(one)
    except PARSE_ERRORS:
        return False
    return True


def _media_names(part: Any) -> Iterator[str]:
    """The names of the media in an embed or component, at any depth."""
    for key, value in part.items() if isinstance(part, Mapping) else enumerate(part) if isinstance(part, list) else ():
        if key in ("media", "image", "thumbnail") and isinstance(value, Mapping):
            yield name_of(str(value.get("url") or ""))
        else:
            yield from _media_names(value)
