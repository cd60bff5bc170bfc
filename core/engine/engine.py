"""Durable execution: each part of a job is a row in `work` and, in the process that owns the row, a task.

A task runs the pipeline's idempotent steps (`core.jobs.steps`) from the one that the job's row names, and then deletes
its row in `work`. If it is interrupted, the row stays, and this process (`resume`) or another one runs the part again.
"""

import asyncio
from collections.abc import Coroutine, Sequence
from functools import partial
from typing import Any

import structlog

from core.domain.errors import JobNotFound
from core.engine.work import Piece, Work
from core.jobs.steps import Pipeline, StepName
from core.jobs.steps.runner import StorageTrouble
from core.net.retry import Backoff, retry
from core.ports import JobPart, NotOwner, SystemClock
from core.storage.database import DATABASE_ERRORS

log = structlog.get_logger(__name__)

_FIRST: dict[str, StepName] = {"request": "prepare", "confirmed": "hold", "deliver": "deliver", "announce": "announce"}
_MAX_STEPS = 60
_STEP_ATTEMPTS = 12
_STEP_PAUSES = Backoff(first_s=0.5)
_CLOSE_S = 2.0
_CLOCK = SystemClock()


class Engine:
    """`core.ports.JobEngine` of a process that runs jobs."""

    def __init__(self, pipeline: Pipeline, work: Work) -> None:
        self._pipeline = pipeline
        self._work = work
        self._closed = False
        self._starting: dict[asyncio.Task[None], Piece] = {}
        self._running: dict[asyncio.Task[None], Piece] = {}

    @property
    def token(self) -> str:
        return self._pipeline.ctx.lease.token

    async def start(self, job_id: str, *, part: JobPart = "request") -> None:
        """Start the part, unless it is running somewhere. Started after its end it does nothing."""
        piece = Piece(job_id, part)
        if self._closed:
            await self._work.add(piece, "")
            return
        # Shielded: a row of this process without a task would never run.
        starting = asyncio.create_task(self._start(piece, self.token))
        self._starting[starting] = piece
        starting.add_done_callback(self._starting.pop)
        await asyncio.shield(starting)

    async def _start(self, piece: Piece, token: str) -> None:
        if await self._work.add(piece, token):
            self._run(piece, token)

    def _run(self, piece: Piece, token: str) -> None:
        if not self._closed:
            task = asyncio.create_task(self._run_part(piece, token), name=f"{piece.job_id}:{piece.part}")
            self._running[task] = piece
            task.add_done_callback(self._running.pop)

    async def take_from(self, token: str) -> Sequence[Piece]:
        """Take over the work of a dead process; `run_all` runs it."""
        return await self._work.take_from(token, self.token)

    def run_all(self, pieces: Sequence[Piece]) -> None:
        for piece in pieces:
            self._run(piece, self.token)

    async def take_unowned(self) -> None:
        while taken := await self._work.take_unowned(self.token):
            log.info("work_taken", parts=len(taken))
            here = set(self._running.values())  # started under an earlier token of this process
            self.run_all([piece for piece in taken if piece not in here])

    async def resume(self) -> None:
        """Restart work whose task has ended early, such as after minutes without the database."""
        before = {*self._running.values(), *self._starting.values()}
        owned = await self._work.of(self.token)
        here = {*before, *self._running.values(), *self._starting.values()}
        lost = [piece for piece in owned if piece not in here]
        if lost:
            log.warning("jobs_resumed", jobs=len(lost))
            self.run_all(lost)

    async def _run_part(self, piece: Piece, token: str) -> None:
        """Run steps until the end, under the token that the part was started with."""
        step = _FIRST[piece.part]
        try:
            for _ in range(_MAX_STEPS):
                step = await self._step(step, piece.job_id, token)
                if step == "end":
                    break
        except StorageTrouble:
            return  # its row stays: run again later
        except NotOwner:
            log.warning("job_left_to_its_new_owner", job=piece.job_id)
        except JobNotFound:  # erased meanwhile
            log.info("job_gone", job=piece.job_id)
        except Exception:  # maintenance runs it again, a bounded number of times
            log.exception("run_broke", job=piece.job_id)
        try:
            await self._work.end(piece, token)
        except DATABASE_ERRORS as trouble:
            log.warning("end_unwritten", job=piece.job_id, kind=type(trouble).__name__)

    def _step(self, step: StepName, job_id: str, token: str) -> Coroutine[Any, Any, StepName]:
        """Run the step, or a later one that the row names; retried for three minutes while the database fails."""
        run = partial(self._pipeline.run, step, job_id, token, skip=True)
        return retry(run, clock=_CLOCK, pause=_pause_s, attempts=_STEP_ATTEMPTS)

    async def close(self) -> None:
        """Cancel all tasks. Their rows stay, for the next process."""
        self._closed = True
        if self._starting:
            await asyncio.wait(self._starting, timeout=_CLOSE_S)
        tasks = [*self._starting, *self._running]
        for task in tasks:
            task.cancel()
        if tasks:
            await asyncio.wait(tasks, timeout=_CLOSE_S)
        await self._work.close()


def _pause_s(error: Exception, attempt: int) -> float | None:
    return _STEP_PAUSES.pause_s(attempt) if isinstance(error, StorageTrouble) else None
