"""What was asked cannot be done as asked."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Literal

from core.domain.errors.base import UpscaleError


class RequestError(UpscaleError):
    """What was asked cannot be done as asked; nothing was started."""

    code = "request"


@dataclass(frozen=True, slots=True)
class ParameterProblem:
    """One wrong parameter: the name as typed, the value as typed, what is allowed, the nearest known name.

    `together`: this and another size, or a factor, cannot both be given. `not_in_model`: `value` is the model, and
    `allowed` are the inputs that it has.
    """

    name: str
    value: str
    kind: Literal["unknown", "range", "type", "missing_value", "duplicate", "stray", "not_in_model", "together"]
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
class StorageFull(RequestError):
    """No room for another picture: the member's unpaid, or all of theirs, take their share, or the disk is full."""

    code: ClassVar[str] = "storage_full"
    reason: Literal["member", "kept", "disk"]


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
class NotAdmitted(RequestError):
    """The operator does not pay for this person's upscales here. `refused`: they were asked and said no."""

    code: ClassVar[str] = "not_admitted"
    kind: Literal["workspace", "user", "outsider"]
    refused: bool = False


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


@dataclass(eq=False, kw_only=True)
class PlatformRefused(RequestError):
    """The chat platform did not let us do what a button or command asked for."""

    code: ClassVar[str] = "platform_refused"


@dataclass(eq=False, kw_only=True)
class PlatformBusy(RequestError):
    """The chat platform is away or asks for a pause, while a button or command is handled."""

    code: ClassVar[str] = "platform_busy"
