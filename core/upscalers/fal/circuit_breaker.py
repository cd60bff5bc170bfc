"""A circuit breaker for the whole account: out of credit, or the key refused, and how that ends by itself.

Only answers to a submit, to an upload's token and to a probe may open it (`failures.halt_in` says which do); what a
result, a status or a cancel answers is one job's business.

Half-open: once `probe_s` have passed since the last refusal, one submit may try again, and no other for another
`probe_s` unless that one succeeds. A halt is told as `first` once until a submit has succeeded again.
"""

import asyncio
import contextlib
from collections.abc import Awaitable, Callable

import structlog

from core.domain.errors import ProviderError, ProviderHalted
from core.ports import Clock

log = structlog.get_logger(__name__)

OnHalt = Callable[[ProviderHalted], Awaitable[None]]


class CircuitBreaker:
    """Open while fal refuses the account. Not shared between processes: each learns it from its own refusals.

    `is_over` asks cheaply whether a halt is; `on_halt` is told once per halt, for the operator.
    """

    def __init__(
        self, clock: Clock, probe_s: float, is_over: Callable[[ProviderHalted], Awaitable[bool]], on_halt: OnHalt | None
    ) -> None:
        self._clock, self._probe_s, self._is_over, self._on_halt = clock, probe_s, is_over, on_halt
        self.state: ProviderHalted | None = None
        """The halt as known, probe due or not."""
        self._retry_at = 0.0
        self._told: str | None = None
        self._probe: asyncio.Task[None] | None = None

    async def close(self) -> None:
        if self._probe is not None:
            self._probe.cancel()
            await asyncio.gather(self._probe, return_exceptions=True)

    @property
    def refusing(self) -> ProviderHalted | None:
        """The halt while no new try is due; None when work may be tried."""
        return self.state if self.state is not None and self._clock.now() < self._retry_at else None

    def check(self) -> None:
        """Raise the halt while no new try is due. When one is due it is taken, so that one call probes."""
        if (halted := self.refusing) is not None:
            raise ProviderHalted(kind=halted.kind)
        if self.state is not None:
            self._retry_at = self._clock.now() + self._probe_s

    async def trip(self, halted: ProviderHalted) -> None:
        self.state = halted
        self._retry_at = self._clock.now() + self._probe_s
        if self._probe is None or self._probe.done():
            self._probe = asyncio.create_task(self._probe_until_clear(), name="fal-probe")
        if self._told != halted.kind:
            self._told = halted.kind
            log.error("fal_halted", kind=halted.kind)
            if self._on_halt is not None:
                await self._on_halt(halted)

    async def _probe_until_clear(self) -> None:
        """Slowly; ends with the halt, or with `close`."""
        while self.state is not None:
            await self._clock.sleep(self._probe_s)
            with contextlib.suppress(ProviderError):
                if self.state is not None and await self._is_over(self.state):
                    self.clear(proven=False)

    def clear(self, *, proven: bool) -> None:
        """Work is taken again; `proven` by a submit, else only likely (a cheap call succeeded)."""
        if self.state is not None:
            log.info("fal_resumed", kind=self.state.kind)
        self.state = None
        if proven:
            self._told = None
