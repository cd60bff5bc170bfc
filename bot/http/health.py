"""What `/readyz` answers: named checks, asked together, each bounded in time, the answer shared for a second.

A check returns None when all is well, else one plain word or sentence. It decides nothing; it only reports.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field

import structlog

from core.ports import Clock

log = structlog.get_logger(__name__)

Check = Callable[[], Awaitable[str | None]]
CHECK_LIMIT_S = 3.0
SHARED_FOR_S = 1.0
"""Many probes at once cost one round of checks."""


@dataclass(frozen=True, slots=True)
class Readiness:
    """The answer: what is wrong, by name; empty when ready."""

    reasons: Mapping[str, str]
    checked: tuple[str, ...]

    @property
    def ready(self) -> bool:
        """Whether nothing is wrong."""
        return not self.reasons


@dataclass
class Health:
    """The process's named checks. `draining` set means: shutting down, not ready whatever they say."""

    clock: Clock
    draining: bool = False
    _checks: dict[str, Check] = field(default_factory=dict)
    _answer: Readiness | None = None
    _answered_at: float = float("-inf")
    _lock: asyncio.Lock = field(default_factory=asyncio.Lock)

    def add(self, name: str, check: Check) -> None:
        self._checks[name] = check
        self._answer = None

    async def readiness(self) -> Readiness:
        """All checks' answers, at most a second old."""
        async with self._lock:
            if self._answer is None or self.clock.now() - self._answered_at >= SHARED_FOR_S:
                self._answer = await self._ask_all()
                self._answered_at = self.clock.now()
        reasons = {"process": "shutting down"} if self.draining else {}
        return Readiness({**self._answer.reasons, **reasons}, self._answer.checked)

    async def _ask_all(self) -> Readiness:
        names = tuple(self._checks)
        answers = await asyncio.gather(*(self._ask(name, self._checks[name]) for name in names))
        wrong = {name: answer for name, answer in zip(names, answers, strict=True) if answer is not None}
        return Readiness(wrong, names)

    async def _ask(self, name: str, check: Check) -> str | None:
        try:
            async with asyncio.timeout(CHECK_LIMIT_S):
                return await check()
        except TimeoutError:
            return "no answer"
        except Exception as error:
            log.warning("health_check_failed", check=name, error=type(error).__name__)
            return "not working"
