"""What the core needs of a provider of models. Implemented in `core.upscalers`."""

import hashlib
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path
from typing import Literal, Protocol, TypeAlias

from core.domain.errors import ProviderHalted
from core.domain.job import ModelOutput
from core.domain.models import ModelSpec
from core.domain.parameters.spec import Value


@dataclass(frozen=True, slots=True)
class ModelInputs:
    """What is sent to a model, by the model's own names; `image_url` is the staged picture's address."""

    model: ModelSpec
    values: Mapping[str, Value]


@dataclass(frozen=True, slots=True)
class RemoteQueued:
    """Waiting at the provider; `position` counts the requests ahead (0 = next), None if not told."""

    position: int | None


@dataclass(frozen=True, slots=True)
class RemoteRunning:
    """Being worked on; `percent` 0–100 where the log tells."""

    percent: float | None


@dataclass(frozen=True, slots=True)
class RemoteCompleted:
    """Over, well or badly: `result` tells which."""


RemoteStatus: TypeAlias = RemoteQueued | RemoteRunning | RemoteCompleted
CancelAnswer: TypeAlias = Literal["requested", "removed", "already_completed", "not_found"]


@dataclass(frozen=True, slots=True)
class SearchResult:
    """Answer of a search for a lost request. `conclusive` is False where the search itself did not work.

    `running` are requests that the listing shows though they have not ended: only where it does, does one that is
    missing mean anything. `possible` is False where the provider does not let us search at all, so that asking again
    is pointless.
    """

    request_id: str | None
    conclusive: bool
    possible: bool = True
    running: tuple[str, ...] = ()


_DIGEST = "sha256:"


def digest_of(staged_url: str) -> str:
    """A name for a staged picture that does not tell its address."""
    if not staged_url or staged_url.startswith(_DIGEST):
        return staged_url
    return _DIGEST + hashlib.sha256(staged_url.encode()).hexdigest()


def is_staged(address: object, staged_url: str) -> bool:
    """Whether a request's picture is this one, named by its address or by `digest_of` it."""
    return isinstance(address, str) and staged_url in (address, digest_of(address)) and bool(staged_url)


@dataclass(frozen=True, slots=True)
class BillingEvent:
    """What the provider says it billed for one request."""

    request_id: str
    at: float
    units: Decimal
    cost_nanousd: int


class Upscaler(Protocol):
    """A provider of models. `model` is always the one that a request is made with.

    Errors are `ModelError` and `ProviderError` leaves of `core.domain.errors`.
    """

    name: str
    real_money: bool

    @property
    def halted(self) -> ProviderHalted | None:
        """Why nothing is taken at the moment (out of credit, key refused); None while all is well."""

    async def start(self) -> None:
        """Open connections and background tasks."""

    async def close(self) -> None:
        """Undo `start`; running requests at the provider are left alone."""

    async def stage(self, path: Path, mime: str, *, job_id: str) -> str:
        """Upload the picture (streamed) and return an address that no other job has. Repeatable."""

    async def submit(self, inputs: ModelInputs, *, job_id: str, on_sending: Callable[[], Awaitable[None]]) -> str:
        """The one paid call: at most one request leaves. Returns the request id.

        `on_sending` is awaited at the last moment before the request's bytes can leave.
        Raises SubmitNotSent, SubmitUnknown, ProviderBusy, ProviderHalted, or a ModelError leaf.
        """

    async def find(self, staged_url: str, *, since: float, model: ModelSpec) -> SearchResult:
        """Look among the provider's requests since `since` for the one made with this staged picture.

        `staged_url` may also be the `digest_of` the address.
        """

    def watch(self, request_id: str, model: ModelSpec) -> AsyncIterator[RemoteStatus]:
        """Statuses as they change; ends after RemoteCompleted. Survives cut streams, 5xx and limits by itself.

        Raises RequestLost, or ProviderUnavailable after a long outage.
        """

    async def result(self, request_id: str, model: ModelSpec) -> ModelOutput:
        """The outputs of a completed request, or the error it ended with (raised). Repeatable."""

    async def cancel(self, request_id: str, model: ModelSpec) -> CancelAnswer:
        """Ask the provider to stop. `requested` is only a wish: work may still finish and be billed."""

    async def fetch(self, url: str, dest: Path, *, max_bytes: int) -> None:
        """Stream a result file to disk, resuming where cut. Raises ResultExpired or ProviderUnavailable."""

    async def unit_price(self, model: ModelSpec) -> int | None:
        """Nano-dollars per megapixel as the provider says now; None where it does not say.

        `UNREADABLE_PRICE_NANOUSD` where what it says is no price. The caller judges the range.
        """

    async def billing_events(self, start: float, end: float) -> Sequence[BillingEvent]:
        """What was billed between two unix times; nothing where the provider does not tell. Some appear later."""

    async def erase(self, request_id: str) -> None:
        """Delete what the provider keeps of this request, where it lets us."""
