"""The jobs table behind `core.ports.JobStore`, with the few searches that the pipeline and the janitor need."""

from __future__ import annotations

import dataclasses
import json
import secrets
from collections.abc import Mapping, Sequence
from typing import Any

from sqlalchemy import ColumnElement, Connection, Select, and_, bindparam, delete, func, insert, or_, select, update
from sqlalchemy.exc import IntegrityError

from core.domain.errors import JobNotFound
from core.domain.identity import TEAM_SCOPED, is_same_person
from core.domain.job import Job, JobState, Remote, Requester
from core.ports import Clock, NotOwner
from core.ports.ownership import owner_token
from core.ports.storage import OpenHere, OpenJobs
from core.storage.codec import from_row, to_row
from core.storage.database import Database
from core.storage.encryption import Vault
from core.storage.obligations import owe_announcement
from core.storage.tables import app_state, incidents, jobs, replicas

_ID = jobs.c.id == bindparam("job")
_ADD = insert(jobs)
_GET = select(jobs).where(_ID)
_LOCK = _GET.with_for_update()
_SET = update(jobs).where(_ID)
_SIGNED_IN = select(replicas.c.name).where(replicas.c.token == bindparam("token"))
_CLAIM = update(jobs).where(_ID, _SIGNED_IN.exists()).values(owner=bindparam("token"))
_OWNER = select(jobs.c.owner).where(_ID)
_PAGE_ROWS = 500
_MEMO = select(jobs.c.memo).where(_ID)
_SAME = (
    select(jobs.c.id, jobs.c.platform, jobs.c.workspace_id, jobs.c.user_id)
    .where(jobs.c.fingerprint == bindparam("print"))
    .order_by(jobs.c.created_at.desc())
    .limit(200)
)
"""By the fingerprint alone: with more conditions SQLite takes the index of the member's jobs and walks all of them."""

_UNFINISHED = (JobState.QUEUED.value, JobState.RUNNING.value, JobState.DELIVERING.value)


class SqlJobStore:
    """Jobs on SQLite or PostgreSQL. Each method is one transaction."""

    def __init__(self, database: Database, vault: Vault, clock: Clock) -> None:
        self._db = database
        self._vault = vault
        self._clock = clock

    async def add(self, job: Job) -> tuple[Job, bool]:
        """Insert unless the key exists; the stored job, and whether it is new."""
        row = {**to_row(job, self._vault), "memo": "{}", "takeovers": 0}
        try:
            await self._db.change(lambda connection: connection.execute(_ADD, row).rowcount)
        except IntegrityError:
            stored = await self.get(job.id)
            if stored is None:
                raise
            return stored, False
        return job, True

    async def get(self, job_id: str) -> Job | None:
        """One job, or None."""
        row = await self._db.look(lambda connection: connection.execute(_GET, {"job": job_id}).first())
        return from_row(row, self._vault) if row is not None else None

    async def update(self, job_id: str, **changes: Any) -> Job:
        """Set fields of the snapshot (and `fingerprint`) in one transaction; raises JobNotFound."""
        extra = {"fingerprint": changes.pop("fingerprint")} if "fingerprint" in changes else {}
        token = owner_token(job_id)
        return await self._db.change(lambda connection: self._replace(connection, job_id, token, changes, extra))

    async def transition(self, job_id: str, allowed: Sequence[JobState], **changes: Any) -> Job | None:
        """Like `update`, but only out of one of the `allowed` states; None where the job is in another."""
        token = owner_token(job_id)

        def work(connection: Connection) -> Job | None:
            if self._locked(connection, job_id, token).state not in allowed:
                return None
            return self._replace(connection, job_id, token, changes, {})

        return await self._db.change(work)

    async def claim(self, job_id: str, token: str) -> Job:
        """Make this token the row's owner; raises NotOwner for one that is not signed in, and JobNotFound."""
        row = await self._db.look(lambda connection: connection.execute(_GET, {"job": job_id}).first())
        if row is not None and row.owner == token:
            return from_row(row, self._vault)

        def work(connection: Connection) -> Job:
            self._locked(connection, job_id, None)
            if connection.execute(_CLAIM, {"job": job_id, "token": token}).rowcount == 0:
                raise NotOwner
            return self._locked(connection, job_id, token)

        return await self._db.change(work)

    async def check_owner(self, job_id: str) -> None:
        """Raise NotOwner where this is `owning` the job with a token that the row no longer carries."""
        token = owner_token(job_id)
        if token is None:
            return
        owner = await self._db.look(lambda connection: connection.execute(_OWNER, {"job": job_id}).scalar())
        if owner != token:
            raise NotOwner

    async def mark_submit(self, job_id: str, allowed: Sequence[str], remote: Remote) -> Job | None:
        """Set `remote` where the paid call's mark is one of the `allowed`, as the owner that is still signed in."""
        token = owner_token(job_id)

        def work(connection: Connection) -> Job | None:
            job = self._locked(connection, job_id, token)
            if token is None or connection.execute(_SIGNED_IN, {"token": token}).first() is None:
                raise NotOwner
            if (job.remote.submit if job.remote is not None else "none") not in allowed:
                return None
            return self._replace(connection, job_id, token, {"remote": remote}, {})

        return await self._db.change(work)

    def _replace(
        self,
        connection: Connection,
        job_id: str,
        token: str | None,
        changes: Mapping[str, Any],
        extra: dict[str, Any],
    ) -> Job:
        before, now = self._locked(connection, job_id, token), self._clock.now()
        changed = dataclasses.replace(before, **changes, updated_at=now)
        connection.execute(_SET, {**to_row(changed, self._vault), **extra, "job": job_id})
        if changed.needs_last_words and not before.state.terminal:
            owe_announcement(connection, changed, now)
        return changed

    def _locked(self, connection: Connection, job_id: str, token: str | None) -> Job:
        """The row, locked; NotOwner unless its owner is this token (None: whoever asks may change it)."""
        row = connection.execute(_LOCK, {"job": job_id}).first()
        if row is None:
            raise JobNotFound
        if token is not None and row.owner != token:
            raise NotOwner
        return from_row(row, self._vault)

    async def history(self, who: Requester | None, *, limit: int, before: float | None = None) -> Sequence[Job]:
        """A member's newest jobs on this platform, or everybody's, newest first."""
        own = {"platform": who.platform, "user_id": who.user_id} if who is not None else {}
        own |= {"workspace_id": who.workspace_id} if who is not None and who.platform in TEAM_SCOPED else {}
        query = select(jobs).filter_by(**own)
        if before is not None:
            query = query.where(jobs.c.created_at < before)
        return await self._list(query.order_by(jobs.c.created_at.desc()).limit(min(limit, 200)))

    async def earlier_result(self, fingerprint: str, requester: Requester) -> Job | None:
        """A succeeded job with the same picture and parameters that this person may be given, newest first.

        Within a workspace results are shared, but private ones; outside one, only with the same person.
        """
        rows = await self._db.look(lambda connection: connection.execute(_SAME, {"print": fingerprint}).all())
        for row in rows:
            here = requester.workspace_id and row.workspace_id == requester.workspace_id
            own = not requester.workspace_id and row.user_id == requester.user_id
            if row.platform == requester.platform and (here or own):
                found = await self.get(row.id)
                if found is None or (found.private and not is_same_person(found.requester, requester)):
                    continue
                if found.state is JobState.SUCCEEDED and not found.images_deleted:
                    return found
        return None

    async def unconfirmed_before(self, now: float) -> Sequence[Job]:
        """Jobs whose price was not agreed to in time."""
        waiting = JobState.AWAITING_CONFIRMATION.value
        return await self._list(select(jobs).where(jobs.c.state == waiting, jobs.c.confirm_by_at < now).limit(200))

    async def cancel_requests(self) -> Sequence[str]:
        """Ids of unfinished jobs that somebody wants stopped."""
        query = select(jobs.c.id).where(jobs.c.state.in_(_UNFINISHED), jobs.c.cancel_requested_by != "")
        async with self._db.read() as connection:
            return [row.id for row in await connection.execute(query.limit(5000))]

    async def finished_before(self, at: float, *, limit: int = 200) -> Sequence[Job]:
        """Ended jobs whose images are still kept though they ended before `at`."""
        query = select(jobs).where(jobs.c.finished_at < at, jobs.c.images_deleted.is_(False))
        return await self._list(query.limit(limit))

    async def unfinished(self, *, updated_before: float) -> Sequence[str]:
        """Ids of jobs that should be moving but were not touched since `updated_before`, oldest first."""
        query = select(jobs.c.id).where(jobs.c.state.in_(_UNFINISHED), jobs.c.updated_at < updated_before)
        async with self._db.read() as connection:
            return list((await connection.execute(query.order_by(jobs.c.updated_at).limit(20_000))).scalars())

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
        async with self._db.read() as connection:
            rows = (await connection.execute(query)).all()
        return {
            row.id: (Requester(row.platform, row.user_id, workspace_id=row.workspace_id), bool(row.paid))
            for row in rows
        }

    async def with_request(self, request_id: str) -> Job | None:
        """The job that this request at the provider belongs to."""
        found = await self._list(select(jobs).where(jobs.c.request_id == request_id).limit(1))
        return found[0] if found else None

    async def sent_since(self, at: float, *, after_id: str = "", limit: int = 500) -> Sequence[Job]:
        """Jobs made since `at` that reached the provider, by id, from `after_id` on: for going through all of them."""
        query = select(jobs).where(jobs.c.created_at >= at, jobs.c.request_id != "", jobs.c.id > after_id)
        return await self._list(query.order_by(jobs.c.id).limit(limit))

    async def open_jobs(self) -> OpenJobs:
        """How many jobs wait and run, over all processes, and since when the oldest does."""
        query = (
            select(jobs.c.state, func.count(), func.min(jobs.c.created_at))
            .where(jobs.c.state.in_(_UNFINISHED))
            .group_by(jobs.c.state)
        )
        async with self._db.read() as connection:
            rows = (await connection.execute(query)).all()
        waiting = sum(int(row[1]) for row in rows if row[0] == JobState.QUEUED.value)
        oldest = min((float(row[2]) for row in rows), default=None)
        return OpenJobs(waiting, sum(int(row[1]) for row in rows) - waiting, oldest)

    async def open_in(self, workspace: tuple[str, str] | None, *, limit: int) -> OpenHere:
        """Unfinished jobs of this (platform, workspace id), or of all, oldest first."""
        here: ColumnElement[bool] = jobs.c.state.in_((*_UNFINISHED, JobState.AWAITING_CONFIRMATION.value))
        if workspace is not None:
            here = and_(here, jobs.c.platform == workspace[0], jobs.c.workspace_id == workspace[1])
        async with self._db.read() as connection:
            total = (await connection.execute(select(func.count()).where(here))).scalar_one()
        found = await self._list(select(jobs).where(here).order_by(jobs.c.created_at, jobs.c.id).limit(limit))
        return OpenHere(tuple(found), int(total))

    async def count_takeover(self, job_id: str) -> int:
        """One more process died with this job; how many in all."""
        async with self._db.write() as connection:
            await connection.execute(update(jobs).where(jobs.c.id == job_id).values(takeovers=jobs.c.takeovers + 1))
            row = (await connection.execute(select(jobs.c.takeovers).where(jobs.c.id == job_id))).first()
        return int(row.takeovers) if row is not None else 0

    async def remove(self, job_id: str) -> None:
        """Delete the row (a member's erasure); money rows live elsewhere."""
        async with self._db.write() as connection:
            await connection.execute(delete(jobs).where(jobs.c.id == job_id))

    async def memo(self, job_id: str) -> dict[str, Any]:
        """The adapter's notes of a job."""
        text = await self._db.look(lambda connection: connection.execute(_MEMO, {"job": job_id}).scalar())
        notes: dict[str, Any] = json.loads(text) if text is not None else {}
        return notes

    async def save_memo(self, job_id: str, memo: Mapping[str, Any]) -> None:
        """Replace the adapter's notes."""
        values = {"job": job_id, "memo": json.dumps(dict(memo))}
        await self._db.change(lambda connection: connection.execute(_SET, values).rowcount)

    async def add_incident(self, reference: str, *, area: str, kind: str, job_id: str) -> None:
        """Remember that something unforeseen happened, so that its reference can be looked up."""
        values = {"reference": reference, "at": self._clock.now(), "area": area, "kind": kind, "job_id": job_id}
        try:
            async with self._db.write() as connection:
                await connection.execute(insert(incidents).values(**values))
        except IntegrityError:  # not the job's first: found by its job all the same
            async with self._db.write() as connection:
                await connection.execute(insert(incidents).values(**{**values, "reference": secrets.token_hex(8)}))

    async def forget_expired(self, incidents_before: float) -> None:
        """Delete claims and states whose time is over, and incidents older than given."""
        now = self._clock.now()
        over = app_state.c.expires_at.is_not(None) & (app_state.c.expires_at <= now)
        async with self._db.write() as connection:
            await connection.execute(delete(app_state).where(over))
            await connection.execute(delete(incidents).where(incidents.c.at < incidents_before))

    async def incident(self, reference: str) -> Mapping[str, Any] | None:
        """What is known of a reference that is no job's, or of a job's incidents (newest)."""
        query = select(incidents).where((incidents.c.reference == reference) | (incidents.c.job_id == reference))
        async with self._db.read() as connection:
            row = (await connection.execute(query.order_by(incidents.c.at.desc()).limit(1))).mappings().first()
        return dict(row) if row is not None else None

    async def _list(self, query: Select[Any]) -> Sequence[Job]:
        async with self._db.read() as connection:
            rows = (await connection.execute(query)).all()
        return [from_row(row, self._vault) for row in rows]
