"""Text of strangers, made safe to look at: cut first, then valid UTF-8 without control and direction marks. Pure.

Everything that reads such text (patterns, logs, other people's screens) comes after this.
"""

import re

MAX_NAME_CHARS = 120
"""Names of people and files are shown, never used as paths."""

_LINE_BREAKS = re.compile("\r\n?|[\x85\u2028\u2029]")
_UNWANTED = re.compile(
    "[\x00-\x08\x0b-\x1f\x7f-\x9f\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069\ufeff\ufff9-\ufffb\ud800-\udfff]"
)
"""Control characters but tab and line feed; direction marks, overrides and isolates; halves of surrogate pairs."""


def clean(text: str, max_chars: int) -> str:
    """At most `max_chars` characters of `text`: every line break a line feed, unwanted characters left out."""
    return _UNWANTED.sub("", _LINE_BREAKS.sub("\n", text[:max_chars]))


def clean_line(text: str, max_chars: int = MAX_NAME_CHARS) -> str:
    """As `clean`, on one line, with single spaces."""
    return " ".join(clean(text, max_chars).split())
