"""New jobs made from earlier ones: the buttons under a result, and free redelivery of kept results. Pure."""

import dataclasses
import hashlib
import json
from dataclasses import dataclass
from typing import Literal, Self, TypeAlias, assert_never, cast, get_args

from core.domain.errors import JobNotFound
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
from core.domain.parameters.spec import Value

MORE_CREATIVE_STEP = 0.2
REDELIVERY = "redeliver:"
"""The start of a redelivery's key."""

ChangeKind: TypeAlias = Literal[
    "again", "more_creative", "more_faithful", "twice_more", "factor", "same", "model", "preview", "whole"
]
CHANGES: tuple[str, ...] = get_args(ChangeKind)


@dataclass(frozen=True, slots=True)
class Change:
    """What a button changes. `factor` is set for `kind="factor"`, `model` for `kind="model"`."""

    kind: ChangeKind
    factor: float | None = None
    model: str = ""

    @classmethod
    def of(cls, kind: str, argument: str = "") -> Self:
        """Parse a button's kind and argument. Raises ValueError for an unknown kind, JobNotFound for a bad argument."""
        if kind not in CHANGES:
            raise ValueError(kind)
        known = cast(ChangeKind, kind)
        if known == "model":
            return cls(known, model=argument)
        try:
            return cls(known, float(argument) if known == "factor" else None)
        except ValueError:
            raise JobNotFound from None


def repeated_request(
    earlier: Job, actor: Requester, change: Change, *, key: str, reply: ReplyAddress, private: bool | None
) -> UpscaleRequest:
    """Make the request for a button. `again` leaves the seed out, so that a new one is chosen."""
    p = earlier.parameters
    fields = p.given()
    if p.safety:
        del fields["safety"]  # on by default, and not every model has it
    del fields["factor" if p.to is not None else "model"]
    fields["model"] = p.model
    full_id, agreed_nanousd = previewed_job_id(earlier), 0
    source = Source("job_input", job_id=earlier.id, data={"whole": full_id} if full_id else {})
    match change.kind:
        case "again":
            fields.pop("seed", None)
        case "more_creative" | "more_faithful":
            step = MORE_CREATIVE_STEP if change.kind == "more_creative" else -MORE_CREATIVE_STEP
            fields["creativity"] = min(1.0, max(0.0, round((p.creativity or 0.0) + step, 4)))
        case "twice_more":
            source = Source("job_result", job_id=earlier.id)
            _sized(fields, 2.0)
        case "factor":
            _sized(fields, change.factor if change.factor is not None else p.factor)
        case "model":
            kept = {name: value for name, value in fields.items() if name in ("factor", "to", "seed")}
            fields = {**kept, "model": change.model}
            agreed_nanousd = dict(earlier.quote.others).get(change.model, 0) if earlier.quote else 0
        case "preview":
            source = Source("job_input", job_id=earlier.id, data={"part": "detail", "whole": earlier.id})
            _sized(fields, p.factor)
            agreed_nanousd = earlier.quote.preview_nanousd if earlier.quote else 0
        case "whole":
            source = Source("job_input", job_id=full_id or earlier.id)
            agreed_nanousd = earlier.quote.whole_nanousd if earlier.quote else 0
        case "same":
            pass
        case _:
            assert_never(change.kind)
    return UpscaleRequest(
        key=key,
        requester=actor,
        source=dataclasses.replace(source, name=earlier.source.name),
        reply=reply,
        fields=fields,
        private=earlier.private if private is None else private,
        spoiler=earlier.spoiler,
        unsafe_place=not p.safety and earlier.requester.channel_id == actor.channel_id,
        parent_id=earlier.id,
        confirmed_nanousd=agreed_nanousd,
    )


def previewed_job_id(job: Job) -> str:
    """Return the id of the job that this job is a preview of; empty if it is none."""
    return job.source.data.get("whole", "")


def redelivered_job_id(job: Job) -> str:
    """Return the id of the job whose result this one only delivered again; empty if it made its own."""
    return job.parent_id if job.key.startswith(REDELIVERY) else ""


def _sized(fields: dict[str, Value], factor: float) -> None:
    fields.pop("to", None)
    fields["factor"] = factor


def redelivery(earlier: Job, actor: Requester, reply: ReplyAddress, *, now: float) -> Job:
    """Make a job that only delivers the earlier result, for free, to another address."""
    address = json.dumps({"platform": reply.platform, "data": dict(reply.data)}, sort_keys=True, default=str)
    key = f"{REDELIVERY}{earlier.id}:{hashlib.sha256(address.encode()).hexdigest()[:32]}"
    result = earlier.result
    return dataclasses.replace(
        earlier,
        id=job_id_for(key),
        key=key,
        state=JobState.DELIVERING,
        requester=actor,
        reply=reply,
        source=Source("job_result", name=earlier.source.name, job_id=earlier.id),
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
