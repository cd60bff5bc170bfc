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
    """Column values of a job, without `fingerprint`, `memo` and `takeovers`, which are not part of a snapshot."""
    data = {name: adapter.dump_python(getattr(job, name), mode="json") for name, adapter in _OPEN.items()}
    data |= {name: getattr(job, name) for name in _PLAIN}
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
        "images_deleted": job.images_deleted,
        "data": json.dumps(data, separators=(",", ":"), ensure_ascii=False),
        "secret": vault.seal(sealed),
    }


def from_row(row: Any, vault: Vault) -> Job:
    """The job again. Sealed parts that can no longer be opened come back empty."""
    data = json.loads(row.data)
    sealed = vault.unseal(row.secret) or {
        "source": {"kind": "link"},
        "reply": {"platform": row.platform},
        "remote": None,
        "result": None,
    }
    return Job(
        **{name: getattr(row, name) for name in _COLUMNS},
        state=JobState(row.state),
        images_deleted=bool(row.images_deleted),
        error=errors.from_json(data["error"]) if data.get("error") else None,
        **{name: data[name] for name in _PLAIN},
        **{name: adapter.validate_python(data.get(name)) for name, adapter in _OPEN.items()},
        **{name: adapter.validate_python(sealed.get(name)) for name, adapter in _SEALED.items()},
    )
