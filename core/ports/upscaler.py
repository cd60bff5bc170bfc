"""What the core needs of a model provider. Implemented in `core.upscalers`."""

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
    """Values sent to a model, by its own names; `image_url` is the address of the staged image."""

    model: ModelSpec
    values: Mapping[str, Value]


@dataclass(frozen=True, slots=True)
class RemoteQueued:
    """Queued at the provider; `position` counts the requests ahead (0 = next), None if unknown."""

    position: int | None


@dataclass(frozen=True, slots=True)
class RemoteRunning:
    """Running; `percent` (0–100) if the model's log contains it."""

    percent: float | None


@dataclass(frozen=True, slots=True)
class RemoteUnanswered:
    """The provider has not answered for a while, and is asked again."""


@dataclass(frozen=True, slots=True)
class RemoteCompleted:
    """Ended, with or without success: `result` returns the outputs or raises."""


RemoteStatus: TypeAlias = RemoteQueued | RemoteRunning | RemoteUnanswered | RemoteCompleted
CancelAnswer: TypeAlias = Literal["requested", "removed", "already_completed", "not_found"]


@dataclass(frozen=True, slots=True)
class SearchResult:
    """The result of searching for a lost request. `conclusive` is False if the search itself failed.

    `running` are unfinished requests in the listing. A request's absence means something only if the listing shows
    unfinished requests at all. `possible` is False if the provider does not allow the search, so a retry is pointless.
    """

    request_id: str | None
    conclusive: bool
    possible: bool = True
    running: tuple[str, ...] = ()


_DIGEST = "sha256:"


def digest_of(staged_url: str) -> str:
    """The SHA-256 of a staged image's address, which can be stored without revealing the address."""
    if not staged_url or staged_url.startswith(_DIGEST):
        return staged_url
    return _DIGEST + hashlib.sha256(staged_url.encode()).hexdigest()


def is_staged(address: object, staged_url: str) -> bool:
    """Whether `address` is the staged image that `staged_url` names, by its address or by `digest_of` that."""
    return isinstance(address, str) and staged_url in (address, digest_of(address)) and bool(staged_url)


@dataclass(frozen=True, slots=True)
class BillingEvent:
    """What the provider billed for one request, by its own account; `cost_nanousd` is None if it cannot be read."""

    request_id: str
    at: float
    units: Decimal
    cost_nanousd: int | None


class Upscaler(Protocol):
    """A provider of models. Raises leaves of `ModelError` and `ProviderError`."""

    name: str
    real_money: bool

    @property
    def halted(self) -> ProviderHalted | None:
        """Why new requests are refused at the moment (out of credit, key refused); None if they are not."""

    async def start(self) -> None:
        """Open connections and start background tasks."""

    async def close(self) -> None:
        """Undo `start`; requests at the provider go on."""

    async def stage(self, path: Path, mime: str, *, job_id: str) -> str:
        """Upload the image (streamed) and return an address that no other job has. Idempotent."""

    async def submit(self, inputs: ModelInputs, *, job_id: str, on_sending: Callable[[], Awaitable[None]]) -> str:
        """Make the one paid call, sending at most one request, and return the request id.

        `on_sending` is awaited at the last moment before bytes of the request can be sent.
        Raises SubmitNotSent, SubmitUnknown, ProviderBusy, ProviderHalted, or a ModelError leaf.
        """

    async def find(self, staged_url: str, *, since: float, model: ModelSpec) -> SearchResult:
        """Search the requests since `since` (unix seconds) for the one made with this staged image.

        `staged_url` may also be the `digest_of` the address.
        """

    def watch(self, request_id: str, model: ModelSpec) -> AsyncIterator[RemoteStatus]:
        """Yield each change of status, ending with RemoteCompleted. Retries broken streams, 5xx and rate limits.

        Raises RequestLost, or ProviderUnavailable after a long outage.
        """

    async def result(self, request_id: str, model: ModelSpec) -> ModelOutput:
        """Return the outputs of a completed request, or raise the error it ended with. Idempotent."""

    async def cancel(self, request_id: str, model: ModelSpec) -> CancelAnswer:
        """Ask the provider to stop. After `requested` the work may still finish and be billed."""

    async def fetch(self, url: str, dest: Path, *, max_bytes: int) -> None:
        """Stream a result file to disk, resuming broken downloads. Raises ResultExpired or ProviderUnavailable."""

    async def unit_price(self, model: ModelSpec) -> int | None:
        """The provider's current price in nano-dollars per megapixel; None if it names none.

        `UNREADABLE_PRICE_NANOUSD` if the answer is not a price. The caller checks the range.
        """

    async def billing_events(self, start: float, end: float) -> Sequence[BillingEvent] | None:
        """What was billed between two unix times; None if the provider does not list it. Some appear later."""

    async def erase(self, request_id: str) -> None:
        """Delete the data that the provider keeps of this request, as far as it allows."""
