"""A circuit breaker for the whole account: out of credit, or the key refused, and how that ends by itself.

Only answers to a submit, to an upload's token and to a probe may open it (`failures.halt_in` says which do); what a
result, a status or a cancel answers is one job's business.

Half-open: once `probe_s` have passed since the last refusal, one submit may try again, and no other for another
`probe_s` unless that one succeeds. A halt is told as `first` once until a submit has succeeded again.
"""

from collections.abc import Awaitable, Callable

import structlog

from core.domain.errors import ProviderHalted
from core.ports import Clock

log = structlog.get_logger(__name__)

OnTrip = Callable[[ProviderHalted, bool], Awaitable[None]]
"""Called with every refusal, and whether it is the first of its kind since a submit succeeded."""


class CircuitBreaker:
    """Open while fal refuses the account. Not shared between processes: each learns it from its own refusals."""

    def __init__(self, clock: Clock, probe_s: float, on_trip: OnTrip) -> None:
        self._clock = clock
        self._probe_s = probe_s
        self._on_trip = on_trip
        self._state: ProviderHalted | None = None
        self._retry_at = 0.0
        self._told: str | None = None

    @property
    def state(self) -> ProviderHalted | None:
        """The halt as known, probe due or not."""
        return self._state

    @property
    def refusing(self) -> ProviderHalted | None:
        """The halt while no new try is due; None when work may be tried."""
        return self._state if self._state is not None and self._clock.now() < self._retry_at else None

    def check(self) -> None:
        """Raise the halt while no new try is due. When one is due it is taken, so that one call probes."""
        if (halted := self.refusing) is not None:
            raise ProviderHalted(kind=halted.kind)
        if self._state is not None:
            self._retry_at = self._clock.now() + self._probe_s

    async def trip(self, halted: ProviderHalted) -> None:
        """A refusal came in."""
        self._state = halted
        self._retry_at = self._clock.now() + self._probe_s
        first = self._told != halted.kind
        self._told = halted.kind
        if first:
            log.error("fal_halted", kind=halted.kind)
        await self._on_trip(halted, first)

    def clear(self, *, proven: bool) -> None:
        """Work is taken again; `proven` by a submit, else only likely (a cheap call succeeded)."""
        if self._state is not None:
            log.info("fal_resumed", kind=self._state.kind)
        self._state = None
        if proven:
            self._told = None
