"""Run concurrent calls in one transaction: calls that arrive while a batch is being written form the next batch.

A batch that fails because of one of its calls, not because the database is away, is run again one call at a time. No
call is delayed to fill a batch.
"""

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from typing import Any, Generic, TypeVar

import structlog

log = structlog.get_logger(__name__)

Op = TypeVar("Op")

_RESULTS_PER_ITERATION = 8
"""Callers resumed in one iteration of the event loop; each may do a millisecond of work before it waits again."""


class Batcher(Generic[Op]):
    """Runs `work` on one batch at a time.

    `work` returns one result for each call, in order (an Exception is raised to that caller), or raises without having
    changed anything. After an error of the `away` types, which every other call would get too, nothing is run again.
    """

    def __init__(
        self,
        work: Callable[[Sequence[Op]], Awaitable[Sequence[object]]],
        *,
        max_batch: int,
        away: tuple[type[Exception], ...],
    ) -> None:
        self._work = work
        self._max_batch = max_batch
        self._away = away
        self._queue: deque[tuple[Op, asyncio.Future[Any]]] = deque()
        self._worker: asyncio.Task[None] | None = None

    def __len__(self) -> int:
        return len(self._queue)

    async def call(self, op: Op) -> Any:
        """Run `op` in the next batch. It never runs if the caller is cancelled before its batch begins."""
        future: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
        self._queue.append((op, future))
        if self._worker is None or self._worker.done():
            self._worker = asyncio.create_task(self._drain(), name="group-commit")
        return await future

    async def close(self) -> None:
        if self._worker is not None and not self._worker.done():
            await self._worker

    async def _drain(self) -> None:
        batch: list[tuple[Op, asyncio.Future[Any]]] = []
        try:
            while self._queue:
                batch = [self._queue.popleft() for _ in range(min(self._max_batch, len(self._queue)))]
                await self._run([one for one in batch if not one[1].done()])
        finally:
            for _, future in (*batch, *self._queue):  # some are left only if this task is cancelled
                future.cancel()
            self._queue.clear()

    async def _run(self, batch: Sequence[tuple[Op, asyncio.Future[Any]]]) -> None:
        if not batch:
            return
        results: Sequence[object]
        try:
            results = await self._work([op for op, _ in batch])
        except Exception as error:  # raised to the callers below
            if len(batch) > 1 and not isinstance(error, self._away):
                log.warning("batch_runs_one_by_one", calls=len(batch), kind=type(error).__name__)
                for one in batch:
                    await self._run([one])
                return
            results = [error] * len(batch)
        for number, ((_, future), result) in enumerate(zip(batch, results, strict=True), start=1):
            if number % _RESULTS_PER_ITERATION == 0:
                await asyncio.sleep(0)
            if future.done():
                continue
            if isinstance(result, Exception):
                future.set_exception(result)
            else:
                future.set_result(result)
