"""What was asked cannot be done as asked, or a limit, a pause or the ledger says no."""

from dataclasses import dataclass
from typing import Literal, Self, TypeAlias

from core.domain.errors.base import UpscaleError
from core.domain.limits import LimitStatus


class RequestError(UpscaleError):
    """What was asked cannot be done as asked; nothing was started."""


ProblemKind: TypeAlias = Literal[
    "unknown", "range", "type", "missing_value", "duplicate", "stray", "not_in_model", "together", "too_many"
]


@dataclass(frozen=True, slots=True)
class ParameterProblem:
    """One wrong parameter: the name as typed, the value as typed, what is allowed, the nearest known name.

    `together`: this and another size, or a factor, cannot both be given. `not_in_model`: `value` is the model, and
    `allowed` are the inputs that it has.
    """

    name: str
    value: str
    kind: ProblemKind
    allowed: str = ""
    suggestion: str | None = None


class InvalidParameters(RequestError):
    """All problems of one text at once."""

    problems: tuple[ParameterProblem, ...]

    @classmethod
    def of(cls, name: str, value: str, kind: ProblemKind, allowed: str = "") -> Self:
        """With one problem; `value` is cut to a length that can be shown."""
        return cls(problems=(ParameterProblem(name, value[:60], kind, allowed),))


class PresetRefused(RequestError):
    """A member's own preset cannot be saved or deleted as asked; `names` are those that they have.

    Its name is that of a `preset` of everybody's, of a `parameter`, or another `word` of ours; or its `shape` is wrong.
    `not_kept`: `name` is something that belongs to one image.
    """

    reason: Literal["preset", "parameter", "word", "shape", "too_many", "unknown", "not_kept"]
    name: str
    names: tuple[str, ...] = ()
    limit: int = 0


class NoImage(RequestError):
    """Neither an attachment, nor a link, nor an image in the message."""


class StorageFull(RequestError):
    """No room for another picture: the member's unpaid, or all of theirs, take their share, or the disk is full.

    Or for another export, while the member's last one is still there.
    """

    reason: Literal["member", "kept", "disk", "export"]


class UnsafeNotAllowed(RequestError):
    """`safety` off was asked where the operator or the place does not allow it."""

    reason: Literal["operator", "place"]


class NotAllowed(RequestError):
    """This person may not do this. `needs` is `requester`, `moderator` or `operator`."""

    needs: Literal["requester", "requester_or_moderator", "moderator", "operator"]


class NotAdmitted(RequestError):
    """The operator does not pay for this person's upscales here. `refused`: they were asked and said no."""

    kind: Literal["workspace", "user", "outsider"]
    refused: bool = False


class JobNotFound(RequestError):
    """No such job, or it belongs to another workspace (which is told apart from nobody)."""


class TooLate(RequestError):
    state: str


class QuoteExpired(RequestError):
    """The price was not confirmed in time."""


class OtherModelChosen(RequestError):
    """The question about the price was answered with a cheaper model, whose image is a job of its own."""

    model: str


class PlatformRefused(RequestError):
    """The chat platform did not let us do what a button or command asked for."""


class PlatformBusy(RequestError):
    """The chat platform is away or asks for a pause, while a button or command is handled."""


class BudgetError(UpscaleError):
    """A limit, a pause, or the ledger says no. Nothing was charged."""


class LimitReached(BudgetError):
    """The first limit that does not hold the job, with what was asked of it, in its own unit.

    What fits instead: `largest_factor`, and `others`: models that do the same for less, each with its nano-dollars.
    """

    status: LimitStatus
    needed: int
    largest_factor: float | None = None
    others: tuple[tuple[str, int], ...] = ()


class TooManyWaiting(BudgetError):
    limit: int


class Paused(BudgetError):
    """New jobs are paused: all by the `operator`, or those of one workspace of `platform` by a `moderator`."""

    by: Literal["operator", "moderator"]
    platform: str = ""


class LedgerUnavailable(BudgetError):
    """The ledger does not answer, so nothing may be spent."""
