"""Every way a request can fail, as a tree of facts. Sentences for people are made in `core.messages`.

    UpscaleError
    ├── RequestError            what was asked cannot be done as asked
    │   ├── InvalidParameters   ├── NoImage            ├── UnsafeNotAllowed
    │   ├── NotAllowed          ├── JobNotFound        ├── TooLate          └── QuoteExpired
    ├── InputError              the picture, or the way to it, is at fault
    │   ├── NotAnImage          ├── UnsupportedFormat  ├── DamagedImage     ├── FileTooLarge
    │   ├── TooManyPixels       ├── ImageTooSmall      ├── OutputTooLarge   ├── ImageTooCostly
    │   ├── LinkRefused         └── DownloadFailed
    ├── BudgetError             a limit, a pause, or the ledger says no
    │   ├── LimitReached        ├── TooManyWaiting     ├── Paused           └── LedgerUnavailable
    ├── ModelError              the model answered with an error
    │   ├── ImageRejected       ├── ContentRejected    ├── InvalidForModel  └── ModelFailed
    ├── ProviderError           fal itself, or the way to it, is at fault
    │   ├── ProviderHalted      ├── ProviderBusy       ├── ProviderUnavailable
    │   ├── SubmitNotSent       ├── SubmitUnknown      ├── RequestLost      └── ResultExpired
    ├── DeliveryError           the chat platform refuses or is away
    │   ├── DeliveryRefused     └── DeliveryUnavailable
    ├── Draining                this process is shutting down
    └── InternalError           the unforeseen; carries only its reference

Each class is a dataclass whose fields are JSON facts, so that an error can be stored with its job and explained
later, in another language, by another process. Nothing here may hold a link, a token or a file's bytes.
"""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from decimal import Decimal
from functools import cache
from typing import Any, ClassVar, Literal, get_type_hints

from pydantic import TypeAdapter
from pydantic_core import to_jsonable_python

from core.limits import LimitStatus


class UpscaleError(Exception):
    """Base of the tree. `code` is the stable machine name used by the HTTP API and the database."""

    code: ClassVar[str] = "error"

    def __str__(self) -> str:
        """For logs only: the code. Facts may hold what a person typed and stay out of log lines."""
        return self.code


class RequestError(UpscaleError):
    """What was asked cannot be done as asked; nothing was started."""

    code = "request"


@dataclass(frozen=True, slots=True)
class ParameterProblem:
    """One wrong parameter: the name as typed, the value as typed, what is allowed, the nearest known name."""

    name: str
    value: str
    kind: Literal["unknown", "range", "type", "missing_value", "duplicate", "stray"]
    allowed: str = ""
    suggestion: str | None = None


@dataclass(eq=False, kw_only=True)
class InvalidParameters(RequestError):
    """All problems of one text at once."""

    code: ClassVar[str] = "invalid_parameters"
    problems: tuple[ParameterProblem, ...]


@dataclass(eq=False, kw_only=True)
class NoImage(RequestError):
    """Neither an attachment, nor a link, nor an image in the message."""

    code: ClassVar[str] = "no_image"


@dataclass(eq=False, kw_only=True)
class UnsafeNotAllowed(RequestError):
    """`safety` off was asked where the operator or the place does not allow it."""

    code: ClassVar[str] = "unsafe_not_allowed"
    reason: Literal["operator", "place"]


@dataclass(eq=False, kw_only=True)
class NotAllowed(RequestError):
    """This person may not do this. `needs` is `requester`, `moderator` or `operator`."""

    code: ClassVar[str] = "not_allowed"
    needs: Literal["requester", "requester_or_moderator", "moderator", "operator"]


@dataclass(eq=False, kw_only=True)
class JobNotFound(RequestError):
    """No such job, or it belongs to another workspace (which is told apart from nobody)."""

    code: ClassVar[str] = "job_not_found"


@dataclass(eq=False, kw_only=True)
class TooLate(RequestError):
    """The job is past the state in which this could be done."""

    code: ClassVar[str] = "too_late"
    state: str


@dataclass(eq=False, kw_only=True)
class QuoteExpired(RequestError):
    """The price was not confirmed in time."""

    code: ClassVar[str] = "quote_expired"


class InputError(UpscaleError):
    """The picture, or the way to it, is at fault. Nothing was charged."""

    code = "input"


@dataclass(eq=False, kw_only=True)
class NotAnImage(InputError):
    """The bytes are no picture; `detected` names what they look like, where that is known (`html`, `pdf` …)."""

    code: ClassVar[str] = "not_an_image"
    detected: str | None = None


@dataclass(eq=False, kw_only=True)
class UnsupportedFormat(InputError):
    """A picture of a kind that cannot be read here."""

    code: ClassVar[str] = "unsupported_format"
    format: str


@dataclass(eq=False, kw_only=True)
class DamagedImage(InputError):
    """Truncated or corrupt."""

    code: ClassVar[str] = "damaged_image"
    detail: str = ""


@dataclass(eq=False, kw_only=True)
class FileTooLarge(InputError):
    """`bytes` is None where reading stopped at the limit."""

    code: ClassVar[str] = "file_too_large"
    bytes: int | None
    limit_bytes: int


@dataclass(eq=False, kw_only=True)
class TooManyPixels(InputError):
    """The input itself has more pixels than allowed."""

    code: ClassVar[str] = "too_many_pixels"
    width_px: int
    height_px: int
    limit_px: int


@dataclass(eq=False, kw_only=True)
class ImageTooSmall(InputError):
    """A side is shorter than the smallest allowed."""

    code: ClassVar[str] = "image_too_small"
    width_px: int
    height_px: int
    min_side_px: int


@dataclass(eq=False, kw_only=True)
class OutputTooLarge(InputError):
    """Scaled by the asked factor the result would pass a limit; `largest_factor` is None where none fits."""

    code: ClassVar[str] = "output_too_large"
    width_px: int
    height_px: int
    limit_px: int
    limit_side_px: int
    largest_factor: float | None


@dataclass(eq=False, kw_only=True)
class ImageTooCostly(InputError):
    """Decoding took too long or too much memory and was stopped."""

    code: ClassVar[str] = "image_too_costly"


@dataclass(eq=False, kw_only=True)
class LinkRefused(InputError):
    """A typed link that is not fetched, whatever it holds."""

    code: ClassVar[str] = "link_refused"
    reason: Literal["scheme", "port", "credentials", "private_address", "dns", "redirects", "syntax"]


@dataclass(eq=False, kw_only=True)
class DownloadFailed(InputError):
    """The file could not be had from where it lies."""

    code: ClassVar[str] = "download_failed"
    reason: Literal[
        "status",
        "timeout",
        "connection",
        "truncated",
        "login_page",
        "gone",
        "not_ready",
        "not_visible",
        "external",
    ]
    status: int | None = None


class BudgetError(UpscaleError):
    """A limit, a pause, or the ledger says no. Nothing was charged."""

    code = "budget"


@dataclass(eq=False, kw_only=True)
class LimitReached(BudgetError):
    """The first limit that does not hold the job, with what was asked of it, in its own unit."""

    code: ClassVar[str] = "limit_reached"
    status: LimitStatus
    needed: int
    largest_factor: float | None = None


@dataclass(eq=False, kw_only=True)
class TooManyWaiting(BudgetError):
    """The member already has the allowed number of jobs waiting their turn."""

    code: ClassVar[str] = "too_many_waiting"
    limit: int


@dataclass(eq=False, kw_only=True)
class Paused(BudgetError):
    """New jobs are paused. `by` is `operator` or `moderator`."""

    code: ClassVar[str] = "paused"
    by: Literal["operator", "moderator"]


@dataclass(eq=False, kw_only=True)
class LedgerUnavailable(BudgetError):
    """The ledger does not answer, so nothing may be spent."""

    code: ClassVar[str] = "ledger_unavailable"


@dataclass(eq=False, kw_only=True)
class ModelError(UpscaleError):
    """The model answered with an error. `billed` is None where fal did not say; `billed_units` is what it billed."""

    code: ClassVar[str] = "model"
    billed: bool | None = None
    billed_units: Decimal | None = None


@dataclass(eq=False, kw_only=True)
class ImageRejected(ModelError):
    """The model would not take the picture; limits are given where fal named them."""

    code: ClassVar[str] = "image_rejected"
    reason: Literal["too_small", "too_large", "unreadable", "format", "download", "file_too_large", "no_media"]
    limit_width_px: int | None = None
    limit_height_px: int | None = None
    limit_bytes: int | None = None


@dataclass(eq=False, kw_only=True)
class ContentRejected(ModelError):
    """The safety checker refused the picture."""

    code: ClassVar[str] = "content_rejected"


@dataclass(eq=False, kw_only=True)
class InvalidForModel(ModelError):
    """The model refused a value that we allow; `parameter` is the chat name."""

    code: ClassVar[str] = "invalid_for_model"
    parameter: str
    rule: str = ""


@dataclass(eq=False, kw_only=True)
class ModelFailed(ModelError):
    """The model broke while working. `kind` is fal's error type, for the operator."""

    code: ClassVar[str] = "model_failed"
    kind: str = "unknown"
    retryable: bool = False


class ProviderError(UpscaleError):
    """fal itself, or the way to it, is at fault."""

    code = "provider"


@dataclass(eq=False, kw_only=True)
class ProviderHalted(ProviderError):
    """fal takes no work from us at all: out of credit, or the key is refused. A global state, not a job's fault."""

    code: ClassVar[str] = "provider_halted"
    kind: Literal["credit", "key"]


@dataclass(eq=False, kw_only=True)
class ProviderBusy(ProviderError):
    """fal surely did not take the request and says when to come back (429)."""

    code: ClassVar[str] = "provider_busy"
    retry_after_s: float | None = None


@dataclass(eq=False, kw_only=True)
class ProviderUnavailable(ProviderError):
    """fal could not be reached for a read, for longer than we wait."""

    code: ClassVar[str] = "provider_unavailable"


@dataclass(eq=False, kw_only=True)
class SubmitNotSent(ProviderError):
    """The submit surely never left: safe to try again."""

    code: ClassVar[str] = "submit_not_sent"


@dataclass(eq=False, kw_only=True)
class SubmitUnknown(ProviderError):
    """The submit may have arrived. Never sent again blindly; `refused_likely` marks a gateway's plain 503."""

    code: ClassVar[str] = "submit_unknown"
    refused_likely: bool = False


@dataclass(eq=False, kw_only=True)
class RequestLost(ProviderError):
    """fal no longer knows the request."""

    code: ClassVar[str] = "request_lost"


@dataclass(eq=False, kw_only=True)
class ResultExpired(ProviderError):
    """fal finished, but its result is no longer kept."""

    code: ClassVar[str] = "result_expired"


class DeliveryError(UpscaleError):
    """The chat platform refuses the answer, or is away. The result is kept."""

    code = "delivery"


@dataclass(eq=False, kw_only=True)
class DeliveryRefused(DeliveryError):
    """No way of delivering is left; trying again is useless."""

    code: ClassVar[str] = "delivery_refused"
    reason: Literal["gone", "forbidden", "revoked", "too_old", "refused"]


@dataclass(eq=False, kw_only=True)
class DeliveryUnavailable(DeliveryError):
    """The platform is away or limits us; try again later."""

    code: ClassVar[str] = "delivery_unavailable"
    retry_after_s: float | None = None


@dataclass(eq=False, kw_only=True)
class Draining(UpscaleError):
    """This process is shutting down and takes nothing new."""

    code: ClassVar[str] = "draining"


@dataclass(eq=False, kw_only=True)
class InternalError(UpscaleError):
    """Something unforeseen; the log has it under `reference`."""

    code: ClassVar[str] = "internal"
    reference: str = ""


def leaves(root: type[UpscaleError] = UpscaleError) -> list[type[UpscaleError]]:
    """Every class of the tree that can be raised, in drawn order."""
    below = [leaf for child in root.__subclasses__() for leaf in leaves(child)]
    return below if below else [root]


@cache
def _registry() -> dict[str, type[UpscaleError]]:
    return {leaf.code: leaf for leaf in leaves()}


def _fact_names(kind: Any) -> list[str]:
    return [field.name for field in dataclasses.fields(kind)] if dataclasses.is_dataclass(kind) else []


def to_json(error: UpscaleError) -> dict[str, Any]:
    """`{"code", "facts"}`, JSON-safe."""
    facts = {name: to_jsonable_python(getattr(error, name)) for name in _fact_names(type(error))}
    return {"code": error.code, "facts": facts}


def from_json(data: dict[str, Any]) -> UpscaleError:
    """The stored error again. An unknown code, or facts of an older version, become `InternalError`."""
    kind = _registry().get(str(data.get("code")))
    if kind is None:
        return InternalError()
    hints = get_type_hints(kind)
    given = data.get("facts", {})
    try:
        known = [name for name in _fact_names(kind) if name in given]
        return kind(**{name: TypeAdapter(hints[name]).validate_python(given[name]) for name in known})
    except (TypeError, ValueError):
        return InternalError()
