"""Readiness for `/readyz`: named checks, run concurrently, each with a timeout; the result is cached for a second.

A check returns None when all is well, else one plain word or sentence.
"""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field

import structlog

from core.ports import Clock

log = structlog.get_logger(__name__)

Check = Callable[[], Awaitable[str | None]]
CHECK_TIMEOUT_S = 3.0
CACHED_FOR_S = 1.0


@dataclass
class Health:
    """The process's named checks. While `draining`, it is not ready, whatever their results."""

    clock: Clock
    draining: bool = False
    _checks: dict[str, Check] = field(default_factory=dict)
    _answers: dict[str, str] = field(default_factory=dict)
    _answered_at: float = float("-inf")
    _lock: asyncio.Lock = field(default_factory=asyncio.Lock)

    def add(self, name: str, check: Check) -> None:
        self._checks[name] = check
        self._answered_at = float("-inf")

    async def readiness(self) -> dict[str, str]:
        """Return every check's result by its name, at most a second old: `ok`, or what is wrong."""
        async with self._lock:
            if self.clock.now() - self._answered_at >= CACHED_FOR_S:
                answers = await asyncio.gather(*(self._ask(name, check) for name, check in self._checks.items()))
                self._answers = dict(zip(self._checks, answers, strict=True))
                self._answered_at = self.clock.now()
        return {**self._answers, "process": "shutting down"} if self.draining else self._answers

    async def _ask(self, name: str, check: Check) -> str:
        try:
            async with asyncio.timeout(CHECK_TIMEOUT_S):
                return await check() or "ok"
        except TimeoutError:
            return "no answer"
        except Exception as error:
            log.warning("health_check_failed", check=name, error=type(error).__name__)
            return "not working"
