"""Calls of the core that end in time, also while the database takes connections and never answers."""

import asyncio
import functools
import inspect
from typing import Any, TypeVar, cast

from core.domain.errors import StorageUnavailable

LIMIT_S = 1.8
"""With the time to find out who acts and to say so, an answer comes within Slack's three seconds."""

LONG = frozenset({"usage_chart", "export", "erase", "forget_workspace", "unforeseen", "incident"})
"""Work of another kind than a few statements, or what must not fail."""

PARTS = frozenset({"accounts", "budgets", "limits"})
"""Of the service, with calls of their own."""

T = TypeVar("T")


class _InTime:
    def __init__(self, inner: object) -> None:
        self._inner = inner

    def __getattr__(self, name: str) -> Any:
        found = getattr(self._inner, name)
        if name in PARTS:
            return _InTime(found)
        if name in LONG or not inspect.iscoroutinefunction(found):
            return found

        @functools.wraps(found)
        async def limited(*args: Any, **kwargs: Any) -> Any:
            try:
                async with asyncio.timeout(LIMIT_S):
                    return await found(*args, **kwargs)
            except TimeoutError:
                raise StorageUnavailable from None

        return limited


def with_time_limit(port: T) -> T:
    """The same port; a call without an answer after `LIMIT_S` raises StorageUnavailable."""
    return cast(T, _InTime(port))
