"""Puts concurrent calls into one transaction: whoever comes while a batch is being written joins the next one.

A batch that fails for what is in it, not because the database is away, is run again one call at a time.

No call waits for company: a lone call starts at once. It knows nothing of money.
"""

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from typing import Any, Generic, TypeVar

import structlog

log = structlog.get_logger(__name__)

Op = TypeVar("Op")

_ANSWERED_AT_ONCE = 8
"""Callers that go on in one turn of the event loop: each may do a millisecond of work before it waits again."""


class Batcher(Generic[Op]):
    """Runs `work` on one batch at a time: it answers every call in order (an Exception is raised to that caller), or
    raises and has changed nothing.

    `away` are the errors that every other call would meet too; after them nothing is run again.
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
        """Run `op` in the next batch. If the caller is cancelled before its batch begins, it never runs."""
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
            for _, future in (*batch, *self._queue):  # some are left only after a cancellation of this task
                future.cancel()
            self._queue.clear()

    async def _run(self, batch: Sequence[tuple[Op, asyncio.Future[Any]]]) -> None:
        if not batch:
            return
        answers: Sequence[object]
        try:
            answers = await self._work([op for op, _ in batch])
        except Exception as error:  # handed to the callers, who are the ones waiting for it
            if len(batch) > 1 and not isinstance(error, self._away):
                log.warning("batch_runs_one_by_one", calls=len(batch), kind=type(error).__name__)
                for one in batch:
                    await self._run([one])
                return
            answers = [error] * len(batch)
        for number, ((_, future), answer) in enumerate(zip(batch, answers, strict=True), start=1):
            if number % _ANSWERED_AT_ONCE == 0:
                await asyncio.sleep(0)
            if future.done():
                continue
            if isinstance(answer, Exception):
                future.set_exception(answer)
            else:
                future.set_result(answer)
