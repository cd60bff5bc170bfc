"""Metrics that are measured periodically: jobs, budget, disk, credit, and the lag of the event loop."""

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

_INTERVAL_S = 15.0
_CREDIT_INTERVAL_S = 600.0
_LAG_PROBE_S = 0.5
_OPERATOR = Requester("cli", user_id="operator", user_name="operator", is_operator=True)


class Gauges:
    def __init__(self, ctx: JobContext, data_dir: Path, replicas: Replicas) -> None:
        self._ctx = ctx
        self._data_dir = data_dir
        self._replicas = replicas

    def maintenance_tasks(self) -> tuple[MaintenanceTask, ...]:
        return (
            MaintenanceTask("gauges", _INTERVAL_S, self.measure),
            MaintenanceTask("loop_lag", 0.0, self.measure_lag),
            MaintenanceTask("credit", _CREDIT_INTERVAL_S, self.measure_credit),
        )

    async def measure(self) -> None:
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
        """Measure how late timers fire; report the worst of 15 seconds."""
        worst_s = 0.0
        for _ in range(int(_INTERVAL_S / _LAG_PROBE_S)):
            started_at = time.monotonic()
            await asyncio.sleep(_LAG_PROBE_S)
            worst_s = max(worst_s, time.monotonic() - started_at - _LAG_PROBE_S)
        self._ctx.metrics.gauge("event_loop_lag_seconds", worst_s)

    async def measure_credit(self) -> None:
        upscaler = self._ctx.upscaler
        credit = await upscaler.credit() if isinstance(upscaler, FalUpscaler) else None
        if credit is not None:
            self._ctx.metrics.gauge("credit_usd", credit / NANOUSD_PER_USD)
