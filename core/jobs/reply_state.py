"""What an adapter keeps of a job's message: on the job's row, and in memory for as long as the row cannot take it."""

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
class _Happened:
    job: Job
    values: dict[str, Any] = field(default_factory=dict)
    owner: str = ""
    """Under which token it happened."""

    writing: asyncio.Lock = field(default_factory=asyncio.Lock)


class UnstoredStates:
    """What has happened to jobs' messages and is not on their rows yet. One process's; as many as it runs jobs."""

    def __init__(
        self, store: SqlJobStore, lease: Lease, obligations: SqlObligations, adapter: Callable[[str], ChatAdapter]
    ) -> None:
        self._store = store
        self._lease = lease
        self._obligations = obligations
        self._adapter = adapter
        self._jobs: dict[str, _Happened] = {}

    def of(self, job_id: str) -> dict[str, Any]:
        return dict(self._jobs[job_id].values) if job_id in self._jobs else {}

    async def add(self, job: Job, values: Mapping[str, Any]) -> None:
        """Known at once, also where this is cancelled; stored now, or by `store` once the database takes it."""
        happened = self._jobs.setdefault(job.id, _Happened(job))
        happened.values.update(values)
        happened.owner = owner_token(job.id) or self._lease.token
        with contextlib.suppress(*DATABASE_ERRORS):
            await self.store(job.id)

    async def store(self, job_id: str) -> None:
        """Write what is not on the row yet; not over what another process knows, which has the job by now.

        That one may never learn of a message that this one has posted, so its removal is owed.
        """
        if (happened := self._jobs.get(job_id)) is None:
            return
        async with happened.writing:
            if not (values := dict(happened.values)):
                return
            owners = {"", happened.owner, self._lease.token}
            if not await self._store.change_delivery_state(job_id, values, owners=owners):
                log.warning("reply_state_left_to_new_owner", job=job_id)
                job = happened.job
                for message in posted(self._adapter(job.reply.platform), job, values):
                    await self._obligations.owe_removal(job, message, "stray")
            for name in values:
                if happened.values[name] is values[name]:  # else it has changed meanwhile
                    del happened.values[name]
            if not happened.values:
                del self._jobs[job_id]

    async def store_all(self) -> None:
        """Raises what the database raises."""
        for job_id in list(self._jobs):
            await self.store(job_id)


def posted(adapter: ChatAdapter, job: Job, state: Mapping[str, Any]) -> Sequence[Mapping[str, Any]]:
    """The messages that these notes of a job name."""
    return adapter.posted_messages(job.reply, state) if isinstance(adapter, RemovesMessages) else ()


class StoredReplyState:
    """`core.ports.ReplyState` of one job."""

    def __init__(self, store: SqlJobStore, unstored: UnstoredStates, obligations: SqlObligations, job: Job) -> None:
        self._store = store
        self._unstored = unstored
        self._obligations = obligations
        self._job, self._job_id = job, job.id

    async def load(self) -> dict[str, Any]:
        before = self._unstored.of(self._job_id)  # what is stored while this reads is in neither of the other two
        return {**await self._store.delivery_state(self._job_id), **before, **self._unstored.of(self._job_id)}

    async def save(self, **values: Any) -> None:
        await self._unstored.store(self._job_id)  # what happened before, so that it cannot be written over this
        await self._store.change_delivery_state(self._job_id, values)

    async def record(self, **values: Any) -> None:
        await self._unstored.add(self._job, values)

    async def remove_later(self, message: Mapping[str, Any]) -> None:
        await self._obligations.owe_removal(self._job, message)
