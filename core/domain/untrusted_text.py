"""Text of strangers, made safe to look at: cut first, then valid UTF-8 without control and direction marks. Pure.

Everything that reads such text (patterns, logs, other people's screens) comes after this.
"""

import re
from typing import Any

MAX_NAME_CHARS = 120
"""Names of people and files are shown, never used as paths."""

_LINE_BREAKS = re.compile("\r\n?|[\x85\u2028\u2029]")
_UNWANTED = re.compile(
    "[\x00-\x08\x0b-\x1f\x7f-\x9f\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069\ufeff\ufff9-\ufffb\ud800-\udfff]"
)
"""Control characters but tab and line feed; direction marks, overrides and isolates; halves of surrogate pairs."""

_UNWRITABLE = re.compile("[\x00\ud800-\udfff]")
"""What PostgreSQL does not take as text, and what is no text."""


def clean(text: str, max_chars: int) -> str:
    """At most `max_chars` characters of `text`: every line break a line feed, unwanted characters left out."""
    return _UNWANTED.sub("", _LINE_BREAKS.sub("\n", text[:max_chars]))


def clean_line(text: str, max_chars: int = MAX_NAME_CHARS) -> str:
    """As `clean`, on one line, with single spaces."""
    return " ".join(clean(text, max_chars).split())


def clean_json(value: Any) -> Any:
    """What came as JSON, with the characters left out that cannot be stored. Raises RecursionError."""
    if isinstance(value, str):
        return _UNWRITABLE.sub("", value)
    if isinstance(value, list):
        return [clean_json(one) for one in value]
    if isinstance(value, dict):
        return {clean_json(name): clean_json(one) for name, one in value.items()}
    return value


Shape = type | dict[str, Any] | list[Any]
"""Of JSON: a type, `{name: shape}` ("*" for every other name) or `[shape]`."""
MAX_ITEMS = 1_000
"""Of a list or an object that is looked into; to look at ten thousand takes 50 ms, and no platform sends them."""


def has_shape(value: Any, shape: Shape) -> bool:
    """Whether it has this shape; a named part may be missing or null. Raises RecursionError."""
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
