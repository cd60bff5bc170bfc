"""Stand-ins for what surrounds every test: time, metrics, a lease. Beside them: chat, images, sources, upscaler.

Fakes, not mocks: each keeps its port's contract and remembers what really happened (paid calls that were accepted,
what a member saw), so that tests judge effects. Failures are scripted; nothing here touches a network.
"""

import asyncio
import heapq
import itertools
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine
from contextlib import asynccontextmanager
from typing import Any, Protocol, TypeVar

from core.ports import new_token

T = TypeVar("T")
NOON = 1_795_521_600.0
"""Unix time of a Monday noon, UTC."""


class FakeClock:
    """Time that only sleeping moves: whoever sleeps is woken in order of due time, a real millisecond apart.

    `auto` False: nothing moves but by `advance`.
    """

    def __init__(self, at: float = NOON, *, auto: bool = True) -> None:
        self.at = at
        self.auto = auto
        self.slept: list[float] = []
        self._sleepers: list[tuple[float, int, asyncio.Future[None]]] = []
        self._order = itertools.count()
        self._timer: asyncio.TimerHandle | None = None

    def now(self) -> float:
        return self.at

    async def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        woken = asyncio.get_running_loop().create_future()
        heapq.heappush(self._sleepers, (self.at + max(0.0, seconds), next(self._order), woken))
        self._arm()
        await woken

    @property
    def sleepers(self) -> int:
        """How many sleep now."""
        return sum(not woken.done() for _, _, woken in self._sleepers)

    async def advance(self, seconds: float) -> None:
        """Move on, waking whoever is due on the way, in order, and letting them work."""
        await settle()
        until = self.at + seconds
        while self._sleepers and self._sleepers[0][0] <= until:
            self._wake_next()
            await settle()
        self.at = max(self.at, until)
        await settle()

    def _arm(self) -> None:
        if self.auto and self._timer is None and self._sleepers:
            self._timer = asyncio.get_running_loop().call_later(0.001, self._tick)

    def _tick(self) -> None:
        self._timer = None
        while self._sleepers and not self._wake_next():
            continue
        self._arm()

    def _wake_next(self) -> bool:
        due, _, woken = heapq.heappop(self._sleepers)
        if woken.done():
            return False
        self.at = max(self.at, due)
        woken.set_result(None)
        return True


async def settle(turns: int = 20) -> None:
    """Let everything that can go on without time or threads go on."""
    for _ in range(turns):
        await asyncio.sleep(0)


async def until(condition: Callable[[], T], *, within_s: float = 30.0, every_s: float = 0.002) -> T:
    """What the condition gives once it holds; a failure where it does not within real `within_s`."""
    async with asyncio.timeout(within_s):
        while not (found := condition()):
            await asyncio.sleep(every_s)
    return found


class _Closable(Protocol):
    def close(self) -> Awaitable[object]: ...


C = TypeVar("C", bound=_Closable)


@asynccontextmanager
async def closing(what: C) -> AsyncIterator[C]:
    """The same, closed at the end: `contextlib.aclosing` for what calls it `close`."""
    try:
        yield what
    finally:
        await what.close()


@asynccontextmanager
async def meanwhile(work: Coroutine[Any, Any, object]) -> AsyncIterator[asyncio.Task[object]]:
    """It runs as long as this lasts, and has ended afterwards."""
    task = asyncio.create_task(work)
    try:
        yield task
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


class NoMetrics:
    """`core.ports.Metrics` that counts nothing."""

    def job(self, platform: str, state: str) -> None: ...
    def stage(self, stage: str, seconds_s: float, job_id: str) -> None: ...
    def provider_request(self, call: str, outcome: str) -> None: ...
    def delivered(self, platform: str, shape: str) -> None: ...
    def money(self, kind: str, nanousd: int) -> None: ...
    def gauge(self, name: str, value: float) -> None: ...
    def incident(self, area: str) -> None: ...


class OwnLease:
    """The lease of a process that nobody watches: it ends with the process."""

    def __init__(self) -> None:
        self.token = new_token()

    async def confirm(self) -> float:
        return float("inf")


class DatabaseAway(Exception):
    """What the adapters' fake services take for a database that does not answer."""
