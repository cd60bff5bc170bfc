"""A circuit breaker for the whole account: open while fal reports no credit or refuses the key.

Only the answer to a submit, an upload token request or a probe can open it (see `failures.account_halt`); the answers
to result, status and cancel requests concern one job only.

Half-open: `probe_s` after the last refusal one submit may try again, and no other for another `probe_s` unless it
succeeds. `on_halt` is called once per kind of halt until a submit has succeeded again, and then with None; also at the
first success of a process, since an earlier one may have reported a halt.
"""

import asyncio
import contextlib
from collections.abc import Awaitable, Callable

import structlog

from core.domain.errors import ProviderError, ProviderHalted
from core.ports import Clock

log = structlog.get_logger(__name__)

OnHalt = Callable[[ProviderHalted | None], None]


class CircuitBreaker:
    """Open while fal refuses the account. Each process has its own.

    `is_over` checks cheaply whether a halt has ended; `on_halt` alerts the operator.
    """

    def __init__(
        self, clock: Clock, probe_s: float, is_over: Callable[[ProviderHalted], Awaitable[bool]], on_halt: OnHalt | None
    ) -> None:
        self._clock, self._probe_s, self._is_over = clock, probe_s, is_over
        self._on_halt = on_halt or (lambda _: None)
        self.state: ProviderHalted | None = None
        """The current halt, whether or not a retry is due."""
        self._retry_at = 0.0
        self._reported_kind: str | None = ""
        self._probe: asyncio.Task[None] | None = None

    async def close(self) -> None:
        if self._probe is not None:
            self._probe.cancel()
            await asyncio.gather(self._probe, return_exceptions=True)

    @property
    def refusing(self) -> ProviderHalted | None:
        """The halt while no retry is due, else None."""
        return self.state if self.state is not None and self._clock.now() < self._retry_at else None

    def check(self) -> None:
        """Raise the halt while no retry is due. If one is due, this caller may try and the next ones may not."""
        if (halted := self.refusing) is not None:
            raise ProviderHalted(kind=halted.kind)
        if self.state is not None:
            self._retry_at = self._clock.now() + self._probe_s

    def trip(self, halted: ProviderHalted) -> None:
        self.state = halted
        self._retry_at = self._clock.now() + self._probe_s
        if self._probe is None or self._probe.done():
            self._probe = asyncio.create_task(self._probe_until_clear(), name="fal-probe")
        if self._reported_kind != halted.kind:
            self._reported_kind = halted.kind
            log.error("fal_halted", kind=halted.kind)
            self._on_halt(halted)

    async def _probe_until_clear(self) -> None:
        while self.state is not None:
            await self._clock.sleep(self._probe_s)
            with contextlib.suppress(ProviderError):
                if self.state is not None and await self._is_over(self.state):
                    self.clear(proven=False)

    def clear(self, *, proven: bool) -> None:
        """Close the breaker. `proven`: a submit succeeded, rather than a cheap probe."""
        if self.state is not None:
            log.info("fal_resumed", kind=self.state.kind)
        self.state = None
        if proven and self._reported_kind is not None:
            self._reported_kind = None
            self._on_halt(None)
