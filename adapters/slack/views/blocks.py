"""Constructors for Block Kit elements. Pure.

Text of members and of the model goes only into plain_text and rich_text, which have no markup and notify nobody; the
top-level `text` is escaped. Limits: Block Kit reference, read 2026-11-22.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, Literal

from core.presentation import cut
from core.presentation.card import Option

Block = dict[str, Any]

TEXT_MAX_CHARS = 3000
CONTEXT_MAX_CHARS = 2000
BUTTON_MAX_CHARS = 75
OPTION_MAX_CHARS = 75
TITLE_MAX_CHARS = 24
ALT_MAX_CHARS = 2000
NOTIFICATION_MAX_CHARS = 1000
_OPEN_END = re.compile(r"(&[a-z]{0,3}|<[^>]{0,40})$")
"""An escape or mention that was cut in half at the end of a notification."""


@dataclass(frozen=True, slots=True)
class Content:
    """A message: escaped `text` for notifications and screen readers, and the blocks."""

    text: str
    blocks: list[Block] = field(default_factory=list)

    def as_args(self) -> dict[str, Any]:
        return {"text": _OPEN_END.sub("", self.text[:NOTIFICATION_MAX_CHARS]), "blocks": self.blocks}


def escaped(text: str) -> str:
    """Text for a mrkdwn field: the three characters that Slack asks to escape (docs: formatting, read 2026-11-22)."""
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")


def plain(text: str, most: int = TEXT_MAX_CHARS) -> Block:
    """A plain_text object. Slack refuses empty ones, so an empty text becomes a no-break space."""
    return {"type": "plain_text", "text": cut(text, most) or "\u00a0", "emoji": False}


def context(*lines: str) -> Block | None:
    """Small grey lines; None if all are empty."""
    text = "\n".join(line for line in lines if line)
    return {"type": "context", "elements": [plain(text, CONTEXT_MAX_CHARS)]} if text else None


# ---------------------------------------------------------------------- rich text


def text_run(text: str, *, bold: bool = False, code: bool = False) -> Block:
    style = {name: True for name, on in (("bold", bold), ("code", code)) if on}
    return {"type": "text", "text": cut(text, TEXT_MAX_CHARS)} | ({"style": style} if style else {})


def emoji(name: str) -> Block:
    """An emoji inside rich_text, only for use beside text with the same meaning."""
    return {"type": "emoji", "name": name}


def clock_time(unix_s: float, *, pattern: str = "{time_secs}") -> Block:
    """A time that each client shows in its member's time zone."""
    text = datetime.fromtimestamp(unix_s, UTC).strftime("%Y-%m-%d %H:%M UTC")
    return {"type": "date", "timestamp": int(unix_s), "format": pattern, "fallback": text}


def rich(*lines: Sequence[Block]) -> Block:
    elements: list[Block] = []
    for number, line in enumerate(lines):
        if number:
            elements.append(text_run("\n"))
        elements.extend(line)
    return {"type": "rich_text", "elements": [{"type": "rich_text_section", "elements": elements}]}


def quote(text: str) -> Block:
    return {"type": "rich_text", "elements": [{"type": "rich_text_quote", "elements": [text_run(text)]}]}


# ------------------------------------------------------------------------ elements


def button(
    label: str,
    action_id: str,
    *,
    value: str = "",
    style: Literal["", "primary", "danger"] = "",
    url: str = "",
    confirm: Block | None = None,
) -> Block:
    out: Block = {"type": "button", "text": plain(label, BUTTON_MAX_CHARS), "action_id": action_id}
    more = {"value": value, "style": style, "url": url, "confirm": confirm}
    return out | {name: given for name, given in more.items() if given}


def checkboxes(action_id: str, options: Sequence[Option]) -> Block:
    """At most ten (docs: checkboxes element, read 2026-11-22)."""
    shown = [
        {"text": plain(one.label, OPTION_MAX_CHARS), "value": one.value}
        | ({"description": plain(one.description, OPTION_MAX_CHARS)} if one.description else {})
        for one in options
    ]
    return {"type": "checkboxes", "action_id": action_id, "options": shown}


def confirmation(title: str, text: str, yes: str, no: str) -> Block:
    return {
        "title": plain(title, 100),
        "text": plain(text, 300),
        "confirm": plain(yes, 30),
        "deny": plain(no, 30),
    }


def actions(*elements: Block | None) -> Block | None:
    shown = [element for element in elements if element]
    return {"type": "actions", "elements": shown} if shown else None


def image(file_id: str, alt: str, title: str = "") -> Block:
    out: Block = {"type": "image", "slack_file": {"id": file_id}, "alt_text": cut(alt, ALT_MAX_CHARS) or "…"}
    if title:
        out["title"] = plain(title, 200)
    return out


def header(text: str) -> Block:
    return {"type": "header", "text": plain(text, 150)}


def divider() -> Block:
    return {"type": "divider"}


def non_empty(*blocks: Block | None) -> list[Block]:
    return [block for block in blocks if block]
