"""What a job is, as frozen data that travels between rooms. No behaviour, no I/O."""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from enum import StrEnum
from typing import Any, Literal

from core.domain.errors import UpscaleError
from core.domain.limits import LimitStatus
from core.domain.parameters.spec import Parameters
from core.domain.similarity import Similarity

_BASE32 = "0123456789abcdefghjkmnpqrstvwxyz"
"""Crockford's alphabet: no i, l, o or u, so that a reference survives being read aloud."""


class JobState(StrEnum):
    """Where a job is. The last four are terminal."""

    AWAITING_CONFIRMATION = "awaiting_confirmation"
    QUEUED = "queued"
    RUNNING = "running"
    DELIVERING = "delivering"
    SUCCEEDED = "succeeded"
    FAILED = "failed"
    CANCELLED = "cancelled"
    REFUSED = "refused"

    @property
    def terminal(self) -> bool:
        """Whether nothing more will happen to the job by itself."""
        return self in {JobState.SUCCEEDED, JobState.FAILED, JobState.CANCELLED, JobState.REFUSED}


def job_id_for(key: str) -> str:
    """The job's id, which is also the reference people see: 60 bits of the key's SHA-256 as 12 characters."""
    bits = int.from_bytes(hashlib.sha256(key.encode()).digest()[:8], "big") >> 4
    return "".join(_BASE32[(bits >> shift) & 31] for shift in range(55, -1, -5))


@dataclass(frozen=True, slots=True)
class Requester:
    """A person acting somewhere: who, where, and with which rights. Ids are the platform's own strings.
    `workspace_id` is the Discord server or Slack team, empty in Discord DMs and on the local page. `is_moderator`
    is what the platform said of this person in this workspace when the action arrived. `is_outsider`: a person of
    another organisation in a shared channel. `org_id` is the org that the workspace belongs to, where there is one.
    `brought_by_user`: only this person installed the bot here, not the workspace.
    """

    platform: str
    user_id: str
    user_name: str = ""
    workspace_id: str = ""
    channel_id: str = ""
    role_ids: tuple[str, ...] = ()
    is_moderator: bool = False
    is_operator: bool = False
    locale: str = "en"
    is_outsider: bool = False
    org_id: str = ""
    brought_by_user: bool = False


@dataclass(frozen=True, slots=True)
class Source:
    """Where the picture comes from.
    - `link`: a web address that a person typed; fetched through the guard.
    - `attachment`: a file of the chat platform; the adapter's `download` says how to fetch it, from `url` and `data`.
    - `upload`: bytes that already lie on our disk at `path`.
    - `job_input`, `job_result`: the picture that went into, or came out of, job `job_id`.
    """

    kind: Literal["link", "attachment", "upload", "job_input", "job_result"]
    url: str = ""
    path: str = ""
    name: str = ""
    job_id: str = ""
    data: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class ReplyAddress:
    """Where the answer goes: a platform's name and whatever JSON its adapter needs to answer from any process.
    Stored encrypted, because it may hold an interaction token.
    """

    platform: str
    data: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class UpscaleRequest:
    """One picture to enlarge, as an adapter hands it over.
    `key` is the idempotency key: the same platform event always carries the same key and becomes the same job.
    `text` holds parameters as typed; `fields` holds those that came as typed options (chat or API names); both may
    be present, `fields` win. `unsafe_place` says that the place is age-restricted, so that `safety` may be off
    there. `confirmed_nanousd` is a price that the member has already agreed to by pressing a button that showed it.
    """

    key: str
    requester: Requester
    source: Source
    reply: ReplyAddress
    text: str = ""
    fields: Mapping[str, str | int | float | bool] = field(default_factory=dict)
    private: bool = False
    spoiler: bool = False
    unsafe_place: bool = False
    parent_id: str = ""
    confirmed_nanousd: int = 0


InputNote = Literal["alpha_flattened", "first_frame", "converted", "incomplete"]


@dataclass(frozen=True, slots=True)
class InputFacts:
    """The picture as it was handed in, upright. `sha256` is of the received bytes."""

    format: str
    width_px: int
    height_px: int
    bytes: int
    sha256: str
    notes: tuple[InputNote, ...] = ()


@dataclass(frozen=True, slots=True)
class Quote:
    """The price before anything is sent. `megapixels` is of the model's picture, rounded up to a whole one.
    `others` are cheaper models (id, nano-dollars); `preview_nanousd` is the price of a look at the most detailed part,
    `whole_nanousd`, of such a part, that of the whole picture; 0 where there is none.
    """

    width_px: int
    height_px: int
    out_width_px: int
    out_height_px: int
    megapixels: int
    unit_price_nanousd: int
    estimate_nanousd: int
    needs_confirmation: bool = False
    left: tuple[LimitStatus, ...] = ()
    others: tuple[tuple[str, int], ...] = ()
    preview_nanousd: int = 0
    whole_nanousd: int = 0


@dataclass(frozen=True, slots=True)
class Receipt:
    """What was really charged, kept apart from the estimate.
    `basis` says how it is known: fal's billable units, the delivered size, an earlier job's result (free), not
    charged at all, or not yet known (`unknown`: counted at the estimate until reconciled). `unclear`: the provider
    named a bill, but one out of any range.
    """

    charged_nanousd: int
    estimate_nanousd: int
    basis: Literal["units", "size", "repeat", "none", "unknown"]
    units: Decimal | None = None
    unit_price_nanousd: int = 0
    play_money: bool = False
    unclear: bool = False


ResultNote = Literal["other_size", "unchanged", "flagged"]
"""How a result is not what was asked: another size, the very file that was sent, or marked by the safety check."""


@dataclass(frozen=True, slots=True)
class Result:
    """The larger picture. `path` is on this machine's disk, relative to the data directory, and may be gone.

    `link` is an address under which the full file can be had while it is kept; None where there is none.
    `similarity` is None where it was not measured.
    `repeat_of` names the earlier job whose result this is, for a free repeat.
    """

    width_px: int
    height_px: int
    bytes: int
    mime: str
    path: str
    seed: int
    inference_s: float | None
    caption: str
    link: str | None = None
    repeat_of: str = ""
    notes: tuple[ResultNote, ...] = ()
    similarity: Similarity | None = None


DeliveryKind = Literal["original", "lossless_webp", "webp", "jpeg", "preview", "link", "direct_message", "kept", "page"]


@dataclass(frozen=True, slots=True)
class Delivery:
    """How the result reached the member: `shape` of the file, and whether it went to another place."""

    shape: DeliveryKind
    elsewhere: Literal["", "direct_message", "new_message"] = ""


Awaited = Literal["source", "accept", "search", "start", "answer", "file", "chat"]
"""What is waited for: the picture from the chat platform; of the provider, that it takes new work, that a request whose
answer got lost is found there, that a runner begins, the outcome, the file that was made."""


@dataclass(frozen=True, slots=True)
class Progress:
    """The newest known progress. `position` counts requests ahead, in `line`'s queue; `eta_at` is unix seconds.

    `awaits` says what is being waited for that is late, and `until_at` (unix seconds) for how long.
    """

    stage: Literal["preparing", "turn", "waiting", "upscaling", "delivering"]
    position: int | None = None
    percent: float | None = None
    eta_at: float | None = None
    awaits: Awaited | None = None
    until_at: float | None = None


@dataclass(frozen=True, slots=True)
class ModelOutput:
    """A model's outputs, as the provider tells them, which may forget them sooner than the file. `units` are MP billed.
    Only `image_url` (https, or a `data:` URI) is sure to be there. `flagged`: by the model's own safety check.
    """

    image_url: str
    seed: int | None = None
    inference_s: float | None = None
    caption: str = ""
    units: Decimal | None = None
    file_bytes: int | None = None
    flagged: bool = False


@dataclass(frozen=True, slots=True)
class Remote:
    """The request at the provider. `submit` tells how far the one paid call got; see `core.jobs.steps`.

    `made` is there from the moment the outcome is known until its file lies here.
    """

    backend: str
    staged_url: str = ""
    submit: Literal["none", "intent", "sending", "sent"] = "none"
    intent_at: float = 0.0
    request_id: str = ""
    image_url: str = ""
    possible_double: bool = False
    made: ModelOutput | None = None


@dataclass(frozen=True, slots=True)
class Job:
    """A snapshot of one job's row. Times are unix seconds."""

    id: str
    key: str
    state: JobState
    requester: Requester
    source: Source
    reply: ReplyAddress
    parameters: Parameters
    created_at: float
    updated_at: float
    private: bool = False
    spoiler: bool = False
    parent_id: str = ""
    confirmed_nanousd: int = 0
    confirm_by_at: float | None = None
    finished_at: float | None = None
    input: InputFacts | None = None
    quote: Quote | None = None
    progress: Progress | None = None
    remote: Remote | None = None
    receipt: Receipt | None = None
    result: Result | None = None
    delivery: Delivery | None = None
    error: UpscaleError | None = None
    cancel_requested_by: str = ""
    images_deleted: bool = False

    @property
    def needs_closing_message(self) -> bool:
        """Whether this ended job's own message does not show its picture, so that words have to close it."""
        if self.state is not JobState.SUCCEEDED:
            return self.state.terminal
        return self.delivery is not None and (self.delivery.shape == "kept" or bool(self.delivery.elsewhere))

    @property
    def reference(self) -> str:
        """What people are shown and what `python -m bot job REF` takes."""
        return self.id
