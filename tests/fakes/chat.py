"""A chat platform that remembers everything that its members saw."""

from __future__ import annotations

import asyncio
from collections import Counter, defaultdict, deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

from aiohttp import web

from core.domain.errors import DeliveryUnavailable
from core.domain.job import Delivery, Job, Progress, ReplyAddress, Source
from core.domain.limits import LimitStatus
from core.ports import Download, Reply, ReplyState
from core.presentation import Notice
from tests.fakes.core import FakeClock

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

    def posted_messages(self, address: ReplyAddress, state: Mapping[str, Any]) -> list[dict[str, Any]]:
        return [note for note in state.values() if isinstance(note, dict) and note.get("ts")]

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

    def final_edit_only(self) -> Reply:
        return self

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


def away(times: int, retry_after_s: float | None = None) -> list[BaseException]:
    """Let the platform's next calls fail."""
    return [DeliveryUnavailable(retry_after_s=retry_after_s) for _ in range(times)]
