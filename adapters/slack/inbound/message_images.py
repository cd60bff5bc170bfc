"""Every picture that a person sees in a message: files, forwarded messages, image blocks, unfurled links. Pure.

What a file is, its bytes say later: nothing is left out for its name or declared type, so that a PDF is named, too.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

MOST_FOUND = 100
MAX_DEPTH = 4
"""A forwarded message may hold a forwarded message; Slack itself nests no deeper than twice."""

GONE = frozenset({"tombstone"})


def pictures_of(message: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Files (`id`) and addresses (`link`) in the order in which they are seen, each once."""
    found: dict[str, dict[str, Any]] = {}
    for picture in _seen(message, 0):
        found.setdefault(str(picture.get("id") or picture.get("link")), picture)
        if len(found) >= MOST_FOUND:
            break
    return list(found.values())


def _seen(part: Mapping[str, Any], depth: int) -> Iterator[dict[str, Any]]:
    if depth > MAX_DEPTH:
        return
    for file in _items(part.get("files")):
        if file.get("id") and file.get("mode") not in GONE:
            yield dict(file)
    for block in _items(part.get("blocks")):
        yield from _in_block(block)
    for attachment in _items(part.get("attachments")):
        yield from _seen(attachment, depth + 1)
        for quoted in _items(attachment.get("message_blocks")):
            inner = quoted.get("message")
            if isinstance(inner, Mapping):
                yield from _seen(inner, depth + 1)
        if link := attachment.get("image_url") or attachment.get("thumb_url"):
            yield _address(link, str(attachment.get("title") or attachment.get("fallback") or ""))


def _in_block(block: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    shown = block.get("accessory") if block.get("type") == "section" else block
    if not isinstance(shown, Mapping) or shown.get("type") != "image":
        return
    title = shown.get("title")
    name = str((title.get("text") if isinstance(title, Mapping) else "") or shown.get("alt_text") or "")
    file = shown.get("slack_file")
    if isinstance(file, Mapping) and file.get("id"):
        yield {"id": str(file["id"]), "name": name}
    elif link := (file.get("url") if isinstance(file, Mapping) else shown.get("image_url")):
        yield _address(link, name)


def _address(link: Any, name: str) -> dict[str, Any]:
    return {"link": str(link), "name": name[:80]}


def _items(value: Any) -> list[Mapping[str, Any]]:
    return [item for item in value if isinstance(item, Mapping)] if isinstance(value, list) else []
