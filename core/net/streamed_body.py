"""Marks the few HTTP handlers that read their request's body themselves.

The server reads every other body whole, under a deadline and a cap, before the handler runs: a handler then finds it
ready, and nobody's half-sent body holds anything but its own connection.
"""

from collections.abc import Callable
from typing import Any, TypeVar

H = TypeVar("H", bound=Callable[..., Any])
_MARK = "__streams_body__"


def streams_body(handler: H) -> H:
    """Mark a handler: it checks who asks before it reads, and bounds what it reads."""
    setattr(handler, _MARK, True)
    return handler


def is_streamed(handler: object) -> bool:
    """Whether the handler (a function or a method) was marked."""
    return bool(getattr(handler, _MARK, False))
