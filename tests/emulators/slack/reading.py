"""What a member reads in a message or view, what can be pressed in it, and whom it would notify."""

import re
from typing import Any

from tests.emulators.slack.world import Message, View

# A date is markup that notifies nobody.
PING = re.compile(r"<(?:@|#|!(?!date))[^>]+>")


def find_element(blocks: list[dict[str, Any]], action_id: str) -> tuple[str, dict[str, Any]]:
    """(block_id, element) of the interactive element whose action_id is or starts with `action_id`."""
    seen: list[str] = []
    for number, block in enumerate(blocks):
        candidates = list(block.get("elements") or [])
        candidates += [block[k] for k in ("accessory", "element") if isinstance(block.get(k), dict)]
        for element in candidates:
            name = element.get("action_id") if isinstance(element, dict) else None
            if name and (name == action_id or name.startswith(action_id)):
                return str(block.get("block_id") or f"b{number}"), element
            if name:
                seen.append(name)
    raise AssertionError(f"no element {action_id!r}; there are {seen}")


def text_of(message: Message | View) -> str:
    """All words a member reads in a message or view, one line per text, in order."""
    lines: list[str] = []
    blocks: list[dict[str, Any]]
    if isinstance(message, View):
        blocks = message.body.get("blocks", [])
    else:
        blocks = message.blocks
        if not blocks:
            lines.append(message.text)
        if message.stream:
            lines.append(message.markdown_text)
            for task_id in message.stream.order:
                task = message.stream.tasks[task_id]
                lines.append(" | ".join(str(task[k]) for k in ("title", "status", "details", "output") if task.get(k)))
    _walk(blocks, lines)
    return "\n".join(line for line in lines if line)


def _walk(node: Any, lines: list[str]) -> None:
    if isinstance(node, list):
        if node and all(
            isinstance(n, dict) and "text" in n and n.get("type") in ("text", "link", "emoji") for n in node
        ):
            lines.append("".join(str(n.get("text", "")) for n in node))
            return
        for item in node:
            _walk(item, lines)
    elif isinstance(node, dict):
        if isinstance(node.get("text"), str):
            lines.append(node["text"])
        for key, value in node.items():
            if key not in ("text",) or not isinstance(value, str):
                _walk(value, lines)


def mentions(blocks: list[dict[str, Any]], text: str = "") -> list[str]:
    """Every mention in `blocks` and `text` that would notify somebody; plain_text never does."""
    pings: list[str] = []

    def walk(node: Any) -> None:
        if isinstance(node, list):
            for item in node:
                walk(item)
        elif isinstance(node, dict):
            if node.get("type") == "mrkdwn" or (node.get("type") == "markdown"):
                pings.extend(PING.findall(str(node.get("text", ""))))
            if node.get("type") in ("user", "usergroup", "broadcast", "channel") and "text" not in node:
                pings.append(str(node))
            for value in node.values():
                walk(value)

    walk(blocks)
    pings.extend(PING.findall(text))
    return pings
