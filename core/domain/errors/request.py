"""Errors of the request itself, and of the budget."""

from dataclasses import dataclass
from typing import Literal, Self, TypeAlias

from core.domain.errors.base import UpscaleError
from core.domain.limits import LimitStatus


class RequestError(UpscaleError):
    """The request cannot be carried out as it is; nothing was started."""


ProblemKind: TypeAlias = Literal[
    "unknown",
    "range",
    "type",
    "missing_value",
    "duplicate",
    "stray",
    "not_in_model",
    "together",
    "too_many",
    "too_long",
    "no_link",
]


@dataclass(frozen=True, slots=True)
class ParameterProblem:
    """One invalid parameter: name and value as typed, the allowed values, and the closest known name.

    `together`: two sizes, or a size and a factor, were given. `not_in_model`: `value` is the model and `allowed` are
    its inputs.
    """

    name: str
    value: str
    kind: ProblemKind
    allowed: str = ""
    suggestion: str | None = None


class InvalidParameters(RequestError):
    """All problems of one request."""

    problems: tuple[ParameterProblem, ...]

    @classmethod
    def of(cls, name: str, value: str, kind: ProblemKind, allowed: str = "") -> Self:
        """Make an error with one problem; `value` is truncated for display."""
        return cls(problems=(ParameterProblem(name, value[:60], kind, allowed),))


class PresetRefused(RequestError):
    """A member's own preset cannot be saved or deleted; `names` are the presets that the member has.

    The name is already a built-in `preset`, a `parameter` or a reserved `word`, or has an invalid `shape`.
    `not_kept`: the parameter `name` cannot be part of a preset because it belongs to one image.
    """

    reason: Literal["preset", "parameter", "word", "shape", "too_many", "unknown", "not_kept"]
    name: str
    names: tuple[str, ...] = ()
    limit: int = 0


class NoImage(RequestError):
    """The message has no attachment, link or image."""


class StorageFull(RequestError):
    """No room for another image: the member's unpaid images, or all they keep, fill their share, or the disk is full.

    `export`: the member's last export still exists.
    """

    reason: Literal["member", "kept", "disk", "export"]


class UnsafeNotAllowed(RequestError):
    """`safety=off` was requested where the operator, or the channel (`place`), does not allow it."""

    reason: Literal["operator", "place"]


class NotAllowed(RequestError):
    """The person lacks the role `needs`."""

    needs: Literal["requester", "requester_or_moderator", "moderator", "operator"]


class NotAdmitted(RequestError):
    """The operator has not admitted this workspace or user. `refused`: the operator was asked and declined."""

    kind: Literal["workspace", "user", "outsider"]
    refused: bool = False


class JobNotFound(RequestError):
    """The job does not exist, or the person may not know that it does."""


class TooLate(RequestError):
    state: str


class QuoteExpired(RequestError):
    """The price was not confirmed in time."""


class SelectionClosed(RequestError):
    """A choice among images, or a form, was answered already or has expired."""


class LimitNotSet(RequestError):
    """There is no such limit to remove."""


class OtherModelChosen(RequestError):
    """The member answered the price question with a new job: of this cheaper model, or of the whole after a preview."""

    model: str


class PlatformRefused(RequestError):
    """The chat platform refused an API call that a button or command needs."""


class PlatformBusy(RequestError):
    """The chat platform is down or rate limits us while a button or command is handled."""


class BudgetError(UpscaleError):
    """A limit, a pause or the ledger prevents spending. Nothing was charged."""


class LimitReached(BudgetError):
    """The first limit that the job would exceed; `needed` is in its unit.

    Alternatives that fit: `largest_factor`, and `others`, cheaper models as (id, nano-dollars).
    """

    status: LimitStatus
    needed: int
    largest_factor: float | None = None
    others: tuple[tuple[str, int], ...] = ()


class TooManyWaiting(BudgetError):
    limit: int


class Paused(BudgetError):
    """New jobs are paused: all of them by the operator, or one workspace's by a moderator of `platform`."""

    by: Literal["operator", "moderator"]
    platform: str = ""


class LedgerUnavailable(BudgetError):
    """The ledger does not answer, so the request is refused."""
