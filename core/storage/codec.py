"""Between a `Job` and its row. The only place that knows which part of a job is stored where."""

import json
import operator
import threading
from collections.abc import Mapping
from typing import Any, get_type_hints

import structlog
from pydantic import TypeAdapter

from core.domain import errors
from core.domain.job import Job, JobState
from core.ports import digest_of
from core.storage.encryption import Vault

_TYPES = get_type_hints(Job)


def _adapters(*names: str) -> dict[str, TypeAdapter[Any]]:
    return {name: TypeAdapter(_TYPES[name]) for name in names}


_OPEN = _adapters("requester", "parameters", "input", "quote", "progress", "receipt", "delivery")
_SEALED = _adapters("source", "reply", "remote", "result")
_PLAIN = ("private", "spoiler", "parent_id", "confirmed_nanousd")
_COLUMNS = ("id", "key", "created_at", "updated_at", "finished_at", "confirm_by_at", "cancel_requested_by")
_SAYS = (*_COLUMNS, "state", "images_deleted", "request_id", "submit_mark", "data", "secret")
"""All that a job is read from."""

CHANGING = tuple(name for name in _SAYS if name not in ("id", "key", "created_at"))

_says = operator.attrgetter(*_SAYS)

_REMEMBERED = 256

log = structlog.get_logger(__name__)


def to_row(job: Job, vault: Vault) -> dict[str, Any]:
    """Column values of a job, without `fingerprint`, `delivery_state`, `takeovers`: not part of a snapshot."""
    return {**_columns(job), "data": _data(job), "secret": _secret(job, vault)}


def _columns(job: Job) -> dict[str, Any]:
    return {
        **{name: getattr(job, name) for name in _COLUMNS},
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
    data = _dumped(job, _OPEN) | {name: getattr(job, name) for name in _PLAIN}
    if job.remote is not None:
        data["remote"] = {
            "backend": job.remote.backend,
            "intent_at": job.remote.intent_at,
            "staged_url": digest_of(job.remote.staged_url),
            "possible_double": job.remote.possible_double,
        }
    data["error"] = errors.to_json(job.error) if job.error is not None else None
    return json.dumps(data, separators=(",", ":"), ensure_ascii=False)


def _secret(job: Job, vault: Vault) -> str:
    return vault.seal(_dumped(job, _SEALED))


def _dumped(job: Job, adapters: dict[str, TypeAdapter[Any]]) -> dict[str, Any]:
    return {name: adapter.dump_python(getattr(job, name), mode="json") for name, adapter in adapters.items()}


def _unsealed(row: Any, data: dict[str, Any]) -> dict[str, Any]:
    """What stands in for a sealed half that cannot be opened: how far the paid call got is known all the same.

    A mark without a request id is *unknown* then, whatever it says: the request is looked up, never made again. Rows
    of 0.1.0 have no mark.
    """
    unfinished = not JobState(row.state).terminal
    mark = row.submit_mark or ("sending" if unfinished else "none")
    remote = None
    if row.request_id or mark != "none":
        known = {"backend": "", "intent_at": row.created_at, **data.get("remote", {})}
        remote = {**known, "request_id": row.request_id, "submit": "sent" if row.request_id else "sending"}
    return {"source": {"kind": "link"}, "reply": {"platform": row.platform}, "remote": remote, "result": None}


def from_row(row: Any, vault: Vault) -> Job:
    """The job again. Sealed parts that can no longer be opened come back empty, but for the paid call."""
    data = json.loads(row.data)
    sealed = vault.unseal(row.secret) or _unsealed(row, data)
    return Job(
        **{name: getattr(row, name) for name in _COLUMNS},
        state=JobState(row.state),
        images_deleted=bool(row.images_deleted),
        error=errors.from_json(data["error"]) if data.get("error") else None,
        **{name: data[name] for name in _PLAIN},
        **{name: adapter.validate_python(data.get(name)) for name, adapter in _OPEN.items()},
        **{name: adapter.validate_python(sealed.get(name)) for name, adapter in _SEALED.items()},
    )


class JobRows:
    """Reads and changes rows, and remembers the newest jobs: most rows are read many times for each time they change.

    Used from the event loop and from the thread that writes.
    """

    def __init__(self, vault: Vault) -> None:
        self.vault = vault
        self._newest: dict[str, tuple[tuple[Any, ...], Job]] = {}
        self._lock = threading.Lock()

    def job(self, row: Any) -> Job:
        says = _says(row)
        known = self._newest.get(row.id)
        if known is not None and known[0] == says:
            return known[1]
        return self._remember(says, from_row(row, self.vault))

    def readable(self, row: Any) -> Job | None:
        """The same; None for what only a newer release beside this one can read, and has in hand."""
        try:
            return self.job(row)
        except ValueError:
            log.warning("job_not_readable", job=row.id, state=row.state)
            return None

    def newest(self, job_id: str) -> tuple[dict[str, Any], Job | None]:
        """What the row said when it was last read or changed here, and its job; nothing if that is long ago."""
        says, job = self._newest.get(job_id, ((), None))
        return dict(zip(_SAYS, says, strict=False)), job

    def changes(self, says: Mapping[str, Any], before: Job, job: Job) -> dict[str, Any]:
        """The columns in which the job differs from `before`, which the row `says`: an index is left as it is then."""
        old = _columns(before)
        changed = {name: value for name, value in _columns(job).items() if old[name] != value}
        parts = (*_OPEN, *_SEALED, *_PLAIN, "error")
        differs = {name for name in parts if getattr(job, name) is not getattr(before, name)}
        if differs - {"source", "reply", "result"}:
            changed["data"] = _data(job)
        if differs & _SEALED.keys():
            changed["secret"] = _secret(job, self.vault)
        if job.error is None:  # one that was raised keeps everything alive that it passed
            self._remember(tuple(changed.get(name, says[name]) for name in _SAYS), job)
        return changed

    def _remember(self, says: tuple[Any, ...], job: Job) -> Job:
        with self._lock:
            self._newest.pop(job.id, None)
            self._newest[job.id] = (says, job)
            if len(self._newest) > _REMEMBERED:
                del self._newest[next(iter(self._newest))]
        return job
