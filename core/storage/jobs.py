"""The jobs table: every change of a job, and a person's own jobs."""

import dataclasses
import json
from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Any, Unpack

from sqlalchemy import Connection, Row, String, bindparam, delete, func, select, tuple_, update

from core.domain.errors import JobNotFound
from core.domain.identity import TEAM_SCOPED, is_same_person
from core.domain.job import Job, JobState, Remote, Requester
from core.ports import NotOwner, owner_token
from core.storage.codec import CHANGING, JobChanges, to_row
from core.storage.job_searches import JobSearches
from core.storage.obligations import owe_announcement
from core.storage.tables import INSERTS, jobs, replicas

_ID = jobs.c.id == bindparam("job")
_ADD = {name: insert(jobs).on_conflict_do_nothing() for name, insert in INSERTS.items()}
_GET = select(jobs).where(_ID)
_LOCK = _GET.with_for_update()
_REMOVE = delete(jobs).where(_ID)
_SET = update(jobs).where(_ID)
_SET_KNOWN = _SET.where(
    jobs.c.owner == func.coalesce(bindparam("token", type_=String), jobs.c.owner),
    *(jobs.c[name].is_not_distinct_from(bindparam(f"known_{name}", type_=jobs.c[name].type)) for name in CHANGING),
)
"""Changes no row if it was changed since it was read, or has another owner."""

_SIGNED_IN = select(replicas.c.name).where(replicas.c.token == bindparam("token"))
_SET_PAID = _SET_KNOWN.where(_SIGNED_IN.exists())
_CLAIM = update(jobs).where(_ID, _SIGNED_IN.exists()).values(owner=bindparam("token")).returning(jobs)
_OF_THESE = jobs.c.id.in_(bindparam("these", expanding=True))
_CLAIM_ALL = update(jobs).where(_OF_THESE, _SIGNED_IN.exists()).values(owner=bindparam("token")).returning(jobs)
_COUNT = update(jobs).where(_OF_THESE).values(takeovers=jobs.c.takeovers + 1).returning(jobs.c.id, jobs.c.takeovers)
_OWNER = select(jobs.c.owner).where(_ID)
_STATE = select(jobs.c.delivery_state.label("delivery_state"), jobs.c.owner).where(_ID)
_UNFINISHED = select(jobs.c.id).where(_ID, jobs.c.finished_at.is_(None))
_SAME = (
    select(jobs.c.id, jobs.c.platform, jobs.c.workspace_id, jobs.c.user_id)
    .where(jobs.c.fingerprint == bindparam("print"))
    .order_by(jobs.c.created_at.desc())
    .limit(200)
)
"""Filters by fingerprint only: with more conditions SQLite scans the index of the member's jobs instead."""
_UNDER_WAY = (JobState.QUEUED, JobState.RUNNING, JobState.DELIVERING)
_WITH_RESULT = (JobState.DELIVERING, JobState.SUCCEEDED, JobState.CANCELLED)


class SqlJobStore(JobSearches):
    async def add(self, job: Job, *, owner: str = "") -> tuple[Job, bool]:
        """Insert the job unless its key exists. Returns the stored job, and whether it is new.

        `owner`: the token of this process if it starts the job, which then need not claim it.
        """
        row = {**to_row(job, self._rows.vault), "delivery_state": "{}", "takeovers": 0, "owner": owner}
        if await self._db.execute(_ADD[self._db.dialect], row):
            return self._rows.keep(row, job), True
        stored = await self.get(job.id)
        if stored is None:  # erased meanwhile
            raise JobNotFound
        return stored, False

    async def get(self, job_id: str) -> Job | None:
        row = await self._db.first(_GET, {"job": job_id})
        return self._rows.readable(row) if row is not None else None

    async def is_unfinished(self, job_id: str) -> bool:
        """Whether the job exists and has not ended, also where only a newer release can read it."""
        return await self._db.first(_UNFINISHED, {"job": job_id}) is not None

    async def update(self, job_id: str, **changes: Unpack[JobChanges]) -> Job:
        """Set these fields and `updated_at`; returns the new job.

        Raises JobNotFound, and NotOwner inside `owning` with a token that the row no longer carries.
        """
        changed = await self._change(job_id, changes)
        assert changed is not None
        return changed

    async def transition(self, job_id: str, allowed: Sequence[JobState], **changes: Unpack[JobChanges]) -> Job | None:
        """Like `update`, but only from one of the `allowed` states; None if the job is in another state."""
        return await self._change(job_id, changes, lambda job: job.state in allowed)

    async def claim(self, job_id: str, token: str) -> Job:
        """Make this token the owner, as `owning` requires. Raises JobNotFound, and NotOwner if it is not signed in."""
        row = await self._db.first(_GET, {"job": job_id})
        if row is None:
            raise JobNotFound
        if row.owner == token:
            return self._rows.job(row)
        claimed = await self._db.execute_first(_CLAIM, {"job": job_id, "token": token})
        if claimed is None:
            raise NotOwner
        job = self._rows.job(claimed)
        if row.owner and not job.state.terminal:
            self.taken_over.add(job_id)
        return job

    async def claim_all(self, job_ids: Sequence[str], token: str) -> Sequence[Job]:
        """Like `claim` for several jobs; returns those that exist, none if the token is not signed in."""
        values = {"these": job_ids, "token": token}
        rows = await self._db.run_write(lambda connection: connection.execute(_CLAIM_ALL, values).all())
        self.taken_over.update(row.id for row in rows if row.finished_at is None)
        return [job for row in rows if (job := self._rows.readable(row)) is not None]

    async def check_owner(self, job_id: str) -> None:
        """Raise NotOwner inside `owning` with a token that the row no longer carries."""
        token = owner_token(job_id)
        if token is None:
            return
        row = await self._db.first(_OWNER, {"job": job_id})
        if row is None or row.owner != token:
            raise NotOwner

    async def mark_submit(self, job_id: str, allowed: Sequence[str], remote: Remote) -> Job | None:
        """Set `remote` if the submit mark is one of the `allowed`, else return None.

        Raises NotOwner unless this runs inside `owning`, and its token owns the row and is signed in.
        """

        def allows(job: Job) -> bool:
            return (job.remote.submit if job.remote is not None else "none") in allowed

        return await self._change(job_id, {"remote": remote}, allows, pays=True)

    async def _change(
        self, job_id: str, changes: JobChanges, allows: Callable[[Job], bool] = lambda _: True, *, pays: bool = False
    ) -> Job | None:
        """Change a job that `allows` accepts, else return None.

        First by one statement that requires the row as it is cached here; if that changes nothing, by locking and
        reading the row. `pays`: only for a process that owns the row and is signed in.
        """
        token = owner_token(job_id)
        if pays and token is None:
            raise NotOwner
        statement = _SET_PAID if pays else _SET_KNOWN

        def change(connection: Connection) -> Job | None:
            row = _locked(connection, job_id, token)
            if pays and connection.execute(_SIGNED_IN, {"token": token}).first() is None:
                raise NotOwner
            job, values, owes = self._changed(row._asdict(), self._rows.job(row), changes, allows)
            if job is None or not connection.execute(statement, {"job": job_id, "token": token, **values}).rowcount:
                return None
            if owes:
                owe_announcement(connection, job, job.updated_at)
            return job

        job, values, owes = self._changed(*self._rows.cached(job_id), changes, allows)
        # An obligation is written in the same transaction, which needs more than one statement.
        if job and not owes and await self._db.execute(statement, {"job": job_id, "token": token, **values}):
            return job
        return await self._db.run_write(change)

    def _changed(
        self, columns: Mapping[str, Any], before: Job | None, changes: JobChanges, allows: Callable[[Job], bool]
    ) -> tuple[Job | None, dict[str, Any], bool]:
        """The new job (None if there is none that `allows`), values for `_SET_KNOWN`, and whether its end is owed."""
        if before is None or not allows(before):
            return None, {}, False
        fields: dict[str, Any] = {name: value for name, value in changes.items() if name != "fingerprint"}
        changed = dataclasses.replace(before, **fields, updated_at=self._clock.now())
        values = {f"known_{name}": columns[name] for name in CHANGING} | {"updated_at": changed.updated_at}
        values |= self._rows.changed_columns(columns, before, changed)
        values |= {"fingerprint": changes["fingerprint"]} if "fingerprint" in changes else {}
        return changed, values, changed.needs_closing_message and not before.state.terminal

    async def history(
        self,
        requester: Requester | None,
        *,
        limit: int,
        before: float | None = None,
        before_id: str = "",
        refused: bool = True,
    ) -> Sequence[Job]:
        """Return a member's jobs on this platform, or everybody's (None), newest first; `refused` includes refused.

        Only jobs created earlier than `before`, or at that time and with an id smaller than `before_id`.
        """
        query = select(jobs)
        if requester is not None:
            query = query.filter_by(platform=requester.platform, user_id=requester.user_id)
            if requester.platform in TEAM_SCOPED:
                query = query.filter_by(workspace_id=requester.workspace_id)
        if not refused:
            query = query.where(jobs.c.state != JobState.REFUSED.value)
        if before is not None:
            query = query.where(tuple_(jobs.c.created_at, jobs.c.id) < (before, before_id))
        return await self._list(query.order_by(jobs.c.created_at.desc(), jobs.c.id.desc()).limit(min(limit, 200)))

    async def same_requests(self, fingerprint: str, job: Job) -> Sequence[Job]:
        """Return the same requests that are under way without a result, down to the newest with a kept one.

        Its delivery need not have ended: a chat platform may be away for hours. Results are shared within a workspace,
        except private ones; outside one, only with the same person.
        """
        same, who = list[Job](), job.requester
        for row in await self._db.all(_SAME, {"print": fingerprint}):
            here = who.workspace_id and row.workspace_id == who.workspace_id
            own = not who.workspace_id and row.user_id == who.user_id
            shared = row.id != job.id and row.platform == who.platform and (here or own)
            found = await self.get(row.id) if shared else None
            if found is None or (found.private and not is_same_person(found.requester, who)):
                continue
            if found.state in _WITH_RESULT and found.result is not None and not found.images_deleted:
                return [*same, found]
            # A request that is cancelled at fal may be made and billed all the same, and is then kept.
            lives = not found.cancel_requested_by or found.remote is not None
            if found.state in _UNDER_WAY and found.result is None and lives:
                same.append(found)
        return same

    async def count_takeovers(self, job_ids: Sequence[str]) -> Mapping[str, int]:
        if not job_ids:
            return {}
        rows = await self._db.run_write(lambda connection: connection.execute(_COUNT, {"these": job_ids}).all())
        return {row.id: row.takeovers for row in rows}

    async def remove(self, job_id: str) -> None:
        await self._db.execute(_REMOVE, {"job": job_id})

    async def delivery_state(self, job_id: str) -> dict[str, Any]:
        """Return what the adapter stored about the job's message; empty at first."""
        row = await self._db.first(_STATE, {"job": job_id})
        state: dict[str, Any] = json.loads(row.delivery_state) if row is not None else {}
        return state

    async def change_delivery_state(
        self, job_id: str, values: Mapping[str, Any], *, owners: Collection[str] | None = None
    ) -> bool:
        """Merge `values` in. False if the row is gone, or its owner is none of `owners` (None: any owner).

        Raises NotOwner inside `owning` with a token that the row no longer carries.
        """
        token = owner_token(job_id) if owners is None else None

        def work(connection: Connection) -> bool:
            row = connection.execute(_STATE.with_for_update(), {"job": job_id}).first()
            if row is not None and token not in (None, row.owner):
                raise NotOwner
            if row is None or (owners is not None and row.owner not in owners):
                return False
            state = json.dumps(json.loads(row.delivery_state) | dict(values))
            connection.execute(_SET, {"job": job_id, "delivery_state": state})
            return True

        return await self._db.run_write(work)


def _locked(connection: Connection, job_id: str, token: str | None) -> Row[Any]:
    """Lock and return the row. Raises JobNotFound, and NotOwner unless its owner is `token` (None: any owner)."""
    row = connection.execute(_LOCK, {"job": job_id}).first()
    if row is None:
        raise JobNotFound
    if token is not None and row.owner != token:
        raise NotOwner
    return row
