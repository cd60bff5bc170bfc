"""A model that remembers every paid call it took."""

import asyncio
import itertools
from collections import Counter, defaultdict, deque
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path
from typing import Literal

from core.domain.errors import (
    ModelFailed,
    ProviderBusy,
    ProviderHalted,
    RequestLost,
    ResultExpired,
    SubmitNotSent,
    SubmitUnknown,
    UpscaleError,
)
from core.domain.job import ModelOutput
from core.domain.models import MODELS, ModelSpec
from core.ports import BillingEvent, ModelInputs, RemoteCompleted, RemoteRunning, RemoteStatus, SearchResult, is_staged
from tests.fakes.core import FakeClock
from tests.fakes.images import fake_picture

Submit = Literal["ok", "not_sent", "busy", "lost", "dropped", "refused", "halted"]
"""How a submit goes. `lost`: taken, but the answer never comes; `dropped`: as unclear, but not taken; `refused`: a
gateway's plain 503, not taken."""


@dataclass
class RemoteRequest:
    """What the model took. `finish` opens the gate that its watchers wait at."""

    request_id: str
    job_id: str
    inputs: ModelInputs
    at: float
    statuses: list[RemoteStatus]
    outcome: UpscaleError | None
    units: Decimal | None
    gate: asyncio.Event
    completed: bool = False

    def finish(self) -> None:
        self.gate.set()


class FakeUpscaler:
    """A model that remembers every paid call it took (`taken`, `accepted`).

    `script` holds how the next submits go (else `ok`); an error in it is raised after `on_sending`, not taken.
    `outcomes` are the errors that the next accepted requests end with (None: a picture). `hold`: requests run until
    `finish` is called on them. `listing`: when a search finds a request. `faults` are raised by the next calls.
    """

    name = "fake"

    def __init__(self, clock: FakeClock, *, real_money: bool = True) -> None:
        self.real_money = real_money
        self.halted: ProviderHalted | None = None
        self.script: deque[Submit | UpscaleError] = deque()
        self.outcomes: deque[UpscaleError | None] = deque()
        self.statuses: list[RemoteStatus] = [RemoteRunning(50.0)]
        self.units: Decimal | None = Decimal(1)
        self.told_bytes: int | None = None
        self.hold = False
        self.listing: Literal["always", "completed", "never", "broken", "forbidden"] = "always"
        self.cancel_answer: Literal["requested", "removed"] = "requested"
        self.cancel_stops = True
        self.result_size = (1200, 800)
        self.faults: dict[str, deque[BaseException]] = defaultdict(deque)
        self.taken: dict[str, RemoteRequest] = {}
        self.posts: Counter[str] = Counter()
        self.calls: Counter[str] = Counter()
        self.cancelled: list[str] = []
        self.on_submit: Callable[[str], Awaitable[None]] | None = None
        self._clock = clock
        self._numbers = itertools.count(1)

    @property
    def accepted(self) -> Counter[str]:
        """How many paid requests each job has made."""
        return Counter(request.job_id for request in self.taken.values())

    def of(self, job_id: str) -> RemoteRequest:
        """The job's one request."""
        [request] = [request for request in self.taken.values() if request.job_id == job_id]
        return request

    async def start(self) -> None:
        """Nothing to open."""

    async def close(self) -> None:
        """Nothing to close."""

    def _called(self, call: str) -> None:
        self.calls[call] += 1
        if self.faults[call]:
            raise self.faults[call].popleft()

    async def stage(self, path: Path, mime: str, *, job_id: str) -> str:
        self._called("stage")
        assert path.exists(), "the prepared picture must be on this machine"
        await asyncio.sleep(0)
        return f"fake://{job_id}/{next(self._numbers)}"

    async def submit(self, inputs: ModelInputs, *, job_id: str, on_sending: Callable[[], Awaitable[None]]) -> str:
        self._called("submit")
        step: Submit | UpscaleError = self.script.popleft() if self.script else "ok"
        if step == "halted":
            self.halted = ProviderHalted(kind="credit")
            raise self.halted
        if step == "not_sent":
            raise SubmitNotSent
        await on_sending()
        self.posts[job_id] += 1
        if isinstance(step, UpscaleError):
            raise step
        if step == "busy":
            raise ProviderBusy(retry_after_s=7)
        if step in {"dropped", "refused"}:
            raise SubmitUnknown
        request = self._take(inputs, job_id)
        if self.on_submit is not None:
            await self.on_submit(request.request_id)
        if step == "lost":
            raise SubmitUnknown
        return request.request_id

    def _take(self, inputs: ModelInputs, job_id: str) -> RemoteRequest:
        request = RemoteRequest(
            request_id=f"request-{next(self._numbers):04d}",
            job_id=job_id,
            inputs=inputs,
            at=self._clock.now(),
            statuses=list(self.statuses),
            outcome=self.outcomes.popleft() if self.outcomes else None,
            units=self.units,
            gate=asyncio.Event(),
        )
        if not self.hold:
            request.finish()
        self.taken[request.request_id] = request
        return request

    async def find(self, staged_url: str, *, since: float, model: ModelSpec = MODELS.default) -> SearchResult:
        self._called("find")
        if self.listing == "broken":
            return SearchResult(None, conclusive=False)
        if self.listing == "forbidden":
            return SearchResult(None, conclusive=False, possible=False)
        for request in self.taken.values():
            listed = self.listing == "always" or (self.listing == "completed" and request.gate.is_set())
            if listed and is_staged(request.inputs.values["image_url"], staged_url) and request.at >= since - 1:
                return SearchResult(request.request_id, conclusive=True)
        running = [r.request_id for r in self.taken.values() if self.listing == "always" and not r.gate.is_set()]
        return SearchResult(None, conclusive=True, running=tuple(running))

    async def watch(self, request_id: str, model: ModelSpec = MODELS.default) -> AsyncIterator[RemoteStatus]:
        self._called("watch")
        request = self._known(request_id)
        for status in request.statuses:
            await asyncio.sleep(0)
            yield status
        await request.gate.wait()
        request.completed = True
        yield RemoteCompleted()

    def _known(self, request_id: str) -> RemoteRequest:
        if request_id not in self.taken:
            raise RequestLost
        return self.taken[request_id]

    async def result(self, request_id: str, model: ModelSpec = MODELS.default) -> ModelOutput:
        self._called("result")
        request = self._known(request_id)
        if request.outcome is not None:
            raise request.outcome
        return ModelOutput(
            image_url=f"fake://results/{request_id}",
            seed=request.inputs.values.get("seed"),  # type: ignore[arg-type]
            inference_s=1.5,
            caption="A fake picture." if "caption" in model.gives else "",
            units=request.units,
            file_bytes=self.told_bytes,
        )

    async def cancel(
        self, request_id: str, model: ModelSpec = MODELS.default
    ) -> Literal["requested", "removed", "already_completed", "not_found"]:
        self._called("cancel")
        self.cancelled.append(request_id)
        request = self.taken.get(request_id)
        if request is None:
            return "not_found"
        if request.gate.is_set():
            return "already_completed"
        if self.cancel_answer == "removed":
            del self.taken[request_id]
            return "removed"
        if self.cancel_stops:
            request.outcome = ModelFailed(kind="client_cancelled", billed=False)
            request.finish()
        return "requested"

    async def fetch(self, url: str, dest: Path, *, max_bytes: int) -> None:
        self._called("fetch")
        if not url.startswith("fake://results/"):
            raise ResultExpired
        await asyncio.sleep(0)
        dest.write_bytes(fake_picture(*self.result_size, salt=url))

    async def unit_price(self, model: ModelSpec = MODELS.default) -> int | None:
        return None

    async def billing_events(self, request_ids: Sequence[str]) -> Sequence[BillingEvent]:
        return []

    async def erase(self, request_id: str) -> None:
        self._called("erase")
