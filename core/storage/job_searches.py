"""Searches among the jobs, for the pipeline, maintenance and reconciliation; and incidents. See `jobs`."""

import secrets
from collections.abc import AsyncIterator, Mapping, Sequence, Set
from typing import Any

from sqlalchemy import ColumnElement, Select, and_, case, delete, func, or_, select, tuple_

from core.domain.job import Job, JobState, Requester
from core.domain.variations import REDELIVERY
from core.ports import Clock, OpenJobCounts, SentRequest, UnfinishedJobs
from core.storage.codec import JobRows
from core.storage.database import Database
from core.storage.encryption import Vault
from core.storage.tables import INSERTS, KEPT, app_state, incidents, jobs, replicas, work

_ADD_INCIDENT = {name: insert(incidents).on_conflict_do_nothing() for name, insert in INSERTS.items()}
_PAGE_ROWS = 500
_SENT_PAGE_ROWS = 2_000
_SENT = select(jobs.c.id, jobs.c.request_id, jobs.c.created_at, jobs.c.finished_at, jobs.c.state)
_UNFINISHED = (JobState.QUEUED.value, JobState.RUNNING.value, JobState.DELIVERING.value)


class JobSearches:
    """Queries that read many rows. Each method is one transaction, or one for each page."""

    def __init__(self, database: Database, vault: Vault, clock: Clock) -> None:
        self._db = database
        self._rows = JobRows(vault)
        self._clock = clock
        self.taken_over: set[str] = set()
        """Jobs that this process took over; an edit of their messages by the previous owner may still arrive."""

    async def unconfirmed_before(self, now: float) -> Sequence[Job]:
        waiting = JobState.AWAITING_CONFIRMATION.value
        return await self._list(select(jobs).where(jobs.c.state == waiting, jobs.c.confirm_by_at < now).limit(200))

    async def cancel_requests(self) -> Sequence[str]:
        query = select(jobs.c.id).where(jobs.c.state.in_(_UNFINISHED), jobs.c.cancel_requested_by != "")
        return [row.id for row in await self._db.rows(query.limit(5000))]

    async def finished_before(self, at: float, *, limit: int = 200) -> Sequence[Job]:
        """Return jobs that ended before `at` and whose images are still kept, oldest first."""
        query = select(jobs).where(jobs.c.finished_at < at, KEPT).order_by(jobs.c.finished_at)
        return await self._list(query.limit(limit))

    async def redeliveries(self, job: Job) -> Sequence[Job]:
        """Return the jobs that delivered this one's result again."""
        query = select(jobs).where(jobs.c.created_at >= job.created_at, jobs.c.key.startswith(f"{REDELIVERY}{job.id}:"))
        return await self._list(query)

    async def keeping_images(self, job_ids: Sequence[str]) -> Set[str]:
        """Return those of these ids whose job exists and keeps its images."""
        return {row.id for row in await self._db.rows(select(jobs.c.id).where(jobs.c.id.in_(job_ids), KEPT))}

    async def orphaned(self, token: str, *, updated_before: float) -> Sequence[str]:
        """Return the ids of unfinished jobs that no process runs, oldest first.

        These are jobs whose owner is gone, and jobs without an owner or owned by `token` that were not updated since
        `updated_before`.
        """
        in_hand = select(work.c.job_id).where(work.c.job_id == jobs.c.id).exists()
        gone = jobs.c.owner.not_in(select(replicas.c.token)) & (jobs.c.owner != "")
        left = jobs.c.owner.in_(("", token)) & (jobs.c.updated_at < updated_before)
        query = select(jobs.c.id).where(jobs.c.state.in_(_UNFINISHED), ~in_hand, gone | left)
        return [row.id for row in await self._db.rows(query.order_by(jobs.c.updated_at).limit(20_000))]

    async def of_workspace(self, platform: str, workspace_id: str, *, after_id: str = "") -> Sequence[Job]:
        """Return one page of a workspace's jobs whose images are kept, ordered by id, after `after_id`."""
        here = and_(jobs.c.platform == platform, jobs.c.workspace_id == workspace_id, jobs.c.id > after_id)
        query = select(jobs).where(here, jobs.c.images_deleted.is_(False))
        return await self._list(query.order_by(jobs.c.id).limit(_PAGE_ROWS))

    async def owners_of(self, job_ids: Sequence[str]) -> Mapping[str, tuple[Requester, bool]]:
        """Return who requested these jobs, and whether they are paid for (or free). Unknown ids are left out."""
        c = jobs.c
        paid = or_(c.request_id != "", c.submit_mark.not_in(("", "none")), c.state == JobState.SUCCEEDED.value)
        query = select(c.id, c.platform, c.user_id, c.workspace_id, paid.label("paid")).where(c.id.in_(job_ids))
        return {
            row.id: (Requester(row.platform, row.user_id, workspace_id=row.workspace_id), bool(row.paid))
            for row in await self._db.rows(query)
        }

    async def by_request_id(self, request_id: str) -> Job | None:
        found = await self._list(select(jobs).where(jobs.c.request_id == request_id).limit(1))
        return found[0] if found else None

    async def sent_requests(self, since: float) -> AsyncIterator[SentRequest]:
        after: tuple[float, str] = (since, "")
        query = _SENT.where(jobs.c.request_id != "").order_by(jobs.c.created_at, jobs.c.id).limit(_SENT_PAGE_ROWS)
        while True:
            later = tuple_(jobs.c.created_at, jobs.c.id) > tuple_(*after)
            rows = await self._db.rows(query.where(later))
            for row in rows:
                yield _sent(row)
            if len(rows) < _SENT_PAGE_ROWS:
                return
            after = (rows[-1].created_at, rows[-1].id)

    async def by_request_ids(self, request_ids: Sequence[str]) -> Sequence[SentRequest]:
        found: list[SentRequest] = []
        for start in range(0, len(request_ids), _SENT_PAGE_ROWS):
            query = _SENT.where(jobs.c.request_id.in_(request_ids[start : start + _SENT_PAGE_ROWS]))
            found += map(_sent, await self._db.rows(query))
        return found

    async def overdue(self, *, working_since: float, delivering_since: float) -> tuple[int, str]:
        """Count the unfinished jobs created before these times (at most 1000); also returns the oldest one's id."""
        late = case((jobs.c.state == JobState.DELIVERING.value, delivering_since), else_=working_since)
        query = select(jobs.c.id).where(jobs.c.state.in_(_UNFINISHED), jobs.c.created_at < late)
        found = await self._db.rows(query.order_by(jobs.c.created_at).limit(1000))
        return len(found), found[0].id if found else ""

    async def open_jobs(self) -> OpenJobCounts:
        query = select(jobs.c.state, func.count(), func.min(jobs.c.created_at)).where(jobs.c.state.in_(_UNFINISHED))
        rows = await self._db.rows(query.group_by(jobs.c.state))
        counts = {state: int(count) for state, count, _ in rows}
        waiting = counts.pop(JobState.QUEUED.value, 0)
        return OpenJobCounts(waiting, sum(counts.values()), min((float(row[2]) for row in rows), default=None))

    async def open_in(self, workspace: tuple[str, str] | None, *, limit: int) -> UnfinishedJobs:
        """Return the jobs of this (platform, workspace id), or of all, that run or await confirmation, oldest first."""
        here: ColumnElement[bool] = jobs.c.state.in_((*_UNFINISHED, JobState.AWAITING_CONFIRMATION.value))
        if workspace is not None:
            here = and_(here, jobs.c.platform == workspace[0], jobs.c.workspace_id == workspace[1])
        total = (await self._db.rows(select(func.count()).where(here)))[0][0]
        found = await self._list(select(jobs).where(here).order_by(jobs.c.created_at, jobs.c.id).limit(limit))
        return UnfinishedJobs(tuple(found), int(total))

    async def add_incident(self, reference: str, *, area: str, kind: str, job_id: str) -> None:
        values = {"reference": reference, "at": self._clock.now(), "area": area, "kind": kind, "job_id": job_id}
        add = _ADD_INCIDENT[self._db.dialect]
        if not await self._db.execute(add, values):  # a further incident of the job; it is found by `job_id`
            await self._db.execute(add, values | {"reference": secrets.token_hex(8)})

    async def delete_expired(self, incidents_before: float) -> None:
        await self._db.execute(delete(app_state).where(app_state.c.expires_at <= self._clock.now()))
        await self._db.execute(delete(incidents).where(incidents.c.at < incidents_before))

    async def incident(self, reference: str) -> Mapping[str, Any] | None:
        """Return the newest incident with this reference, or of the job with this reference."""
        query = select(incidents).where((incidents.c.reference == reference) | (incidents.c.job_id == reference))
        found = await self._db.rows(query.order_by(incidents.c.at.desc()).limit(1))
        return found[0]._asdict() if found else None

    async def _list(self, query: Select[Any]) -> Sequence[Job]:
        return [job for row in await self._db.rows(query) if (job := self._rows.readable(row)) is not None]


def _sent(row: Any) -> SentRequest:
    return SentRequest(row.id, row.request_id, row.created_at, row.finished_at, JobState(row.state).terminal)
