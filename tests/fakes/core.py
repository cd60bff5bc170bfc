"""Stand-ins for the world outside the core: time, a chat, the model, pixel work, the engine.

Fakes, not mocks: each keeps its port's contract and remembers what really happened (paid calls that were accepted,
what a member saw), so that tests judge effects. Failures are scripted; nothing here touches a network.
"""

from __future__ import annotations

import asyncio
import hashlib
import heapq
import itertools
from collections import Counter, defaultdict, deque
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from pathlib import Path
from typing import Any, Literal

from aiohttp import web

from core.domain.errors import (
    DamagedImage,
    DeliveryUnavailable,
    ImageTooSmall,
    ModelFailed,
    NotAnImage,
    ProviderBusy,
    ProviderHalted,
    RequestLost,
    ResultExpired,
    SubmitNotSent,
    SubmitUnknown,
    UpscaleError,
)
from core.domain.job import Delivery, Job, Made, Progress, ReplyAddress, Source
from core.domain.limits import LimitStatus
from core.domain.models import MODELS, ModelSpec
from core.images.service import ImageFacts, ImageLimits, Prepared, StrippedResult
from core.ports import (
    BillingEvent,
    Download,
    Found,
    ModelInputs,
    RemoteCompleted,
    RemoteRunning,
    RemoteStatus,
    ReplyState,
)
from core.ports.ownership import new_token
from core.ports.upscaler import is_staged
from core.presentation import Notice

NOON = 1_795_521_600.0
"""Unix time of a Monday noon, UTC."""


class FakeClock:
    """Time that only sleeping moves: whoever sleeps is woken in order of due time, a real millisecond apart.

    `auto` False: nothing moves but by `advance`.
    """

    def __init__(self, at: float = NOON, *, auto: bool = True) -> None:
        self.at = at
        self.auto = auto
        self.slept: list[float] = []
        self._sleepers: list[tuple[float, int, asyncio.Future[None]]] = []
        self._order = itertools.count()
        self._timer: asyncio.TimerHandle | None = None

    def now(self) -> float:
        return self.at

    async def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        woken = asyncio.get_running_loop().create_future()
        heapq.heappush(self._sleepers, (self.at + max(0.0, seconds), next(self._order), woken))
        self._arm()
        await woken

    @property
    def sleepers(self) -> int:
        """How many sleep now."""
        return sum(not woken.done() for _, _, woken in self._sleepers)

    async def advance(self, seconds: float) -> None:
        """Move on, waking whoever is due on the way, in order, and letting them work."""
        await settle()
        until = self.at + seconds
        while self._sleepers and self._sleepers[0][0] <= until:
            self._wake_next()
            await settle()
        self.at = max(self.at, until)
        await settle()

    def _arm(self) -> None:
        if self.auto and self._timer is None and self._sleepers:
            self._timer = asyncio.get_running_loop().call_later(0.001, self._tick)

    def _tick(self) -> None:
        self._timer = None
        while self._sleepers and not self._wake_next():
            continue
        self._arm()

    def _wake_next(self) -> bool:
        due, _, woken = heapq.heappop(self._sleepers)
        if woken.done():
            return False
        self.at = max(self.at, due)
        woken.set_result(None)
        return True


async def settle(turns: int = 20) -> None:
    """Let everything that can go on without time or threads go on."""
    for _ in range(turns):
        await asyncio.sleep(0)


async def until(condition: Callable[[], bool], *, within_s: float = 10.0) -> None:
    """Return when the condition holds; a failure where it does not within real `within_s`."""
    async with asyncio.timeout(within_s):
        while not condition():
            await asyncio.sleep(0.002)


class NoMetrics:
    """`core.ports.Metrics` that counts nothing."""

    def job(self, platform: str, state: str) -> None: ...
    def stage(self, stage: str, seconds_s: float, job_id: str) -> None: ...
    def provider_request(self, call: str, outcome: str) -> None: ...
    def delivered(self, platform: str, shape: str) -> None: ...
    def money(self, kind: str, nanousd: int) -> None: ...
    def level(self, name: str, value: float) -> None: ...
    def incident(self, area: str) -> None: ...


class OwnLease:
    """The lease of a process that nobody watches: it ends with the process."""

    def __init__(self) -> None:
        self.token = new_token()

    async def confirm(self) -> float:
        return float("inf")


# --- pictures ---------------------------------------------------------------------------------------------------


def fake_picture(width_px: int = 600, height_px: int = 400, salt: str = "") -> bytes:
    """Bytes that `FakeImages` takes for a PNG of this size."""
    return b"\x89PNG" + f" {width_px}x{height_px} {salt}".encode()


class FakeImages:
    """Pixel work without pixels: the size stands in the file. `errors` are raised by the next calls of a name."""

    def __init__(self) -> None:
        self.limits = ImageLimits()
        self.errors: dict[str, deque[BaseException]] = defaultdict(deque)

    async def prepare(self, path: Path, out_path: Path) -> Prepared:
        facts = self._facts("prepare", path)
        out_path.write_bytes(path.read_bytes())
        sha256 = hashlib.sha256(path.read_bytes()).hexdigest()
        return Prepared(out_path, facts.mime, facts.width_px, facts.height_px, facts.bytes, sha256, (), facts)

    async def blank(self, path: Path) -> str | None:
        data = path.read_bytes()
        return "black" if b"black" in data else "flat" if b"grey" in data else None

    async def postprocess(
        self,
        result: StrippedResult,
        source: Path | None,
        *,
        transparent: bool = False,
        size_px: tuple[int, int] | None = None,
        dpi: tuple[float, float] | None = None,
    ) -> StrippedResult:
        if size_px is None:
            return result
        if size_px > (result.facts.width_px, result.facts.height_px):
            raise ImageTooSmall(width_px=size_px[0], height_px=size_px[1], min_side_px=1)
        result.path.write_bytes(fake_picture(*size_px, salt=f"dpi={dpi}" if dpi else ""))
        return StrippedResult(result.path, self._facts("postprocess", result.path), "")

    async def crop_detail(self, path: Path, out_path: Path, factor: float) -> None:
        side = int(1_000 / factor)
        out_path.write_bytes(fake_picture(side, side, salt="detail"))

    async def similarity(self, sent: Path, result: Path) -> None:
        """Not measured: there are no pixels."""

    async def strip_result(self, path: Path) -> StrippedResult:
        return StrippedResult(path, self._facts("strip_result", path), "")

    def _facts(self, call: str, path: Path) -> ImageFacts:
        if self.errors[call]:
            raise self.errors[call].popleft()
        data = path.read_bytes()
        if not data.startswith(b"\x89PNG"):
            raise NotAnImage(detected=None)
        try:
            width, height = data.split()[1].split(b"x")
            size = int(width), int(height)
        except (ValueError, IndexError):
            raise DamagedImage from None
        return ImageFacts("png", "image/png", *size, 1, False, False, 1, len(data))


# --- the model --------------------------------------------------------------------------------------------------

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

    async def find(self, staged_url: str, *, since: float, model: ModelSpec = MODELS.default) -> Found:
        self._called("find")
        if self.listing == "broken":
            return Found(None, conclusive=False)
        if self.listing == "forbidden":
            return Found(None, conclusive=False, possible=False)
        for request in self.taken.values():
            listed = self.listing == "always" or (self.listing == "completed" and request.gate.is_set())
            if listed and is_staged(request.inputs.values["image_url"], staged_url) and request.at >= since - 1:
                return Found(request.request_id, conclusive=True)
        running = [r.request_id for r in self.taken.values() if self.listing == "always" and not r.gate.is_set()]
        return Found(None, conclusive=True, running=tuple(running))

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

    async def result(self, request_id: str, model: ModelSpec = MODELS.default) -> Made:
        self._called("result")
        request = self._known(request_id)
        if request.outcome is not None:
            raise request.outcome
        return Made(
            image_url=f"fake://results/{request_id}",
            seed=request.inputs.values.get("seed"),  # type: ignore[arg-type]
            inference_s=1.5,
            caption="A fake picture." if "caption" in model.gives else "",
            units=request.units,
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


class DatabaseAway(Exception):
    """What the adapters' fake services take for a database that does not answer."""


# --- the chat ---------------------------------------------------------------------------------------------------


Kind = Literal["ask", "progress", "finished", "failed", "closed"]


@dataclass(frozen=True)
class Shown:
    """One state of a job's message, as its reader saw it."""

    kind: Kind
    at: float
    job: Job
    progress: Progress | None = None
    notice: Notice | None = None
    left: tuple[LimitStatus, ...] = ()


@dataclass
class FakeMessage:
    """One job's message: everything that it ever showed, and how often a picture was put into it."""

    shown: list[Shown] = field(default_factory=list)
    pictures: int = 0

    def kinds(self, *kinds: str) -> list[Shown]:
        return [state for state in self.shown if state.kind in kinds]

    @property
    def progress(self) -> list[Progress]:
        return [state.progress for state in self.shown if state.progress is not None]

    @property
    def endings(self) -> set[str]:
        """The terminal states that it ever showed; more than one means that somebody read two different ends."""
        told = {"finished:succeeded" for _ in self.kinds("finished")}
        return told | {f"failed:{state.job.state}" for state in self.kinds("failed")}

    @property
    def last(self) -> Shown:
        return self.shown[-1]

    @property
    def notice(self) -> Notice:
        """What it said at the end."""
        assert self.last.notice is not None, f"the message ends with {self.last.kind}"
        return self.last.notice


class FakeAdapter:
    """A chat platform. `faults[call]` are raised by the next calls of that name, before they show anything.

    `gates[call]`, where set, holds calls of that name until it is opened; `attachments` are served to `download`.
    """

    def __init__(self, clock: FakeClock, name: str = "fake", *, min_edit_interval_s: float = 2.0) -> None:
        self.name = name
        self.min_edit_interval_s = min_edit_interval_s
        self.messages: dict[str, FakeMessage] = defaultdict(FakeMessage)
        self.faults: dict[str, deque[BaseException]] = defaultdict(deque)
        self.gates: dict[str, asyncio.Event] = {}
        self.calls: Counter[str] = Counter()
        self.notices: list[tuple[str, str, Notice]] = []
        self.attachments: dict[str, Download] = {}
        self.clock = clock
        self.reachable = True
        self.away_until = 0.0
        self.removed: list[dict[str, Any]] = []

    def message(self, job: Job) -> FakeMessage:
        """The message that this job's answer goes to."""
        return self.messages[str(job.reply.data["message"])]

    async def pass_through(self, call: str) -> None:
        """Count the call, hold it at its gate, raise what is scripted."""
        self.calls[call] += 1
        if call in self.gates:
            await self.gates[call].wait()
        if self.faults[call]:
            raise self.faults[call].popleft()
        if self.clock.now() < self.away_until:
            raise DeliveryUnavailable(retry_after_s=None)

    async def serve(self, ready: Callable[[], None]) -> None:
        ready()
        await asyncio.Event().wait()

    def reply(self, address: ReplyAddress, state: ReplyState) -> FakeReply:
        return FakeReply(self, self.messages[str(address.data["message"])], state)

    async def download(self, source: Source) -> Download:
        await self.pass_through("download")
        return self.attachments.get(source.url, Download(source.url))

    async def remove_message(self, message: Mapping[str, Any]) -> None:
        await self.pass_through("remove_message")
        self.removed.append(dict(message))

    async def notify(self, workspace_id: str, channel_id: str, notice: Notice) -> None:
        await self.pass_through("notify")
        self.notices.append((workspace_id, channel_id, notice))

    def routes(self) -> Sequence[web.AbstractRouteDef]:
        return ()

    async def problem(self) -> str | None:
        return None


class FakeReply:
    """Shows states in a `FakeMessage`; a picture is put in once, which the state remembers, as real platforms do."""

    def __init__(self, adapter: FakeAdapter, message: FakeMessage, state: ReplyState) -> None:
        self._adapter = adapter
        self._message = message
        self._state = state

    def _show(self, kind: Kind, job: Job, **what: Any) -> None:
        self._message.shown.append(Shown(kind, self._adapter.clock.now(), job, **what))

    async def ask(self, job: Job) -> None:
        await self._adapter.pass_through("ask")
        self._show("ask", job)

    async def progress(self, job: Job, progress: Progress) -> None:
        await self._adapter.pass_through("progress")
        self._show("progress", job, progress=progress)

    async def finished(self, job: Job, left: tuple[LimitStatus, ...]) -> Delivery:
        await self._adapter.pass_through("finished")
        if not (await self._state.load()).get("picture"):
            self._message.pictures += 1
            await self._state.record(picture=True)
        self._show("finished", job, left=left)
        return Delivery("original")

    async def failed(self, job: Job, notice: Notice) -> None:
        await self._adapter.pass_through("failed")
        self._show("failed", job, notice=notice)

    async def closed(self, job: Job, notice: Notice) -> None:
        await self._adapter.pass_through("closed")
        self._show("closed", job, notice=notice)

    async def reachable(self, job: Job) -> bool:
        return self._adapter.reachable


# --- links ------------------------------------------------------------------------------------------------------


class FakeSources:
    """The web: `pages` by address. `errors` are raised by the next fetches."""

    def __init__(self) -> None:
        self.pages: dict[str, bytes] = {}
        self.errors: deque[BaseException] = deque()
        self.fetched: list[str] = []

    async def fetch_link(self, url: str, dest: Path) -> None:
        await self._fetch(url, dest)

    async def fetch_trusted(self, url: str, dest: Path, headers: object, hosts: object) -> None:
        await self._fetch(url, dest)

    async def _fetch(self, url: str, dest: Path) -> None:
        self.fetched.append(url)
        if self.errors:
            raise self.errors.popleft()
        await asyncio.sleep(0)
        dest.write_bytes(self.pages.get(url, fake_picture(salt=url)))


@dataclass
class FakePrices:
    """The price of a megapixel of the first model; others cost what their files say."""

    nanousd: int = 100_000_000

    async def smallest(self) -> int:
        return self.nanousd

    async def unit_price(self, model: ModelSpec = MODELS.default) -> int:
        return self.nanousd if model.id == MODELS.default.id else model.unit_price_nanousd
