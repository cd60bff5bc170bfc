"""Sanitise untrusted text: truncate, then remove invalid UTF-8, control characters and direction marks. Pure.

Must run before anything else (patterns, logs, messages) uses such text.
"""

import re
from typing import Any

MAX_NAME_CHARS = 120
"""For names of people and files, which are displayed, never used as paths."""

_LINE_BREAKS = re.compile("\r\n?|[\x85\u2028\u2029]")
_UNWANTED = re.compile(
    "[\x00-\x08\x0b-\x1f\x7f-\x9f\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069\ufeff\ufff9-\ufffb\ud800-\udfff]"
)
"""Control characters except tab and line feed; direction marks, overrides and isolates; lone surrogates."""

_ACCENT = "[\u0300-\u036f\u1ab0-\u1aff\u1dc0-\u1dff\u20d0-\u20ff\ufe20-\ufe2f]"
_PILED_UP = re.compile(f"{_ACCENT}(?<={_ACCENT}{{5}})")
"""The fifth and further accents on one letter, which would cover the lines around it."""

_UNWRITABLE = re.compile("[\x00\ud800-\udfff]")
"""NUL, which PostgreSQL refuses in text, and lone surrogates."""


def clean(text: str, max_chars: int) -> str:
    """Truncate to `max_chars`, replace every line break by a line feed, and remove unwanted characters."""
    return _PILED_UP.sub("", _UNWANTED.sub("", _LINE_BREAKS.sub("\n", text[:max_chars])))


def clean_line(text: str, max_chars: int = MAX_NAME_CHARS) -> str:
    """Like `clean`, but on one line with single spaces."""
    return " ".join(clean(text, max_chars).split())


def clean_json(value: Any) -> Any:
    """Remove characters that cannot be stored from all texts of a JSON value. Raises RecursionError."""
    if isinstance(value, str):
        return value if value.isprintable() else _UNWRITABLE.sub("", value)
    if isinstance(value, list):
        return [clean_json(one) for one in value]
    if isinstance(value, dict):
        return {clean_json(name): clean_json(one) for name, one in value.items()}
    return value


Shape = type | dict[str, Any] | list[Any]
"""The expected structure of a JSON value: a type, `{name: shape}` ("*" for every other name) or `[shape]`."""
MAX_ITEMS = 1_000
"""Of a list or object that is checked; to check ten thousand takes 50 ms, and no platform sends so many."""


def has_shape(value: Any, shape: Shape) -> bool:
    """Whether a JSON value has this shape; a named part may be missing or null. Raises RecursionError."""
    if isinstance(shape, list):
        return isinstance(value, list) and len(value) <= MAX_ITEMS and all(has_shape(one, shape[0]) for one in value)
    if not isinstance(shape, dict):
        return isinstance(value, shape)
    rest: Shape = shape.get("*", object)
    return (
        isinstance(value, dict)
        and len(value) <= MAX_ITEMS
        and all((name in shape and one is None) or has_shape(one, shape.get(name, rest)) for name, one in value.items())
    )
