"""Every picture that a person sees in a message: files, forwarded messages, image blocks, unfurled links. Pure.

What a file is, its bytes say later: nothing is left out for its name or declared type, so that a PDF is named, too.
"""

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
        if file.get("id") and str(file.get("mode")) not in GONE:
            yield dict(file)
    for block in _items(part.get("blocks")):
        yield from _in_block(block, 0)
    for attachment in _items(part.get("attachments")):
        yield from _seen(attachment, depth + 1)
        for quoted in _items(attachment.get("message_blocks")):
            inner = quoted.get("message")
            if isinstance(inner, Mapping):
                yield from _seen(inner, depth + 1)
        if link := attachment.get("image_url") or attachment.get("thumb_url"):
            yield _address(link, str(attachment.get("title") or attachment.get("fallback") or ""))


def _in_block(block: Mapping[str, Any], depth: int) -> Iterator[dict[str, Any]]:
    """Image blocks, pictures beside text, and those of cards, also within carousels and containers."""
    if depth > MAX_DEPTH:
        return
    shown = [block] if block.get("type") == "image" else _items([block.get("accessory"), block.get("hero_image")])
    for picture in shown:
        title = picture.get("title")
        name = str((title.get("text") if isinstance(title, Mapping) else "") or picture.get("alt_text") or "")
        file = picture.get("slack_file")
        if isinstance(file, Mapping) and file.get("id"):
            yield {"id": str(file["id"]), "name": name}
        elif link := (file.get("url") if isinstance(file, Mapping) else picture.get("image_url")):
            yield _address(link, name)
    if block.get("type") in ("carousel", "container"):
        for inner in _items(block.get("elements")) + _items(block.get("child_blocks")):
            yield from _in_block(inner, depth + 1)


def _address(link: Any, name: str) -> dict[str, Any]:
    return {"link": str(link), "name": name[:80]}


def _items(value: Any) -> list[Mapping[str, Any]]:
    return [item for item in value if isinstance(item, Mapping)] if isinstance(value, list) else []
