"""Converts plain text to Discord's markup, so that text of users or models has no effect as markup. Pure."""

import re

_ANYWHERE = re.compile(r"([\\*_~`|\[\]<])")
_LINE_START = re.compile(r"(?m)^([^\S\n]*)(#{1,3}|-#?|>{1,3}|\+|\d{1,9}\.)(?=\s|$|>)")
_LINK = re.compile(r"(?i)\b(https?|discord|steam|mailto|tel):")
_ZERO_WIDTH = "\u200b"
PRIME = "\u02cb"
"""Stands for a backtick inside code, where nothing can be escaped."""


def escape(text: str) -> str:
    """Escape `text` so that Discord shows it as written: no formatting, list, heading, link, emoji, time or mention."""
    text = _ANYWHERE.sub(r"\\\1", text.replace("\r\n", "\n").replace("\x00", ""))
    text = _LINE_START.sub(lambda m: m[1] + _escape_start(m[2]), text)
    text = _LINK.sub(lambda m: f"{m[1]}\\:", text)
    return text.replace("@", "@" + _ZERO_WIDTH)


def _escape_start(mark: str) -> str:
    return f"{mark[:-1]}\\." if mark[-1] == "." else "".join("\\" + sign for sign in mark)


def quote(text: str) -> str:
    """Mark every line as a quotation. `text` must be escaped already."""
    return "\n".join(f"> {line}" if line.strip() else "> " + _ZERO_WIDTH for line in text.splitlines())


def small(text: str) -> str:
    return "\n".join(f"-# {line}" for line in text.splitlines() if line.strip())
