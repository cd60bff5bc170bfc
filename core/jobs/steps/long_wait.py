"""Tell in the job's message what a step waits for, once it has waited longer than `SILENT_S`."""

import asyncio
import dataclasses

from core.domain.job import Awaited, Job, Progress
from core.jobs.context import SILENT_S, JobContext


class LongWait:
    """A context around the attempts of a step that began `since`; `sleeping` is called before each pause."""

    def __init__(self, ctx: JobContext, job: Job, progress: Progress, since: float) -> None:
        self._clock, self._tell_at = ctx.clock, since + SILENT_S
        self._ctx, self._job, self._progress = ctx, job, progress

    def __enter__(self) -> None:
        # A single call that is not answered may take minutes.
        delay_s = max(0.0, self._tell_at - self._clock.now())
        self._timer = asyncio.get_running_loop().call_later(delay_s, self._show)

    def __exit__(self, *_: object) -> None:
        self._timer.cancel()

    def _show(self) -> None:
        self._ctx.running.show(self._job, self._progress)

    def sleeping(self, pause_s: float, awaits: Awaited | None = None) -> None:
        """`awaits`: what the next attempts wait for, if that has changed."""
        self._progress = dataclasses.replace(self._progress, awaits=awaits or self._progress.awaits)
        if self._clock.now() + pause_s > self._tell_at:
            self._show()
