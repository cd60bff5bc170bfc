"""`FalUpscaler`, which implements the `Upscaler` port."""

from core.domain.errors import ProviderHalted
from core.ports import Clock, Metrics
from core.upscalers.fal.circuit_breaker import CircuitBreaker, OnHalt
from core.upscalers.fal.config import FalConfig
from core.upscalers.fal.download import Downloader
from core.upscalers.fal.platform_api import PlatformApi
from core.upscalers.fal.results import Results
from core.upscalers.fal.submit import Submitter
from core.upscalers.fal.transport import Transport
from core.upscalers.fal.upload import Uploader
from core.upscalers.fal.watch import Watcher
from core.upscalers.fal.webhooks import WebhookVerifier


class FalUpscaler:
    """Runs models through fal's queue. One per process, created and used in one event loop.

    `on_halt` is called once per halt, to alert the operator, and with None when fal accepts jobs (again).
    """

    name = "fal"
    real_money = True

    def __init__(
        self, config: FalConfig, clock: Clock, *, on_halt: OnHalt | None = None, metrics: Metrics | None = None
    ) -> None:
        self._transport = transport = Transport(config, clock, metrics)
        watcher, results, platform = Watcher(transport), Results(transport), PlatformApi(transport)
        self._breaker = CircuitBreaker(clock, config.probe_s, platform.takes_work_again, on_halt)
        self.start = transport.open
        self.watch = watcher.watch
        self.result = results.result
        self.cancel = results.cancel
        self.find = platform.find
        self.unit_price = platform.unit_price
        self.erase = platform.erase
        self.stage = Uploader(transport, self._breaker).stage
        self.submit = Submitter(transport, self._breaker).submit
        self.fetch = Downloader(transport).fetch
        self.billing_events = platform.billing_events
        self.credit = platform.credit
        self.check_key = platform.check_key
        self.receive_webhook = WebhookVerifier(transport, watcher.webhook_arrived).receive

    async def close(self) -> None:
        await self._breaker.close()
        await self._transport.close()

    @property
    def halted(self) -> ProviderHalted | None:
        """Why fal refuses new jobs, or None, also when one job may try again."""
        return self._breaker.refusing
