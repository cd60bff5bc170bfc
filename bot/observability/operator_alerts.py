"""Tell the operator what only the operator can fix or decide: in the log, and in channels that get all alerts."""

import asyncio
from collections.abc import Callable
from functools import partial

import structlog

from core.budgets.service import Budgets
from core.domain.errors import DeliveryError, ProviderHalted, UpscaleError
from core.domain.limits import AlertPlace
from core.jobs.steps import JobContext
from core.ports import AppState
from core.presentation import Notice
from core.presentation.texts import operator_texts

log = structlog.get_logger(__name__)

_ALERT_INTERVAL_S = 3600.0
"""Alerts about the same topic are limited for this time: a provider may cause one with every job."""

_MAX_PENDING = 20
_SEND_TIMEOUT_S = 60.0


class AlertSender:
    """Implements `core.ports.OperatorAlerts`, with a rate limit for each topic over all processes."""

    def __init__(self, state: AppState, budget: Callable[[], Budgets], ctx: Callable[[], JobContext]) -> None:
        self._state = state
        self._budget = budget
        self._ctx = ctx
        self._pending: set[asyncio.Task[None]] = set()

    def tell(self, about: str, notice: Callable[[str], Notice], *, most_an_hour: int = 1) -> None:
        log.warning("operator_news", about=about, news=notice("en").what)
        if len(self._pending) >= _MAX_PENDING:
            return
        task = asyncio.create_task(self._send(about, notice, most_an_hour), name="operator-alert")
        self._pending.add(task)
        task.add_done_callback(self._pending.discard)

    def no_worker(self) -> None:
        self.tell("image_workers", operator_texts.no_image_worker)

    async def halted(self, halted: ProviderHalted) -> None:
        """Alert that fal refuses our account. New jobs are refused until it accepts it again; running ones continue."""
        log.error("provider_halted", kind=halted.kind)
        await self._everywhere(partial(operator_texts.provider_halted, halted.kind))

    async def close(self) -> None:
        for task in self._pending:
            task.cancel()
        await asyncio.gather(*self._pending, return_exceptions=True)

    async def _send(self, about: str, notice: Callable[[str], Notice], most_an_hour: int) -> None:
        try:
            async with asyncio.timeout(_SEND_TIMEOUT_S):
                for number in range(most_an_hour):
                    key = f"{about}{number or ''}"
                    if await self._state.claim("operator_told", key, ttl_s=_ALERT_INTERVAL_S):
                        if not await self._everywhere(notice):
                            await self._state.delete("operator_told", key)
                        return
        except (UpscaleError, TimeoutError, OSError) as error:
            log.warning("operator_not_told", error=type(error).__name__)
        except Exception:  # nothing awaits this task's result
            log.exception("operator_not_told")

    async def _everywhere(self, notice: Callable[[str], Notice]) -> bool:
        """At once, since a platform that is away would hold up the others; False if every place refused it."""
        places = [place for place in await self._budget().limits.rules.alert_places() if place.everything]
        told = await asyncio.gather(*(self._notify(place, notice) for place in places))
        return any(told) or not places

    async def _notify(self, place: AlertPlace, notice: Callable[[str], Notice]) -> bool:
        try:
            adapter = self._ctx().adapter(place.platform)
            await adapter.notify(place.workspace_id, place.channel_id, notice(place.locale))
        except DeliveryError as error:
            log.warning("operator_not_told", platform=place.platform, error=error.code)
            return False
        return True
