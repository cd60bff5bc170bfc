"""Convert between a `Job` and its row. The only module that knows which part of a job is stored in which column."""

import json
import operator
import threading
from collections.abc import Mapping
from typing import Any, TypedDict, get_type_hints

import structlog
from pydantic import TypeAdapter

from core.domain import errors
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
    Result,
)
from core.domain.parameters.spec import Parameters
from core.ports import digest_of
from core.storage.encryption import Vault

_TYPES = get_type_hints(Job)


def _adapters(*names: str) -> dict[str, TypeAdapter[Any]]:
    return {name: TypeAdapter(_TYPES[name]) for name in names}


_DATA = _adapters("requester", "parameters", "input", "quote", "progress", "receipt", "delivery")
_SECRET = _adapters("source", "reply", "remote", "result")
_DATA_SCALARS = ("private", "spoiler", "parent_id", "confirmed_nanousd")
_OWN_COLUMNS = ("id", "key", "created_at", "updated_at", "finished_at", "confirm_by_at", "cancel_requested_by")
_READ = (*_OWN_COLUMNS, "state", "images_deleted", "request_id", "submit_mark", "data", "secret")
"""The columns from which a job is read."""

CHANGING = tuple(name for name in _READ if name not in ("id", "key", "created_at"))

_read_columns = operator.attrgetter(*_READ)

_MAX_CACHED_JOBS = 256

log = structlog.get_logger(__name__)


class JobChanges(TypedDict, total=False):
    """The fields that change after a job is stored; `fingerprint` is only a column."""

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
    error: errors.UpscaleError | None
    cancel_requested_by: str
    images_deleted: bool
    fingerprint: str


def to_row(job: Job, vault: Vault) -> dict[str, Any]:
    """Column values of a job, except `fingerprint`, `delivery_state` and `takeovers`, which a `Job` does not have."""
    return {**_columns(job), "data": _data(job), "secret": _secret(job, vault)}


def _columns(job: Job) -> dict[str, Any]:
    return {
        **{name: getattr(job, name) for name in _OWN_COLUMNS},
        "state": job.state.value,
        "platform": job.requester.platform,
        "workspace_id": job.requester.workspace_id,
        "channel_id": job.requester.channel_id,
        "user_id": job.requester.user_id,
        "request_id": job.remote.request_id if job.remote else "",
        "submit_mark": job.remote.submit if job.remote else "none",
        "model": job.parameters.model,
        "images_deleted": job.images_deleted,
    }


def _data(job: Job) -> str:
    data = _dumped(job, _DATA) | {name: getattr(job, name) for name in _DATA_SCALARS} | _remote(job)
    data["error"] = errors.to_json(job.error) if job.error is not None else None
    return json.dumps(data, separators=(",", ":"), ensure_ascii=False)


def _remote(job: Job) -> dict[str, Any]:
    """What stays known of the paid call without the secret."""
    if job.remote is None:
        return {}
    known = {name: getattr(job.remote, name) for name in ("backend", "intent_at", "possible_double")}
    return {"remote": {**known, "staged_url": digest_of(job.remote.staged_url)}}


def _secret(job: Job, vault: Vault) -> str:
    return vault.encrypt(_dumped(job, _SECRET))


def _dumped(job: Job, adapters: dict[str, TypeAdapter[Any]]) -> dict[str, Any]:
    return {name: adapter.dump_python(getattr(job, name), mode="json") for name, adapter in adapters.items()}


def _secret_fallback(row: Any, data: dict[str, Any]) -> dict[str, Any]:
    """Stand in for a secret that cannot be decrypted. The state of the paid call comes from the other columns.

    A submit mark without a request id counts as *sending*, whatever it is: the request is looked up, never made again.
    Rows of 0.1.0 have no mark.
    """
    unfinished = not JobState(row.state).terminal
    mark = row.submit_mark or ("sending" if unfinished else "none")
    remote = None
    if row.request_id or mark != "none":
        known = {"backend": "", "intent_at": row.created_at, **data.get("remote", {})}
        remote = {**known, "request_id": row.request_id, "submit": "sent" if row.request_id else "sending"}
    return {"source": {"kind": "link"}, "reply": {"platform": row.platform}, "remote": remote, "result": None}


def from_row(row: Any, vault: Vault) -> Job:
    """Read a job. Encrypted parts that can no longer be decrypted are empty, except the state of the paid call."""
    data = json.loads(row.data)
    secret = vault.decrypt(row.secret) or _secret_fallback(row, data)
    return Job(
        **{name: getattr(row, name) for name in _OWN_COLUMNS},
        state=JobState(row.state),
        images_deleted=bool(row.images_deleted),
        error=errors.from_json(data["error"]) if data.get("error") else None,
        **{name: data[name] for name in _DATA_SCALARS},
        **{name: adapter.validate_python(data.get(name)) for name, adapter in _DATA.items()},
        **{name: adapter.validate_python(secret.get(name)) for name, adapter in _SECRET.items()},
    )


class JobRows:
    """Reads and changes rows, and caches the most recent jobs, since rows are read far more often than changed.

    Used from the event loop and from the writer thread.
    """

    def __init__(self, vault: Vault) -> None:
        self.vault = vault
        self._cache: dict[str, tuple[tuple[Any, ...], Job]] = {}
        self._lock = threading.Lock()

    def job(self, row: Any) -> Job:
        columns = _read_columns(row)
        cached = self._cache.get(row.id)
        if cached is not None and cached[0] == columns:
            return cached[1]
        return self._store(columns, from_row(row, self.vault))

    def readable(self, row: Any) -> Job | None:
        """Like `job`; None for a row that only a newer release running beside this one can read."""
        try:
            return self.job(row)
        except ValueError:
            log.warning("job_not_readable", job=row.id, state=row.state)
            return None

    def cached(self, job_id: str) -> tuple[dict[str, Any], Job | None]:
        """Return the columns and the job as last read or changed here; ({}, None) if they are not cached."""
        columns, job = self._cache.get(job_id, ((), None))
        return dict(zip(_READ, columns, strict=False)), job

    def changed_columns(self, columns: Mapping[str, Any], before: Job, job: Job) -> dict[str, Any]:
        """Return the columns in which `job` differs from `before`, stored as `columns`.

        Unchanged columns are left out, so that the database need not update their indexes.
        """
        old = _columns(before)
        changed = {name: value for name, value in _columns(job).items() if old[name] != value}
        parts = (*_DATA, *_SECRET, *_DATA_SCALARS, "error")
        differs = {name for name in parts if getattr(job, name) is not getattr(before, name)}
        if differs - {"source", "reply", "result", "remote"} or _remote(job) != _remote(before):
            changed["data"] = _data(job)
        if differs & _SECRET.keys():
            changed["secret"] = _secret(job, self.vault)
        self.keep({**columns, **changed}, job)
        return changed

    def keep(self, columns: Mapping[str, Any], job: Job) -> Job:
        """Cache a job that was written as these columns."""
        if job.error is not None:  # a cached error would keep alive every object in its traceback
            return job
        return self._store(tuple(columns[name] for name in _READ), job)

    def _store(self, columns: tuple[Any, ...], job: Job) -> Job:
        with self._lock:
            self._cache.pop(job.id, None)
            self._cache[job.id] = (columns, job)
            if len(self._cache) > _MAX_CACHED_JOBS:
                del self._cache[next(iter(self._cache))]
        return job
