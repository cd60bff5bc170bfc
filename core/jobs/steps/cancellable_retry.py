"""Retries before the paid call: a cancellation ends them, and the job's message names what a long wait is for."""

import dataclasses
from collections.abc import Awaitable, Callable
from http import HTTPStatus
from typing import Literal, TypeVar

import structlog

from core.domain.errors import DownloadFailed, ProviderBusy
from core.domain.job import Awaited, Job, Progress
from core.jobs.context import JobContext
from core.jobs.steps.long_wait import LongWait
from core.net.retry import Backoff, Flag, first_of, retry
from core.ports import Clock

log = structlog.get_logger(__name__)

T = TypeVar("T")

_PAUSES = Backoff(first_s=1.0, cap_s=30.0, asked_cap_s=120.0)
_AWAY = frozenset({"timeout", "connection", "truncated", "not_ready"})
_BUSY = frozenset({HTTPStatus.REQUEST_TIMEOUT, HTTPStatus.TOO_EARLY, HTTPStatus.TOO_MANY_REQUESTS})


class CancelWanted(Exception):
    """The job was cancelled during a wait before the paid call."""


@dataclasses.dataclass(frozen=True, slots=True)
class _UntilCancel:
    """A clock whose `sleep` raises CancelWanted as soon as the job is cancelled."""

    clock: Clock
    cancel: Flag

    def now(self) -> float:
        return self.clock.now()

    async def sleep(self, seconds: float) -> None:
        await first_of(self.cancel, self.clock.sleep(seconds))
        if self.cancel.done():
            raise CancelWanted


async def retry_until_cancelled(
    ctx: JobContext,
    job: Job,
    call: Callable[[], Awaitable[T]],
    *,
    awaits: Awaited,
    since: float,
    within_s: float,
    passing: tuple[type[Exception], ...],
) -> T:
    """Retry `call` until `within_s` after `since`, while it raises one of `passing` (of downloads: temporary errors).

    Then raises the last error. If the wait is longer than `SILENT_S`, the job's message shows it. Raises CancelWanted.
    """
    until_at = since + within_s
    stage: Literal["preparing", "waiting"] = "preparing" if awaits == "source" else "waiting"
    waits = LongWait(ctx, job, Progress(stage, awaits=awaits, until_at=until_at), since)

    def pause(error: Exception, attempt: int) -> float | None:
        if not isinstance(error, passing):
            return None
        if isinstance(error, DownloadFailed) and error.reason not in _AWAY:
            status = (error.reason == "status" and error.status) or 0
            if status < 500 and status not in _BUSY:
                return None
        asked = error.retry_after_s if isinstance(error, ProviderBusy) else None
        pause_s = _PAUSES.pause_s(attempt, asked)
        log.warning("waits", job=job.id, awaits=awaits, error=str(error), pause_s=round(pause_s, 1))
        waits.sleeping(pause_s)
        return pause_s

    clock = _UntilCancel(ctx.clock, ctx.running.cancel_event(job.id))
    with waits:
        return await retry(call, clock=clock, pause=pause, within_s=max(0.0, until_at - ctx.clock.now()))
