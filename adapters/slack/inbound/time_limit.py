"""A time limit for calls of the core, for a database that accepts connections and never answers."""

import asyncio
import functools
import inspect
from typing import Any, TypeVar, cast

from core.domain.errors import StorageUnavailable

LIMIT_S = 1.8
"""Leaves time to look up the member and to answer within Slack's three seconds."""

LONG = frozenset({"usage_chart", "export", "erase", "forget_workspace", "unforeseen", "incident"})
"""Calls without a limit: they take longer than a few statements, or must not fail."""

PARTS = frozenset({"accounts", "budgets", "limits"})
"""Attributes of the service whose calls are limited, too."""

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
    """A proxy of the port whose calls raise StorageUnavailable after `LIMIT_S`."""
    return cast(T, _InTime(port))
