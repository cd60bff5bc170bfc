"""Puts concurrent calls into one transaction: whoever comes while a batch is being written joins the next one.

A batch that fails for what is in it, not because the database is away, is run again one call at a time.

No call waits for company: a lone call starts at once. It knows nothing of money.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Generic, TypeVar

import structlog

log = structlog.get_logger(__name__)

Op = TypeVar("Op")


@dataclass(slots=True)
class Ticket(Generic[Op]):
    """One call and its answer-to-be."""

    op: Op
    future: asyncio.Future[object]


class Batcher(Generic[Op]):
    """Runs `work` on one batch at a time. `work` answers every ticket, or raises and has changed nothing.

    `away` are the errors that every other call would meet too; after them nothing is run again.
    """

    def __init__(
        self,
        work: Callable[[Sequence[Ticket[Op]]], Awaitable[None]],
        *,
        max_batch: int,
        max_queue: int,
        away: tuple[type[Exception], ...] = (),
    ) -> None:
        self._away = away
        self._work = work
        self._max_batch = max_batch
        self._max_queue = max_queue
        self._queue: deque[Ticket[Op]] = deque()
        self._worker: asyncio.Task[None] | None = None

    @property
    def full(self) -> bool:
        """Whether the queue takes no more."""
        return len(self._queue) >= self._max_queue

    async def call(self, op: Op) -> object:
        """Run `op` in the next batch. If the caller is cancelled before its batch begins, it never runs."""
        ticket = Ticket(op, asyncio.get_running_loop().create_future())
        self._queue.append(ticket)
        if self._worker is None or self._worker.done():
            self._worker = asyncio.create_task(self._drain(), name="ledger-batches")
        return await ticket.future

    async def close(self) -> None:
        if self._worker is not None and not self._worker.done():
            await self._worker

    async def _drain(self) -> None:
        try:
            while self._queue:
                batch = [self._queue.popleft() for _ in range(min(self._max_batch, len(self._queue)))]
                batch = [ticket for ticket in batch if not ticket.future.done()]
                if batch:
                    await self._run(batch)
        finally:
            for ticket in self._queue:  # only after a cancellation of this task
                ticket.future.cancel()
            self._queue.clear()

    async def _run(self, batch: Sequence[Ticket[Op]]) -> None:
        try:
            await self._work(batch)
        except Exception as error:  # handed to the callers, who are the ones waiting for it
            if len(batch) > 1 and not isinstance(error, self._away):
                log.warning("batch_runs_one_by_one", calls=len(batch), kind=type(error).__name__)
                for ticket in batch:
                    await self._run([ticket])
                return
            for ticket in batch:
                if not ticket.future.done():
                    ticket.future.set_exception(error)
        finally:
            for ticket in batch:
                if not ticket.future.done():
                    ticket.future.cancel()
