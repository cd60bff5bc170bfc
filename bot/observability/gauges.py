"""Figures that are looked up now and then: what waits, what is spent, what is left, and whether the loop keeps up."""

import asyncio
import shutil
import time
from pathlib import Path

from core.domain.job import Requester
from core.domain.limits import Measure, ScopeKind
from core.domain.money import NANOUSD_PER_USD
from core.engine.replicas import Replicas
from core.jobs.context import JobContext
from core.jobs.maintenance import MaintenanceTask
from core.upscalers.fal import FalUpscaler

_LOOK_EVERY_S = 15.0
_CREDIT_EVERY_S = 600.0
_LAG_PROBE_S = 0.5
_OPERATOR = Requester("cli", user_id="operator", user_name="operator", is_operator=True)


class Gauges:
    """Sets the levels of `core.ports.Metrics`; its maintenance_tasks belong to the maintenance tasks."""

    def __init__(self, ctx: JobContext, data_dir: Path, replicas: Replicas) -> None:
        self._ctx = ctx
        self._data_dir = data_dir
        self._replicas = replicas

    def maintenance_tasks(self) -> tuple[MaintenanceTask, ...]:
        """What has to run and how often."""
        return (
            MaintenanceTask("gauges", _LOOK_EVERY_S, self.look),
            MaintenanceTask("loop_lag", 0.0, self.measure_lag),
            MaintenanceTask("credit", _CREDIT_EVERY_S, self.ask_credit),
        )

    async def look(self) -> None:
        """Jobs, budget, disk and the provider's state, by short queries."""
        metrics, ctx = self._ctx.metrics, self._ctx
        jobs = await ctx.store.open_jobs()
        now = ctx.clock.now()
        metrics.gauge("jobs_waiting", jobs.waiting)
        metrics.gauge("jobs_running", jobs.running)
        metrics.gauge("oldest_job_seconds", max(0.0, now - jobs.oldest_at) if jobs.oldest_at is not None else 0.0)
        metrics.gauge("provider_halted", float(ctx.upscaler.halted is not None))
        roles = await self._replicas.roles()
        metrics.gauge("processes_running_jobs", roles["all"] + roles["worker"])
        metrics.gauge("obligations_open", await ctx.obligations.count())
        free = await asyncio.to_thread(shutil.disk_usage, self._data_dir)
        metrics.gauge("disk_free_bytes", free.free)
        used = [
            (status.used + status.held) / status.limit.amount
            for status in await ctx.ledger.statuses(_OPERATOR)
            if status.limit.scope.kind is ScopeKind.EVERYTHING
            and not status.limit.model
            and status.limit.measure is Measure.USD
            and status.limit.amount > 0
        ]
        metrics.gauge("budget_used_ratio", max(used, default=0.0))

    async def measure_lag(self) -> None:
        """How late one timer fires; the worst of a few seconds is kept."""
        worst_s = 0.0
        for _ in range(int(_LOOK_EVERY_S / _LAG_PROBE_S)):
            started_at = time.monotonic()
            await asyncio.sleep(_LAG_PROBE_S)
            worst_s = max(worst_s, time.monotonic() - started_at - _LAG_PROBE_S)
        self._ctx.metrics.gauge("event_loop_lag_seconds", worst_s)

    async def ask_credit(self) -> None:
        """fal's credit, where the key lets us ask."""
        upscaler = self._ctx.upscaler
        credit = await upscaler.credit() if isinstance(upscaler, FalUpscaler) else None
        if credit is not None:
            self._ctx.metrics.gauge("credit_usd", credit / NANOUSD_PER_USD)
