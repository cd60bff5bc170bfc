"""What the core needs of a chat platform. Implemented in `adapters.<platform>`."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol, runtime_checkable

from core.domain.job import Delivery, Job, Progress, ReplyAddress, Source
from core.domain.limits import LimitStatus
from core.ports.clock import Clock
from core.ports.operator import OperatorAlerts
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
    """An adapter's stored delivery state of one job (message ids, upload ids …). Never holds secrets."""

    async def load(self) -> dict[str, Any]:
        """Return the state; empty at first."""

    async def save(self, **values: Any) -> None:
        """Merge the values in and return when they are durable. For what must be stored before something is sent."""

    async def record(self, **values: Any) -> None:
        """Merge in what has already happened, such as the id of a posted message.

        This process sees the values at once, even if the database is down or the caller is cancelled. They become
        durable as soon as the database accepts them.
        """

    async def remove_later(self, message: Mapping[str, Any]) -> None:
        """Store a message of ours that the platform does not remove at the moment.

        It is passed to `RemovesMessages.remove_message` until that succeeds, for days.
        """


class Reply(Protocol):
    """The one message of one job, made from its stored address, so that any process can edit it.

    `progress` makes at most one edit and never waits for a rate limit longer than a few seconds; `core.jobs.progress`
    throttles the calls, keeps one in flight and drops all but the newest. Methods raise DeliveryRefused when the
    message is gone for good (edits then stop) and DeliveryUnavailable for temporary failures.
    """

    async def ask(self, job: Job) -> None:
        """Show the price in `job.quote` with a button that carries it, until `job.confirm_by_at`."""

    async def progress(self, job: Job, progress: Progress) -> None:
        """Show the stage, position, percent, expected finish time and a Cancel button."""

    async def finished(self, job: Job, left: tuple[LimitStatus, ...]) -> Delivery:
        """Deliver the image in the largest form that the platform takes, and return which.

        Idempotent: a repeat edits the message, or finds its earlier work in the delivery state.
        """

    async def failed(self, job: Job, notice: Notice) -> None:
        """Report a failure, refusal or cancellation. Idempotent."""

    async def closed(self, job: Job, notice: Notice) -> None:
        """Replace the message by `notice`: the result is kept, or went elsewhere (`job.delivery`). Idempotent."""

    async def reachable(self, job: Job) -> bool:
        """Whether the job's channel or a direct message can ever take its message. Called after a refusal."""


@runtime_checkable
class RepeatsFinalEdit(Protocol):
    """A reply whose final edit may be overwritten by an earlier edit that was still in flight."""

    def final_edit_only(self) -> Reply:
        """The same reply, but it only repeats the final edit of existing messages and posts none."""


@runtime_checkable
class EditableForLimitedTime(Protocol):
    """A reply whose message may become final while its job still runs."""

    async def last_edit_at(self, job: Job) -> float | None:
        """When (unix seconds) `progress` has to be called for the last time; None where the message stays editable."""


@dataclass(frozen=True, slots=True)
class Download:
    """How to fetch an attachment now. Only `hosts` are trusted, and only they are sent `headers`."""

    url: str
    headers: Mapping[str, str] = field(default_factory=dict)
    hosts: tuple[str, ...] = ()


class ChatAdapter(Protocol):
    """One chat platform."""

    name: str
    min_edit_interval_s: float

    async def serve(self, ready: Callable[[], None]) -> None:
        """Connect, call `ready`, and handle events until cancelled; drain on cancellation. Raises LoginRefused."""

    def reply(self, address: ReplyAddress, state: ReplyState) -> Reply:
        """The message of a job, from its stored address."""

    async def download(self, source: Source) -> Download:
        """Resolve where and how to fetch an attachment of this platform now. Raises DownloadFailed."""

    async def notify(self, workspace_id: str, channel_id: str, notice: Notice) -> None:
        """Post a notice (budget alert) into a channel."""

    def routes(self) -> Sequence[Any]:
        """aiohttp route definitions to mount on the shared server; may be empty. Opaque to the core."""

    async def problem(self) -> str | None:
        """None when connected and healthy, else one word for `/readyz`."""


@runtime_checkable
class RepliesOnly(Protocol):
    """An adapter that must log in before its replies, downloads and notices work."""

    async def serve_replies(self, ready: Callable[[], None]) -> None:
        """Run instead of `serve` in a process that receives no events. Raises LoginRefused."""


@runtime_checkable
class RemovesMessages(Protocol):
    """An adapter that can remove messages later: those passed to `remove_later`, and those no stored state names."""

    def posted_messages(self, address: ReplyAddress, state: Mapping[str, Any]) -> Sequence[Mapping[str, Any]]:
        """The messages that a job's delivery state names, each in the form that `remove_message` takes."""

    async def remove_message(self, message: Mapping[str, Any]) -> None:
        """Remove the message, or edit it to a closed state. Idempotent. Raises DeliveryUnavailable, DeliveryRefused."""


@dataclass(frozen=True, slots=True)
class AdapterContext:
    """Dependencies that the application passes to every adapter."""

    service: JobService
    media: JobMedia
    state: AppState
    clock: Clock
    data_dir: Path
    public_url: str | None
    version: str
    operator: OperatorAlerts
    trusted_file_hosts: tuple[str, ...] = ()
    token_gate: TokenGate | None = None
    allowlist: AllowList | None = None
