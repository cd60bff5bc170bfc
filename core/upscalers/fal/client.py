"""`FalUpscaler`: the fal backend as the core's `Upscaler` port, put together from its parts."""

import asyncio
import contextlib
from collections.abc import Awaitable, Callable, Mapping

import structlog

from core.domain.errors import ProviderError, ProviderHalted
from core.ports import Clock, Metrics
from core.upscalers.fal.circuit_breaker import CircuitBreaker
from core.upscalers.fal.config import FalConfig
from core.upscalers.fal.download import Downloader
from core.upscalers.fal.platform_api import PlatformApi
from core.upscalers.fal.results import Results
from core.upscalers.fal.submit import Submitter
from core.upscalers.fal.transport import Transport
from core.upscalers.fal.upload import Uploader
from core.upscalers.fal.watch import Watcher
from core.upscalers.fal.webhooks import WebhookAccepted, WebhookOutcome, WebhookVerifier

log = structlog.get_logger(__name__)

OnHalt = Callable[[ProviderHalted], Awaitable[None]]
"""Told once per halt, for the operator."""


class FalUpscaler:
    """Models over fal's queue, the first where none is named. One per process, made and used in one event loop."""

    name = "fal"
    real_money = True

    def __init__(
        self, config: FalConfig, clock: Clock, *, on_halt: OnHalt | None = None, metrics: Metrics | None = None
    ) -> None:
        self._config = config
        self._clock = clock
        self._on_halt = on_halt
        self._breaker = CircuitBreaker(clock, config.probe_s, self._halted)
        self._transport = Transport(config, clock, metrics)
        self._watcher = Watcher(self._transport)
        results = Results(self._transport)
        self._platform = PlatformApi(self._transport)
        self.start = self._transport.open
        self.watch = self._watcher.watch
        self.result = results.result
        self.cancel = results.cancel
        self.find = self._platform.find
        self.unit_price = self._platform.unit_price
        self.erase = self._platform.erase
        self.stage = Uploader(self._transport, self._breaker).stage
        self.submit = Submitter(self._transport, self._breaker).submit
        self.fetch = Downloader(self._transport).fetch
        self.billing_events = self._platform.billing_events
        self.credit = self._platform.credit
        self.check_key = self._platform.check_key
        self._webhooks = WebhookVerifier(self._transport)
        self._probe: asyncio.Task[None] | None = None

    async def close(self) -> None:
        if self._probe is not None:
            self._probe.cancel()
            await asyncio.gather(self._probe, return_exceptions=True)
            self._probe = None
        await self._transport.close()

    @property
    def halted(self) -> ProviderHalted | None:
        """Why new jobs are pointless just now, or None; None too when it is time for one job to try."""
        return self._breaker.refusing

    async def _halted(self, halted: ProviderHalted, first: bool) -> None:
        if self._probe is None or self._probe.done():
            self._probe = asyncio.create_task(self._probe_until_clear(), name="fal-probe")
        if first and self._on_halt is not None:
            await self._on_halt(halted)

    async def _probe_until_clear(self) -> None:
        """Ask cheaply and slowly whether the halt is over; ends with the halt, or with `close`."""
        while self._breaker.state is not None:
            await self._clock.sleep(self._config.probe_s)
            halted = self._breaker.state
            with contextlib.suppress(ProviderError):
                over = halted is None or (
                    await self._platform.check_key() == "ok"
                    if halted.kind == "key"
                    else (await self._platform.credit() or 0) > 0
                )
                if over:
                    self._breaker.clear(proven=False)

    async def receive_webhook(
        self, headers: Mapping[str, str], body: bytes, *, job_id: str, token: str | None = None
    ) -> WebhookOutcome:
        """Judge a delivery to POST /fal/webhook/{job_id}?t=… and, if true, end the wait for its request.

        The caller answers 200 to both outcomes but 401 to a wrong signature, and binds the request id to the job
        only by its own record, or, for a job whose submit is unclear, where `ours` is True.
        """
        outcome = await self._webhooks.receive(headers, body, job_id=job_id, token=token)
        if isinstance(outcome, WebhookAccepted):
            self._watcher.webhook_arrived(outcome.request_id)
        else:
            log.warning("fal_webhook_refused", job=job_id, reason=outcome.reason)
        return outcome
