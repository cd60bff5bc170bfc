"""New jobs out of earlier ones: what each button under a result changes, and free deliveries of kept results. Pure."""

from __future__ import annotations

import dataclasses
import hashlib
import json
from dataclasses import dataclass
from typing import Literal, assert_never

from core.domain.job import (
    Job,
    JobState,
    Progress,
    Receipt,
    ReplyAddress,
    Requester,
    Source,
    UpscaleRequest,
    job_id_for,
)

MORE_CREATIVE_STEP = 0.2


@dataclass(frozen=True, slots=True)
class Change:
    """What a button under a result asks for. `factor` is for `kind="factor"` (a smaller factor that fits)."""

    kind: Literal["again", "more_creative", "twice_more", "factor", "same"]
    factor: float | None = None


def repeated_request(
    earlier: Job, actor: Requester, change: Change, *, key: str, reply: ReplyAddress, private: bool | None
) -> UpscaleRequest:
    """The request that a button stands for. `again` leaves the seed out, so that a new one is chosen."""
    p = earlier.parameters
    fields = p.given()
    if p.safety:
        del fields["safety"]  # on wherever there is one
    source = Source("job_input", job_id=earlier.id)
    if change.kind == "again":
        fields.pop("seed", None)
    elif change.kind == "more_creative":
        fields["creativity"] = min(1.0, round((p.creativity or 0.0) + MORE_CREATIVE_STEP, 4))
    elif change.kind == "twice_more":
        source = Source("job_result", job_id=earlier.id)
        fields["factor"] = 2.0
    elif change.kind == "factor":
        fields["factor"] = change.factor if change.factor is not None else p.factor
    elif change.kind != "same":
        assert_never(change.kind)
    return UpscaleRequest(
        key=key,
        requester=actor,
        source=source,
        reply=reply,
        fields=fields,
        private=earlier.private if private is None else private,
        spoiler=earlier.spoiler,
        unsafe_place=not p.safety and earlier.requester.channel_id == actor.channel_id,
        parent_id=earlier.id,
    )


def redelivery(earlier: Job, actor: Requester, reply: ReplyAddress, *, now: float) -> Job:
    """A job that is done but for its delivery: the earlier result, free, to another address."""
    address = json.dumps({"platform": reply.platform, "data": dict(reply.data)}, sort_keys=True, default=str)
    key = f"redeliver:{earlier.id}:{hashlib.sha256(address.encode()).hexdigest()[:32]}"
    result = earlier.result
    return dataclasses.replace(
        earlier,
        id=job_id_for(key),
        key=key,
        state=JobState.DELIVERING,
        requester=actor,
        reply=reply,
        source=Source("job_result", job_id=earlier.id),
        created_at=now,
        updated_at=now,
        finished_at=None,
        confirm_by_at=None,
        parent_id=earlier.id,
        progress=Progress("delivering"),
        receipt=Receipt(0, 0, "repeat", play_money=earlier.receipt.play_money if earlier.receipt else False),
        result=dataclasses.replace(result, repeat_of=result.repeat_of or earlier.id) if result else None,
        remote=dataclasses.replace(earlier.remote, request_id="") if earlier.remote else None,
        delivery=None,
        error=None,
        cancel_requested_by="",
    )
