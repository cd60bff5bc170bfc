"""What a chat platform offers to the core. Implemented in `adapters.<platform>`."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol, runtime_checkable

from core.domain.job import Delivery, Job, Progress, ReplyAddress, Source
from core.domain.limits import LimitStatus
from core.ports.clock import Clock
from core.ports.operator import LogOnlyAlerts, OperatorAlerts
from core.ports.storage import AppState
from core.presentation import Notice

if TYPE_CHECKING:
    from core.accounts.allowlist import AllowList
    from core.images.renditions import JobMedia
    from core.jobs.service import JobService
    from core.net.token_gate import TokenGate


class LoginRefused(Exception):
    """The platform does not accept the configured credentials; the text is one plain sentence for the operator."""


class ReplyState(Protocol):
    """An adapter's durable notes for one job (message ids, upload ids …). Never secrets."""

    async def load(self) -> dict[str, Any]:
        """The notes; empty at first."""

    async def save(self, **values: Any) -> None:
        """Merge these in; returns when they are durable. For what must be known before something is sent."""

    async def record(self, **values: Any) -> None:
        """Merge in what has happened, such as the id of a message that was posted.

        Known to this process at once, whatever the database does and also where the caller is cancelled; durable now
        if the database takes it, else as soon as it does.
        """

    async def remove_later(self, message: Mapping[str, Any]) -> None:
        """Note a message of ours that must be removed though the platform does not do it now.

        It is given to the adapter's `RemovesMessages.remove_message` until that succeeds, for days.
        """


class Reply(Protocol):
    """The one message of one job, made from its stored address, so any process can carry it on.

    `progress` makes at most one edit and never waits for a rate limit longer than a few seconds; `core.jobs.progress`
    throttles, keeps one in flight and lets the newest win. Raises DeliveryRefused when the message is gone for good
    (edits then stop) and DeliveryUnavailable for what may pass.
    """

    async def ask(self, job: Job) -> None:
        """Show the price in `job.quote` with a button that carries it, until `job.confirm_by_at`."""

    async def progress(self, job: Job, progress: Progress) -> None:
        """Show the stage, position, percent, finish time, and Cancel."""

    async def finished(self, job: Job, left: tuple[LimitStatus, ...]) -> Delivery:
        """Deliver the picture by the platform's ladder and say how.

        Repeatable: a repeat edits, or finds its earlier work in the delivery state.
        """

    async def failed(self, job: Job, notice: Notice) -> None:
        """Say what happened: failure, refusal or cancellation. Repeatable."""

    async def closed(self, job: Job, notice: Notice) -> None:
        """The result is kept or went elsewhere (`job.delivery`): put these words in its place. Repeatable."""

    async def reachable(self, job: Job) -> bool:
        """False when neither the job's place nor a direct message will ever take its message. Asked after a refusal."""


@runtime_checkable
class RepeatsFinalEdit(Protocol):
    """A reply whose last words stand in a message that an edit which was on its way may still overwrite."""

    def final_edit_only(self) -> Reply:
        """The same reply, which says its last words again in the messages that are there, and posts none."""


@dataclass(frozen=True, slots=True)
class Download:
    """How to fetch an attachment now: `hosts` are the only ones that may see `headers`, and that are trusted."""

    url: str
    headers: Mapping[str, str] = field(default_factory=dict)
    hosts: tuple[str, ...] = ()


class ChatAdapter(Protocol):
    """One chat platform."""

    name: str
    min_edit_interval_s: float

    async def serve(self, ready: Callable[[], None]) -> None:
        """Connect, call `ready`, and handle events until cancelled; drains on cancellation. Raises LoginRefused."""

    def reply(self, address: ReplyAddress, state: ReplyState) -> Reply:
        """The message of a job, from its stored address."""

    async def download(self, source: Source) -> Download:
        """Where and how to fetch an attachment of this platform now. Raises DownloadFailed."""

    async def notify(self, workspace_id: str, channel_id: str, notice: Notice) -> None:
        """Post a notice (budget alert) into a channel."""

    def routes(self) -> Sequence[Any]:
        """aiohttp route definitions for the one server to mount; may be empty. The core does not look into them."""

    async def problem(self) -> str | None:
        """None when connected and healthy, else one plain word for `/readyz`."""


@runtime_checkable
class RepliesOnly(Protocol):
    """An adapter that must log in before its replies, downloads and notices work."""

    async def serve_replies(self, ready: Callable[[], None]) -> None:
        """In the place of `serve` where another process takes the events. Raises LoginRefused."""


@runtime_checkable
class RemovesMessages(Protocol):
    """An adapter that can remove a message that a reply had to `remove_later`, or that none of a job's notes names."""

    def posted_messages(self, address: ReplyAddress, state: Mapping[str, Any]) -> Sequence[Mapping[str, Any]]:
        """The messages of ours that these notes of a job name, each as `remove_message` takes it."""

    async def remove_message(self, message: Mapping[str, Any]) -> None:
        """Remove it, or close it in words; done already is fine. Raises DeliveryUnavailable and DeliveryRefused."""


@dataclass(frozen=True, slots=True)
class AdapterContext:
    """What the application hands to every adapter at creation."""

    service: JobService
    media: JobMedia
    state: AppState
    clock: Clock
    data_dir: Path
    public_url: str | None
    version: str
    trusted_file_hosts: tuple[str, ...] = ()
    token_gate: TokenGate | None = None
    allowlist: AllowList | None = None
    operator: OperatorAlerts = field(default_factory=LogOnlyAlerts)
