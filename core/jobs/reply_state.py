"""The delivery state of a job's message: stored in the job's row, and in memory while the row cannot be written."""

import asyncio
import contextlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import structlog

from core.domain.job import Job
from core.ports import ChatAdapter, Lease, RemovesMessages, owner_token
from core.storage.database import DATABASE_ERRORS
from core.storage.jobs import SqlJobStore
from core.storage.obligations import SqlObligations

log = structlog.get_logger(__name__)


@dataclass(slots=True)
class _Pending:
    """Values of one job that are not stored yet, and the owner's token under which they were recorded."""

    job: Job
    values: dict[str, Any] = field(default_factory=dict)
    owner: str = ""
    writing: asyncio.Lock = field(default_factory=asyncio.Lock)


class UnstoredStates:
    """Values that adapters of this process have recorded and that are not in the jobs' rows yet."""

    def __init__(
        self, store: SqlJobStore, lease: Lease, obligations: SqlObligations, adapter: Callable[[str], ChatAdapter]
    ) -> None:
        self.job_store = store
        self.obligations = obligations
        self._lease = lease
        self._adapter = adapter
        self._pending: dict[str, _Pending] = {}

    def of(self, job_id: str) -> dict[str, Any]:
        return dict(self._pending[job_id].values) if job_id in self._pending else {}

    async def add(self, job: Job, values: Mapping[str, Any]) -> None:
        """Visible at once, even if this call is cancelled; stored now, or by `flush` once the database is available."""
        pending = self._pending.setdefault(job.id, _Pending(job))
        pending.values.update(values)
        pending.owner = owner_token(job.id) or self._lease.token
        with contextlib.suppress(*DATABASE_ERRORS):
            await self.flush(job.id)

    async def flush(self, job_id: str) -> None:
        """Store the job's pending values, unless another process owns the job by now.

        The new owner may never learn of a message that this process posted, so the removal of that message is stored.
        """
        if (pending := self._pending.get(job_id)) is None:
            return
        async with pending.writing:
            if not (values := dict(pending.values)):
                return
            owners = {"", pending.owner, self._lease.token}
            if not await self.job_store.change_delivery_state(job_id, values, owners=owners):
                log.warning("reply_state_left_to_new_owner", job=job_id)
                job = pending.job
                for message in posted_messages(self._adapter(job.reply.platform), job, values):
                    await self.obligations.owe_removal(job, message, "stray")
            for name in values:
                if pending.values[name] is values[name]:  # else it has changed meanwhile
                    del pending.values[name]
            if not pending.values:
                del self._pending[job_id]

    async def flush_all(self) -> None:
        for job_id in list(self._pending):
            await self.flush(job_id)


def posted_messages(adapter: ChatAdapter, job: Job, state: Mapping[str, Any]) -> Sequence[Mapping[str, Any]]:
    return adapter.posted_messages(job.reply, state) if isinstance(adapter, RemovesMessages) else ()


class StoredReplyState:
    """`core.ports.ReplyState` of one job."""

    def __init__(self, unstored: UnstoredStates, job: Job) -> None:
        self._unstored = unstored
        self._store = unstored.job_store
        self._job = job

    async def load(self) -> dict[str, Any]:
        job_id = self._job.id
        before = self._unstored.of(job_id)  # a flush during the read: not in the row that is read, nor pending after it
        return {**await self._store.delivery_state(job_id), **before, **self._unstored.of(job_id)}

    async def save(self, **values: Any) -> None:
        await self._unstored.flush(self._job.id)  # earlier values first, so that they do not overwrite these
        await self._store.change_delivery_state(self._job.id, values)

    async def record(self, **values: Any) -> None:
        await self._unstored.add(self._job, values)

    async def remove_later(self, message: Mapping[str, Any]) -> None:
        await self._unstored.obligations.owe_removal(self._job, message)
