"""Durable execution: each part of a job is a row (`work`) and, in the process that owns the row, a task.

A task runs the pipeline's steps, which are repeatable (`core.jobs.steps`), from where the job's row says it is. It ends
by deleting its row; cut off anywhere, it leaves the row to whoever carries on: this process (`resume`), or another one.
"""

import asyncio
from collections.abc import Sequence

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


class Engine:
    """`core.ports.JobEngine` of a process that runs jobs."""

    def __init__(self, pipeline: Pipeline, work: Work) -> None:
        self._pipeline = pipeline
        self._work = work
        self._closed = False
        self._beginning: dict[asyncio.Task[None], Piece] = {}
        self._running: dict[asyncio.Task[None], Piece] = {}

    @property
    def _token(self) -> str:
        return self._pipeline.ctx.lease.token

    async def start(self, job_id: str, *, part: JobPart = "request") -> None:
        """Begin it, unless it is under way somewhere; begun after its end it finds that nothing is left to do."""
        piece = Piece(job_id, part)
        if self._closed:
            await self._work.add(piece, "")
            return
        # Whole or not at all: cut between its row and its task, the work would seem to be in hand.
        beginning = asyncio.create_task(self._begin(piece, self._token))
        self._beginning[beginning] = piece
        beginning.add_done_callback(self._beginning.pop)
        await asyncio.shield(beginning)

    async def _begin(self, piece: Piece, token: str) -> None:
        if await self._work.add(piece, token):
            self._run(piece, token)

    def _run(self, piece: Piece, token: str) -> None:
        if not self._closed:
            task = asyncio.create_task(self._carry_on(piece, token), name=f"{piece.job_id}:{piece.part}")
            self._running[task] = piece
            task.add_done_callback(self._running.pop)

    async def take_from(self, token: str) -> Sequence[Piece]:
        """Make everything that a dead process had in hand this one's; to be carried on by `run_all`."""
        return await self._work.take_from(token, self._token)

    def run_all(self, pieces: Sequence[Piece]) -> None:
        for piece in pieces:
            self._run(piece, self._token)

    async def take_left(self) -> None:
        while taken := await self._work.take_left(self._token):
            log.info("work_taken", parts=len(taken))
            here = set(self._running.values())  # begun under an earlier token of this process
            self.run_all([piece for piece in taken if piece not in here])

    async def resume(self) -> None:
        """Begin again what fell out of this process, as after minutes without the database."""
        before = {*self._running.values(), *self._beginning.values()}
        mine = await self._work.of(self._token)
        here = {*before, *self._running.values(), *self._beginning.values()}
        lost = [piece for piece in mine if piece not in here]
        if lost:
            log.warning("jobs_resumed", jobs=len(lost))
            self.run_all(lost)

    async def _carry_on(self, piece: Piece, token: str) -> None:
        """Run steps until the end; `token` is that of this run, which must not go on under a later one."""
        step = _FIRST[piece.part]
        try:
            for _ in range(_MAX_STEPS):
                step = await self._step(step, piece.job_id, token)
                if step == "end":
                    break
        except StorageTrouble:
            return  # its row stays: begun again later
        except NotOwner:
            log.warning("job_left_to_its_new_owner", job=piece.job_id)
        except JobNotFound:  # erased meanwhile
            log.info("job_gone", job=piece.job_id)
        except Exception:  # begun again from the job's row, a bounded number of times
            log.exception("run_broke", job=piece.job_id)
        try:
            await self._work.end(piece, token)
        except DATABASE_ERRORS as trouble:
            log.warning("end_unwritten", job=piece.job_id, kind=type(trouble).__name__)

    async def _step(self, step: StepName, job_id: str, token: str) -> StepName:
        """Run it, or the later one of the row. Trouble with the database is waited out, for three minutes at a time."""

        def pause(error: Exception, attempt: int) -> float | None:
            return _STEP_PAUSES.pause_s(attempt) if isinstance(error, StorageTrouble) else None

        return await retry(
            lambda: self._pipeline.run(step, job_id, token, skip=True),
            clock=SystemClock(),
            pause=pause,
            attempts=_STEP_ATTEMPTS,
        )

    async def close(self) -> None:
        """Stop. What is under way stays recorded as it is, for the next process."""
        self._closed = True
        if self._beginning:
            await asyncio.wait(self._beginning, timeout=_CLOSE_S)
        tasks = [*self._beginning, *self._running]
        for task in tasks:
            task.cancel()
        if tasks:
            await asyncio.wait(tasks, timeout=_CLOSE_S)
        await self._work.close()
