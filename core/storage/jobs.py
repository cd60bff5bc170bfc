"""The jobs table: every change of a job, and a person's own jobs."""

import dataclasses
import json
from collections.abc import Callable, Collection, Mapping, Sequence
from functools import partial
from typing import Any, TypedDict, Unpack

from sqlalchemy import Connection, Row, String, bindparam, delete, func, insert, select, tuple_, update
from sqlalchemy.exc import IntegrityError

from core.domain.errors import JobNotFound, UpscaleError
from core.domain.identity import TEAM_SCOPED, is_same_person
from core.domain.job import (
    Delivery,
    InputFacts,
    Job,
    JobState,
    Progress,
    Quote,
    Receipt,
    Remote,
    ReplyAddress,
    Requester,
    Result,
)
from core.domain.parameters.spec import Parameters
from core.ports import NotOwner, owner_token
from core.storage.codec import CHANGING, to_row
from core.storage.job_searches import JobSearches
from core.storage.obligations import owe_announcement
from core.storage.tables import jobs, replicas

_ID = jobs.c.id == bindparam("job")
_ADD = insert(jobs)
_GET = select(jobs).where(_ID)
_LOCK = _GET.with_for_update()
_REMOVE = delete(jobs).where(_ID)
_SET = update(jobs).where(_ID)
_SET_KNOWN = _SET.where(
    jobs.c.owner == func.coalesce(bindparam("token", type_=String), jobs.c.owner),
    *(jobs.c[name].is_not_distinct_from(bindparam(f"known_{name}", type_=jobs.c[name].type)) for name in CHANGING),
)
"""Nothing where another has changed the row since it was read, or owns it."""

_SIGNED_IN = select(replicas.c.name).where(replicas.c.token == bindparam("token"))
_SET_PAID = _SET_KNOWN.where(_SIGNED_IN.exists())
_CLAIM = update(jobs).where(_ID, _SIGNED_IN.exists()).values(owner=bindparam("token"))
_OF_THESE = jobs.c.id.in_(bindparam("these", expanding=True))
_CLAIM_ALL = update(jobs).where(_OF_THESE, _SIGNED_IN.exists()).values(owner=bindparam("token")).returning(jobs)
_COUNT = update(jobs).where(_OF_THESE).values(takeovers=jobs.c.takeovers + 1).returning(jobs.c.id, jobs.c.takeovers)
_OWNER = select(jobs.c.owner).where(_ID)
_STATE = select(jobs.c.delivery_state, jobs.c.owner).where(_ID)
_SAME = (
    select(jobs.c.id, jobs.c.platform, jobs.c.workspace_id, jobs.c.user_id)
    .where(jobs.c.fingerprint == bindparam("print"))
    .order_by(jobs.c.created_at.desc())
    .limit(200)
)
"""By the fingerprint alone: with more conditions SQLite takes the index of the member's jobs and walks all of them."""


class JobChanges(TypedDict, total=False):
    state: JobState
    reply: ReplyAddress
    parameters: Parameters
    confirmed_nanousd: int
    confirm_by_at: float | None
    finished_at: float | None
    input: InputFacts
    quote: Quote | None
    progress: Progress | None
    remote: Remote | None
    receipt: Receipt | None
    result: Result | None
    delivery: Delivery | None
    error: UpscaleError | None
    cancel_requested_by: str
    images_deleted: bool
    fingerprint: str


class SqlJobStore(JobSearches):
    async def add(self, job: Job) -> tuple[Job, bool]:
        """Insert unless the key exists; the stored job, and whether it is new."""
        row = {**to_row(job, self._rows.vault), "delivery_state": "{}", "takeovers": 0}
        try:
            await self._db.once(lambda connection: connection.execute(_ADD, row).rowcount)
        except IntegrityError:
            stored = await self.get(job.id)
            if stored is None:
                raise
            return stored, False
        return job, True

    async def get(self, job_id: str) -> Job | None:
        row = await self._db.look(lambda connection: connection.execute(_GET, {"job": job_id}).first())
        return self._rows.readable(row) if row is not None else None

    async def goes_on(self, job_id: str) -> bool:
        """Whether it is there and under way, also where only a newer release can read it."""
        query, one = select(jobs.c.id).where(_ID, jobs.c.finished_at.is_(None)), {"job": job_id}
        return await self._db.look(lambda connection: connection.execute(query, one).first()) is not None

    async def update(self, job_id: str, **changes: Unpack[JobChanges]) -> Job:
        """Set these, and `updated_at`; the new snapshot. Raises JobNotFound, and NotOwner inside another's `owning`."""
        changed = await self._change(job_id, changes)
        assert changed is not None
        return changed

    async def transition(self, job_id: str, allowed: Sequence[JobState], **changes: Unpack[JobChanges]) -> Job | None:
        """Like `update`, but only out of one of the `allowed` states; None where the job is in another."""
        return await self._change(job_id, changes, lambda job: job.state in allowed)

    async def claim(self, job_id: str, token: str) -> Job:
        """Make this token the row's owner, which `owning` needs. Raises JobNotFound, NotOwner for one not signed in."""
        row = await self._db.look(lambda connection: connection.execute(_GET, {"job": job_id}).first())
        if row is not None and row.owner == token:
            return self._rows.job(row)

        values = {"job": job_id, "token": token}
        claimed = await self._db.once(lambda connection: connection.execute(_CLAIM, values).rowcount)
        job = await self.get(job_id)
        if job is None:
            raise JobNotFound
        if not claimed:
            raise NotOwner
        if row is not None and row.owner and not job.state.terminal:
            self.taken.add(job_id)
        return job

    async def claim_all(self, job_ids: Sequence[str], token: str) -> Sequence[Job]:
        """The same for many at once; those that are there. None of them where the token is not signed in."""
        values = {"these": job_ids, "token": token}
        rows = await self._db.change(lambda connection: connection.execute(_CLAIM_ALL, values).all())
        self.taken.update(row.id for row in rows if row.finished_at is None)
        return [job for row in rows if (job := self._rows.readable(row)) is not None]

    async def check_owner(self, job_id: str) -> None:
        """Raise NotOwner where this is `owning` the job with a token that the row no longer carries."""
        token = owner_token(job_id)
        if token is None:
            return
        owner = await self._db.look(lambda connection: connection.execute(_OWNER, {"job": job_id}).scalar())
        if owner != token:
            raise NotOwner

    async def mark_submit(self, job_id: str, allowed: Sequence[str], remote: Remote) -> Job | None:
        """Set `remote` where the paid call's mark is one of the `allowed`; None where it is another.

        Raises NotOwner unless the row's owner is the token of this `owning` and still signed in.
        """

        def may(job: Job) -> bool:
            return (job.remote.submit if job.remote is not None else "none") in allowed

        return await self._change(job_id, {"remote": remote}, may, pays=True)

    async def _change(
        self, job_id: str, changes: JobChanges, may: Callable[[Job], bool] = lambda _: True, *, pays: bool = False
    ) -> Job | None:
        """Change a job that `may` be: by one statement over the row as this process knows it, or else as it is found.

        `pays`: only for a process that owns the row and is signed in.
        """
        token = owner_token(job_id)
        if pays and token is None:
            raise NotOwner

        def attempt(connection: Connection, *, locks: bool) -> Job | None:
            if locks:
                row = _locked(connection, job_id, token)
                if pays and connection.execute(_SIGNED_IN, {"token": token}).first() is None:
                    raise NotOwner
                self._rows.job(row)
            says, before = self._rows.newest(job_id)
            if before is None or not may(before):
                return None
            fields: dict[str, Any] = {name: value for name, value in changes.items() if name != "fingerprint"}
            changed = dataclasses.replace(before, **fields, updated_at=self._clock.now())
            owes = changed.needs_closing_message and not before.state.terminal
            if owes and not locks:
                return None  # with the row of what is owed, in one transaction
            values = {f"known_{name}": says[name] for name in CHANGING} | {"updated_at": changed.updated_at}
            values |= self._rows.changes(says, before, changed)
            values |= {"fingerprint": changes["fingerprint"]} if "fingerprint" in changes else {}
            statement = _SET_PAID if pays else _SET_KNOWN
            if not connection.execute(statement, {"job": job_id, "token": token, **values}).rowcount:
                return None
            if owes:
                owe_announcement(connection, changed, changed.updated_at)
            return changed

        return await self._db.once(partial(attempt, locks=False)) or await self._db.change(partial(attempt, locks=True))

    async def history(
        self,
        who: Requester | None,
        *,
        limit: int,
        before: float | None = None,
        before_id: str = "",
        begun: bool = False,
    ) -> Sequence[Job]:
        """A member's newest jobs on this platform, or everybody's, newest first; `begun`: without the refused.

        Those older than `before`, and those of just then whose id comes before `before_id`.
        """
        own = {"platform": who.platform, "user_id": who.user_id} if who is not None else {}
        own |= {"workspace_id": who.workspace_id} if who is not None and who.platform in TEAM_SCOPED else {}
        query = select(jobs).filter_by(**own)
        if begun:
            query = query.where(jobs.c.state != JobState.REFUSED.value)
        if before is not None:
            query = query.where(tuple_(jobs.c.created_at, jobs.c.id) < (before, before_id))
        return await self._list(query.order_by(jobs.c.created_at.desc(), jobs.c.id.desc()).limit(min(limit, 200)))

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

    async def count_takeovers(self, job_ids: Sequence[str]) -> Mapping[str, int]:
        """One more process died with each of these jobs; how many in all."""
        if not job_ids:
            return {}
        rows = await self._db.change(lambda connection: connection.execute(_COUNT, {"these": job_ids}).all())
        return {row.id: row.takeovers for row in rows}

    async def remove(self, job_id: str) -> None:
        await self._db.once(lambda connection: connection.execute(_REMOVE, {"job": job_id}).rowcount)

    async def delivery_state(self, job_id: str) -> dict[str, Any]:
        """What the job's adapter keeps of its message; empty at first."""
        stored = await self._db.look(lambda connection: connection.execute(_STATE, {"job": job_id}).scalar())
        state: dict[str, Any] = json.loads(stored or "{}")
        return state

    async def change_delivery_state(
        self, job_id: str, values: Mapping[str, Any], *, owners: Collection[str] | None = None
    ) -> bool:
        """Merge these in; False where the row is gone, or its owner is none of `owners` (None: whoever it is).

        Raises NotOwner where this is `owning` the job with a token that the row no longer carries.
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

        return await self._db.change(work)


def _locked(connection: Connection, job_id: str, token: str | None) -> Row[Any]:
    """The row, locked; NotOwner unless its owner is this token (None: whoever asks may change it)."""
    row = connection.execute(_LOCK, {"job": job_id}).first()
    if row is None:
        raise JobNotFound
    if token is not None and row.owner != token:
        raise NotOwner
    return row
