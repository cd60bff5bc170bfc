"""Between a `Job` and its row. The only place that knows which part of a job is stored where."""

from __future__ import annotations

import json
from typing import Any

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
    Requester,
    Result,
    Source,
)
from core.domain.parameters.spec import Parameters
from core.ports.upscaler import digest_of
from core.storage.encryption import Vault

_OPEN: dict[str, TypeAdapter[Any]] = {
    "requester": TypeAdapter(Requester),
    "parameters": TypeAdapter(Parameters),
    "input": TypeAdapter(InputFacts | None),
    "quote": TypeAdapter(Quote | None),
    "progress": TypeAdapter(Progress | None),
    "receipt": TypeAdapter(Receipt | None),
    "delivery": TypeAdapter(Delivery | None),
}
_SEALED: dict[str, TypeAdapter[Any]] = {
    "source": TypeAdapter(Source),
    "reply": TypeAdapter(ReplyAddress),
    "remote": TypeAdapter(Remote | None),
    "result": TypeAdapter(Result | None),
}
_PLAIN = ("private", "spoiler", "parent_id", "confirmed_nanousd")
_COLUMNS = ("id", "key", "created_at", "updated_at", "finished_at", "confirm_by_at", "cancel_requested_by")


def to_row(job: Job, vault: Vault) -> dict[str, Any]:
    """Column values of a job, without `fingerprint`, `delivery_state`, `takeovers`: not part of a snapshot."""
    data = {name: adapter.dump_python(getattr(job, name), mode="json") for name, adapter in _OPEN.items()}
    data |= {name: getattr(job, name) for name in _PLAIN}
    if job.remote is not None:
        data["remote"] = {
            "backend": job.remote.backend,
            "intent_at": job.remote.intent_at,
            "staged_url": digest_of(job.remote.staged_url),
            "possible_double": job.remote.possible_double,
        }
    data["error"] = errors.to_json(job.error) if job.error is not None else None
    sealed = {name: adapter.dump_python(getattr(job, name), mode="json") for name, adapter in _SEALED.items()}
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
        "data": json.dumps(data, separators=(",", ":"), ensure_ascii=False),
        "secret": vault.seal(sealed),
    }


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
