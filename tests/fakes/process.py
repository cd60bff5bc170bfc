"""A process that can die at any instant, and the engine whose records outlive it."""

from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any, Literal

from core.engine.engine import _FIRST
from core.jobs.steps import StepName


class Crash(BaseException):
    """The process dies here."""


@dataclass
class Fuse:
    """Counts the instants at which a process can die, and kills it at the one that `left` says (0: never)."""

    left: int = 0
    burnt: int = 0

    async def burn(self) -> None:
        self.burnt += 1
        if self.left > 0:
            self.left -= 1
            if self.left == 0:
                raise Crash


STORE_CALLS = frozenset(
    {
        "get",
        "claim",
        "update",
        "mark_submit",
        "transition",
        "same_requests",
        "delivery_state",
        "change_delivery_state",
    }
)
LEDGER_CALLS = frozenset({"hold", "admit", "settle", "release", "statuses"})
UPSCALER_CALLS = frozenset({"stage", "submit", "find", "result", "cancel", "fetch"})
_REPLY_CALLS = frozenset({"ask", "finished", "failed", "closed"})


class Fused:
    """A port whose named calls can die just before they take effect and just after."""

    def __init__(self, inner: Any, fuse: Fuse, calls: frozenset[str]) -> None:
        self._inner = inner
        self._fuse = fuse
        self._calls = calls

    def __getattr__(self, name: str) -> Any:
        found = getattr(self._inner, name)
        if name == "reply":
            return lambda *args: _FusedReply(found(*args), self._fuse, _REPLY_CALLS)
        if name == "watch":
            return lambda *args: self._watch(found(*args))
        if name not in self._calls:
            return found

        async def call(*args: Any, **values: Any) -> Any:
            await self._fuse.burn()
            answer = await getattr(self._inner, name)(*args, **values)
            await self._fuse.burn()
            return answer

        return call

    async def _watch(self, statuses: AsyncIterator[Any]) -> AsyncIterator[Any]:
        async for status in statuses:
            await self._fuse.burn()
            yield status


class _FusedReply(Fused):
    def final_edit_only(self) -> Any:
        """Written out, for Python 3.12 and later look for a protocol's methods in the class alone."""
        return self._inner.final_edit_only()


class FakeEngine:
    """`core.ports.JobEngine`: a part begins again only after its end, and each step's answer is written down.

    `steps` survives a crash; nothing runs by itself: `World.drive` runs what is unfinished.
    """

    token = ""

    def __init__(self) -> None:
        self.steps: dict[str, StepName] = {}

    async def start(
        self, job_id: str, *, part: Literal["request", "confirmed", "deliver", "announce"] = "request"
    ) -> None:
        name = f"{job_id}:{part}"
        if self.steps.get(name, "end") == "end":
            self.steps[name] = _FIRST[part]

    async def resume(self) -> None: ...

    async def take_unowned(self) -> None: ...

    def unfinished(self) -> list[str]:
        return [name for name, step in self.steps.items() if step != "end"]
