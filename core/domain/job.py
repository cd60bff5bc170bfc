"""The job and its parts, as frozen data without I/O. Field names are stored as JSON and never change."""

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
"""Crockford's alphabet: no i, l, o or u, so that a reference can be read aloud."""


class JobState(StrEnum):
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
        return self in {JobState.SUCCEEDED, JobState.FAILED, JobState.CANCELLED, JobState.REFUSED}


def job_id_for(key: str) -> str:
    """Return the job's id, also the reference that people see: 60 bits of the key's SHA-256 as 12 characters."""
    bits = int.from_bytes(hashlib.sha256(key.encode()).digest()[:8], "big") >> 4
    return "".join(_BASE32[(bits >> shift) & 31] for shift in range(55, -1, -5))


@dataclass(frozen=True, slots=True)
class Requester:
    """A person, where they act, and their rights at that moment. Ids are the platform's own strings.

    `workspace_id` is the Discord server or Slack team, empty in Discord DMs and on the local page; `org_id` is its
    organisation, if any. In a thread that is a channel of its own, `parent_channel_id` is the channel of the thread.
    `is_outsider`: of another organisation, in a shared channel. `brought_by_user`: the user installed the bot.
    """

    platform: str
    user_id: str
    user_name: str = ""
    workspace_id: str = ""
    channel_id: str = ""
    parent_channel_id: str = ""
    role_ids: tuple[str, ...] = ()
    is_moderator: bool = False
    is_operator: bool = False
    locale: str = "en"
    is_outsider: bool = False
    org_id: str = ""
    brought_by_user: bool = False


@dataclass(frozen=True, slots=True)
class Source:
    """Where the image comes from.

    - `link`: a URL that a person typed; fetched through the guard.
    - `attachment`: a file of the chat platform; the adapter's `download` fetches it by `url` and `data`.
    - `upload`: a file on our disk at `path`.
    - `job_input`, `job_result`: the input or the result of job `job_id`.
    """

    kind: Literal["link", "attachment", "upload", "job_input", "job_result"]
    url: str = ""
    path: str = ""
    name: str = ""
    job_id: str = ""
    data: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class ReplyAddress:
    """Where the answer goes: the platform, and JSON with which its adapter can answer from any process.

    Stored encrypted, because it may hold an interaction token.
    """

    platform: str
    data: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class UpscaleRequest:
    """A request to enlarge one image, made by an adapter.

    `key` is the idempotency key: the same platform event always has the same key and becomes the same job. `text`
    holds parameters as typed, `fields` those from typed options (chat or API names). `unsafe_place`: the channel is
    age-restricted, so `safety` may be off. `confirmed_nanousd` is a price that the member agreed to.
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
    """Facts of the received image. Width and height are upright; `sha256` is of the received bytes."""

    format: str
    width_px: int
    height_px: int
    bytes: int
    sha256: str
    notes: tuple[InputNote, ...] = ()


@dataclass(frozen=True, slots=True)
class Quote:
    """The estimate before anything is sent. `megapixels` is the model's output, rounded up.

    `others` are cheaper models (id, nano-dollars). `preview_nanousd` is the price of a preview of the most detailed
    part; `whole_nanousd`, in the quote of such a preview, that of the full image; 0 where there is none.
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
    """The actual charge, kept apart from the estimate.

    `basis` says how it is known: fal's billable units, the delivered size, an earlier job's result (free), not
    charged, or `unknown` (counted at the estimate until reconciled). `unclear`: the provider's bill was out of range.
    """

    charged_nanousd: int
    estimate_nanousd: int
    basis: Literal["units", "size", "repeat", "none", "unknown"]
    units: Decimal | None = None
    unit_price_nanousd: int = 0
    play_money: bool = False
    unclear: bool = False


ResultNote = Literal["other_size", "unchanged", "flagged"]
"""How a result differs from the request: another size, identical to the input, or flagged by the safety check."""


@dataclass(frozen=True, slots=True)
class Result:
    """The enlarged image. `path` is relative to the data directory of this machine, and may no longer exist.

    `link`: URL of the full file, if any. `similarity`: None if not measured. `repeat_of`: the earlier job it is from.
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
    """How the result reached the member: the file's `shape`, and whether it went elsewhere."""

    shape: DeliveryKind
    elsewhere: Literal["", "direct_message", "new_message"] = ""


Awaited = Literal["source", "accept", "search", "start", "answer", "file", "room", "chat"]
"""What a delayed job waits for: `source`: the image from the chat platform; `accept`: the provider to accept the
request; `search`: to find a request whose answer was lost; `start`: a runner; `answer`: the outcome; `file`: the
result's file; `room`: room for it on our disk; `chat`: the chat platform to accept the message."""


@dataclass(frozen=True, slots=True)
class Progress:
    """The newest known progress. `position` is the number of requests ahead in the queue; times are unix seconds.

    `awaits` is what is late, and `until_at` the moment at which the job gives up waiting for it.
    """

    stage: Literal["preparing", "turn", "waiting", "upscaling", "delivering"]
    position: int | None = None
    percent: float | None = None
    eta_at: float | None = None
    awaits: Awaited | None = None
    until_at: float | None = None


@dataclass(frozen=True, slots=True)
class ModelOutput:
    """A model's outputs as reported by the provider. `units` are billed megapixels; `image_url` is https or `data:`.

    Stored with the job, because the provider may forget them sooner than the file. `flagged`: by its safety check.
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
    """The request at the provider. `submit` is how far the one paid call got; see `core.jobs.steps.submit`.

    `made` is set from the moment the outcome is known until its file is downloaded.
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
    """A snapshot of one job's row. `id` is the reference that people see; times are unix seconds."""

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
        """Whether the job has ended and its message, which shows no image, needs a closing text."""
        if self.state is not JobState.SUCCEEDED:
            return self.state.terminal
        return self.delivery is not None and (self.delivery.shape == "kept" or bool(self.delivery.elsewhere))

    @property
    def has_image(self) -> bool:
        """Whether its result can be had. Also that of a job that was cancelled too late and billed all the same."""
        ended = self.state in (JobState.SUCCEEDED, JobState.CANCELLED)
        return ended and self.result is not None and not self.images_deleted
