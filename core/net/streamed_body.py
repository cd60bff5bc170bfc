"""Mark the few HTTP handlers that read the request body themselves.

The server reads every other body completely, with a deadline and a size limit, before the handler runs, so that a
half-sent body occupies only its own connection.
"""

from collections.abc import Callable
from typing import Any, TypeVar

H = TypeVar("H", bound=Callable[..., Any])
_MARK = "__streams_body__"


def streams_body(handler: H) -> H:
    """Mark a handler, which must authenticate the client before it reads, and limit what it reads."""
    setattr(handler, _MARK, True)
    return handler


def is_streamed(handler: object) -> bool:
    return bool(getattr(handler, _MARK, False))
