"""Tells the operator what only the operator can mend or judge: in the log, and in the channels that asked for the
whole bot's alerts."""

import asyncio
from collections.abc import Callable
from functools import partial

import structlog

from core.budgets.service import Budgets
from core.domain.errors import DeliveryError, ProviderHalted, UpscaleError
from core.jobs.steps import JobContext
from core.ports import AppState
from core.presentation import Notice
from core.presentation.texts import operator_texts

log = structlog.get_logger(__name__)

_SELDOM_S = 3600.0
"""How often news about the same are passed on: a provider gone mad has one for every job."""

_MOST_PENDING = 20
_WITHIN_S = 60.0


class AlertSender:
    """`core.ports.OperatorAlerts`: news about the same so seldom, whichever process has them."""

    def __init__(self, state: AppState, budget: Callable[[], Budgets], ctx: Callable[[], JobContext]) -> None:
        self._state = state
        self._budget = budget
        self._ctx = ctx
        self._pending: set[asyncio.Task[None]] = set()

    def tell(self, about: str, notice: Callable[[str], Notice], *, most_an_hour: int = 1) -> None:
        log.warning("operator_news", about=about, news=notice("en").what)
        if len(self._pending) >= _MOST_PENDING:
            return
        task = asyncio.create_task(self._send(about, notice, most_an_hour), name="operator-alert")
        self._pending.add(task)
        task.add_done_callback(self._pending.discard)

    def no_worker(self) -> None:
        self.tell("image_workers", operator_texts.no_image_worker)

    async def halted(self, halted: ProviderHalted) -> None:
        """fal takes nothing more from us. New jobs are refused until it does again; running ones go on."""
        log.error("provider_halted", kind=halted.kind)
        await self._everywhere(partial(operator_texts.provider_halted, halted.kind))

    async def close(self) -> None:
        for task in self._pending:
            task.cancel()
        await asyncio.gather(*self._pending, return_exceptions=True)

    async def _send(self, about: str, notice: Callable[[str], Notice], most_an_hour: int) -> None:
        try:
            async with asyncio.timeout(_WITHIN_S):
                for turn in range(most_an_hour):
                    if await self._state.claim("operator_told", f"{about}{turn or ''}", ttl_s=_SELDOM_S):
                        await self._everywhere(notice)
                        return
        except (UpscaleError, TimeoutError, OSError) as error:
            log.warning("operator_not_told", error=type(error).__name__)
        except Exception:  # nobody waits for this task
            log.exception("operator_not_told")

    async def _everywhere(self, notice: Callable[[str], Notice]) -> None:
        for place in await self._budget().limits.rules.alert_places():
            if not place.everything:
                continue
            adapter = self._ctx().adapter(place.platform)
            try:
                await adapter.notify(place.workspace_id, place.channel_id, notice(place.locale))
            except DeliveryError as error:
                log.warning("operator_not_told", platform=place.platform, error=error.code)
