"""Tell the operator what only the operator can fix or decide: in the log, and in channels that get all alerts."""

import asyncio
from collections.abc import Callable, Coroutine
from functools import partial
from typing import Any

import structlog

from core.budgets.service import Budgets
from core.domain.errors import ProviderHalted, UpscaleError
from core.domain.limits import AlertPlace
from core.jobs.steps import JobContext
from core.ports import AppState
from core.presentation import Notice
from core.presentation.texts import operator_texts
from core.storage.database import DATABASE_ERRORS

log = structlog.get_logger(__name__)

_ALERT_INTERVAL_S = 3600.0
"""Alerts about the same topic are limited for this time: a provider may cause one with every job."""

_HALT_KEPT_S = 86_400.0
"""A halt is told once by all processes together, until a job was accepted again, or once a day."""

_MAX_PENDING = 20
_SEND_TIMEOUT_S = 60.0


class AlertSender:
    """Implements `core.ports.OperatorAlerts`, with a rate limit for each topic over all processes."""

    def __init__(self, state: AppState, budget: Callable[[], Budgets], ctx: Callable[[], JobContext]) -> None:
        self._state = state
        self._budget = budget
        self._ctx = ctx
        self._pending: set[asyncio.Task[bool]] = set()

    def tell(self, about: str, notice: Callable[[str], Notice], *, most_an_hour: int = 1) -> None:
        log.warning("operator_news", about=about, news=notice("en").what)
        self._start(self._send(about, notice, most_an_hour))

    def _start(self, sending: Coroutine[Any, Any, object]) -> None:
        if len(self._pending) >= _MAX_PENDING:
            sending.close()
            return
        task = asyncio.create_task(self._guarded(sending), name="operator-alert")
        self._pending.add(task)
        task.add_done_callback(self._pending.discard)

    def no_worker(self) -> None:
        self.tell("image_workers", operator_texts.no_image_worker)

    def halted(self, halted: ProviderHalted | None) -> None:
        """Alert that fal refuses our account. New jobs are refused until it accepts it again; running ones continue.

        None: it has accepted a job, so that the next halt is told anew.
        """
        if halted is None:
            for kind in ("credit", "key"):
                self._start(self._state.delete("operator_told", f"halted:{kind}"))
            return
        log.error("provider_halted", kind=halted.kind)
        notice = partial(operator_texts.provider_halted, halted.kind)
        self._start(self._send(f"halted:{halted.kind}", notice, 1, _HALT_KEPT_S))

    async def close(self) -> None:
        for task in self._pending:
            task.cancel()
        await asyncio.gather(*self._pending, return_exceptions=True)

    async def _send(
        self, about: str, notice: Callable[[str], Notice], most_an_hour: int, interval_s: float = _ALERT_INTERVAL_S
    ) -> None:
        for number in range(most_an_hour):
            key, told = f"{about}{number or ''}", False
            if not await self._state.claim("operator_told", key, ttl_s=interval_s):
                continue
            try:
                told = await self._everywhere(notice)
            finally:
                if not told:
                    await self._state.delete("operator_told", key)
            return

    async def _guarded(self, sending: Coroutine[Any, Any, object], **where: str) -> bool:
        """Whether it was sent; what went wrong is logged, and keeps no other place from being told."""
        try:
            await sending
        except (UpscaleError, OSError, *DATABASE_ERRORS) as error:
            log.warning("operator_not_told", error=type(error).__name__, **where)
        except Exception:
            log.exception("operator_not_told", **where)
        else:
            return True
        return False

    async def _everywhere(self, notice: Callable[[str], Notice]) -> bool:
        """At once, since a platform that is away would hold up the others; False if every place refused it."""
        places = [place for place in await self._budget().limits.rules.alert_places() if place.everything]
        told = await asyncio.gather(
            *(self._guarded(self._notify(place, notice), platform=place.platform) for place in places)
        )
        return any(told) or not places

    async def _notify(self, place: AlertPlace, notice: Callable[[str], Notice]) -> None:
        async with asyncio.timeout(_SEND_TIMEOUT_S):
            adapter = self._ctx().adapter(place.platform)
            await adapter.notify(place.workspace_id, place.channel_id, notice(place.locale))
