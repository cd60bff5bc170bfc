"""Searches among the jobs, for the pipeline, the maintenance tasks and the books; and incidents. See `jobs`."""

import secrets
from collections.abc import AsyncIterator, Mapping, Sequence
from typing import Any

from sqlalchemy import ColumnElement, Select, and_, case, delete, func, insert, or_, select, tuple_
from sqlalchemy.exc import IntegrityError

from core.domain.job import Job, JobState, Requester
from core.ports import Clock, OpenJobCounts, SentRequest, UnfinishedJobs
from core.storage.codec import JobRows
from core.storage.database import Database
from core.storage.encryption import Vault
from core.storage.tables import KEPT, app_state, incidents, jobs, replicas, work

_PAGE_ROWS = 500
_SENT_PAGE = 2_000
_SENT = select(jobs.c.id, jobs.c.request_id, jobs.c.created_at, jobs.c.finished_at, jobs.c.state)
_UNFINISHED = (JobState.QUEUED.value, JobState.RUNNING.value, JobState.DELIVERING.value)


class JobSearches:
    """What reads many rows. Each method is one transaction, or one for each page."""

    def __init__(self, database: Database, vault: Vault, clock: Clock) -> None:
        self._db = database
        self._rows = JobRows(vault)
        self._clock = clock
        self.taken: set[str] = set()
        """Jobs that this process took from another one, of which an edit may still be on its way."""

    async def unconfirmed_before(self, now: float) -> Sequence[Job]:
        waiting = JobState.AWAITING_CONFIRMATION.value
        return await self._list(select(jobs).where(jobs.c.state == waiting, jobs.c.confirm_by_at < now).limit(200))

    async def cancel_requests(self) -> Sequence[str]:
        query = select(jobs.c.id).where(jobs.c.state.in_(_UNFINISHED), jobs.c.cancel_requested_by != "")
        return [row.id for row in await self._db.rows(query.limit(5000))]

    async def finished_before(self, at: float, *, limit: int = 200) -> Sequence[Job]:
        """Ended jobs whose images are still kept though they ended before `at`, oldest first."""
        query = select(jobs).where(jobs.c.finished_at < at, KEPT).order_by(jobs.c.finished_at)
        return await self._list(query.limit(limit))

    async def lost(self, token: str, *, updated_before: float) -> Sequence[str]:
        """Ids of jobs that should be moving and that no process has in hand, oldest first.

        Those whose owner is gone, and those of nobody or of this token that were not touched since `updated_before`.
        """
        in_hand = select(work.c.job_id).where(work.c.job_id == jobs.c.id).exists()
        gone = jobs.c.owner.not_in(select(replicas.c.token)) & (jobs.c.owner != "")
        left = jobs.c.owner.in_(("", token)) & (jobs.c.updated_at < updated_before)
        query = select(jobs.c.id).where(jobs.c.state.in_(_UNFINISHED), ~in_hand, gone | left)
        return [row.id for row in await self._db.rows(query.order_by(jobs.c.updated_at).limit(20_000))]

    async def of_workspace(self, platform: str, workspace_id: str, *, after_id: str = "") -> Sequence[Job]:
        """A workspace's jobs whose images are kept, by id, some hundreds from `after_id` on."""
        here = and_(jobs.c.platform == platform, jobs.c.workspace_id == workspace_id, jobs.c.id > after_id)
        query = select(jobs).where(here, jobs.c.images_deleted.is_(False))
        return await self._list(query.order_by(jobs.c.id).limit(_PAGE_ROWS))

    async def owners_of(self, job_ids: Sequence[str]) -> Mapping[str, tuple[Requester, bool]]:
        """Who asked for these jobs, and whether they are paid for (or cost nothing); unknown ones are left out."""
        c = jobs.c
        paid = or_(c.request_id != "", c.submit_mark.not_in(("", "none")), c.state == JobState.SUCCEEDED.value)
        query = select(c.id, c.platform, c.user_id, c.workspace_id, paid.label("paid")).where(c.id.in_(job_ids))
        return {
            row.id: (Requester(row.platform, row.user_id, workspace_id=row.workspace_id), bool(row.paid))
            for row in await self._db.rows(query)
        }

    async def with_request(self, request_id: str) -> Job | None:
        found = await self._list(select(jobs).where(jobs.c.request_id == request_id).limit(1))
        return found[0] if found else None

    async def sent_requests(self, since: float) -> AsyncIterator[SentRequest]:
        after: tuple[float, str] = (since, "")
        query = _SENT.where(jobs.c.request_id != "").order_by(jobs.c.created_at, jobs.c.id).limit(_SENT_PAGE)
        while True:
            later = tuple_(jobs.c.created_at, jobs.c.id) > tuple_(*after)
            rows = await self._db.rows(query.where(later))
            for row in rows:
                yield _sent(row)
            if len(rows) < _SENT_PAGE:
                return
            after = (rows[-1].created_at, rows[-1].id)

    async def of_requests(self, request_ids: Sequence[str]) -> Sequence[SentRequest]:
        found: list[SentRequest] = []
        for start in range(0, len(request_ids), _SENT_PAGE):
            query = _SENT.where(jobs.c.request_id.in_(request_ids[start : start + _SENT_PAGE]))
            found += map(_sent, await self._db.rows(query))
        return found

    async def older_than_possible(self, *, working_since: float, delivering_since: float) -> tuple[int, str]:
        """How many unfinished jobs were made before these times, and the oldest one's id."""
        late = case((jobs.c.state == JobState.DELIVERING.value, delivering_since), else_=working_since)
        query = select(jobs.c.id).where(jobs.c.state.in_(_UNFINISHED), jobs.c.created_at < late)
        found = await self._db.rows(query.order_by(jobs.c.created_at).limit(1000))
        return len(found), found[0].id if found else ""

    async def open_jobs(self) -> OpenJobCounts:
        query = (
            select(jobs.c.state, func.count(), func.min(jobs.c.created_at))
            .where(jobs.c.state.in_(_UNFINISHED))
            .group_by(jobs.c.state)
        )
        rows = await self._db.rows(query)
        waiting = sum(int(row[1]) for row in rows if row[0] == JobState.QUEUED.value)
        oldest = min((float(row[2]) for row in rows), default=None)
        return OpenJobCounts(waiting, sum(int(row[1]) for row in rows) - waiting, oldest)

    async def open_in(self, workspace: tuple[str, str] | None, *, limit: int) -> UnfinishedJobs:
        """Unfinished jobs of this (platform, workspace id), or of all, oldest first, those that ask for a price too."""
        here: ColumnElement[bool] = jobs.c.state.in_((*_UNFINISHED, JobState.AWAITING_CONFIRMATION.value))
        if workspace is not None:
            here = and_(here, jobs.c.platform == workspace[0], jobs.c.workspace_id == workspace[1])
        total = (await self._db.rows(select(func.count()).where(here)))[0][0]
        found = await self._list(select(jobs).where(here).order_by(jobs.c.created_at, jobs.c.id).limit(limit))
        return UnfinishedJobs(tuple(found), int(total))

    async def add_incident(self, reference: str, *, area: str, kind: str, job_id: str) -> None:
        values = {"reference": reference, "at": self._clock.now(), "area": area, "kind": kind, "job_id": job_id}
        try:
            await self._db.run(insert(incidents).values(values))
        except IntegrityError:  # not the job's first: found by its job all the same
            await self._db.run(insert(incidents).values(values | {"reference": secrets.token_hex(8)}))

    async def forget_expired(self, incidents_before: float) -> None:
        now = self._clock.now()
        over = app_state.c.expires_at.is_not(None) & (app_state.c.expires_at <= now)
        await self._db.run(delete(app_state).where(over))
        await self._db.run(delete(incidents).where(incidents.c.at < incidents_before))

    async def incident(self, reference: str) -> Mapping[str, Any] | None:
        """What is known of a reference that is no job's, or of a job's incidents (newest)."""
        query = select(incidents).where((incidents.c.reference == reference) | (incidents.c.job_id == reference))
        found = await self._db.rows(query.order_by(incidents.c.at.desc()).limit(1))
        return found[0]._asdict() if found else None

    async def _list(self, query: Select[Any]) -> Sequence[Job]:
        return [job for row in await self._db.rows(query) if (job := self._rows.readable(row)) is not None]


def _sent(row: Any) -> SentRequest:
    return SentRequest(row.id, row.request_id, row.created_at, row.finished_at, JobState(row.state).terminal)
