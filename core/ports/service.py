"""The core as adapters and the command line see it. Implemented in `core.jobs.service`."""

from collections.abc import AsyncIterator, Mapping, Sequence
from pathlib import Path
from typing import Protocol

from core.budgets.reports import UsageReport
from core.domain.errors import UpscaleError
from core.domain.events import JobEvent
from core.domain.job import Job, Quote, ReplyAddress, Requester, UpscaleRequest
from core.domain.limits import LimitStatus, WantedLimit, Window
from core.domain.models import Models
from core.domain.parameters.spec import Presets
from core.domain.variations import Change
from core.ports.storage import OpenHere
from core.presentation import Notice
from core.presentation.card import Line
from core.presentation.cards.account import OwnSettings


class LimitService(Protocol):
    """Who may spend how much: limits, pauses, extras, sponsors, alerts. Moderators change their own place's."""

    async def applying(self, actor: Requester) -> Sequence[LimitStatus]:
        """The limits that apply to the actor here, narrowest first."""

    async def set_limit(self, actor: Requester, wanted: WantedLimit) -> Sequence[LimitStatus]:
        """Moderator: set (amount None: clear) a limit of the own workspace. Recorded with who and when.

        Returns the workspace's limits.
        """

    async def workspace_limits(self, actor: Requester) -> Sequence[LimitStatus]:
        """Moderator: the operator's limits for the own workspace and everything its moderators have set."""

    async def sponsor(
        self, actor: Requester, channel_id: str, amount_nanousd: int | None, ends_at: float = 0.0
    ) -> object:
        """Moderator: pay for a channel's jobs from a budget of its own until `ends_at` (unix seconds); None ends it."""

    async def pause(self, actor: Requester, paused: bool) -> None:
        """Moderator: stop or resume new jobs in the own workspace (operator: everywhere)."""

    async def paused(self, actor: Requester) -> bool:
        """Whether new jobs are paused where this person is."""

    async def set_alert_channel(self, actor: Requester, channel_id: str | None) -> None:
        """Moderator: where budget alerts of the own workspace go."""

    async def add_extra(self, actor: Requester, member_id: str, amount_nanousd: int, window: Window) -> Line:
        """Moderator: more money for a member of the own workspace until this window ends; what to tell."""

    async def limit_history(self, actor: Requester, *, limit: int = 20) -> Sequence[Line]:
        """Moderator: who changed what of the own workspace and when, a line each, newest first."""


class BudgetService(Protocol):
    """What was spent."""

    async def usage(self, actor: Requester, *, period: str = "month", member_id: str | None = None) -> UsageReport:
        """Totals, per day, by member; moderators see their workspace, others themselves.

        `period`: day, week, month, year.
        """

    async def usage_csv(self, actor: Requester, *, period: str = "month", member_id: str | None = None) -> str:
        """The same as CSV text, one line per charged job, with its model."""

    async def usage_chart(self, report: UsageReport, *, locale: str, dark: bool = True) -> Path:
        """A PNG of the report, drawn in another process; the caller may delete it."""


class AccountService(Protocol):
    """What is kept about a person: defaults and presets, everything for export, and its deletion."""

    async def defaults(self, actor: Requester) -> Mapping[str, str | int | float | bool]:
        """The member's saved parameter defaults (chat names)."""

    async def presets(self, actor: Requester) -> Presets:
        """Every preset that the member may name: everybody's, then their own."""

    async def settings(self, actor: Requester) -> OwnSettings:
        """Everything that the member has saved."""

    async def change_settings(self, actor: Requester, text: str) -> OwnSettings:
        """Do what is typed after `settings`: nothing, default values, `save logo 4x`, `delete logo`, `reset`.

        Raises InvalidParameters, PresetRefused.
        """

    async def set_defaults(
        self, actor: Requester, text: str, fields: Mapping[str, str | int | float | bool] | None = None
    ) -> OwnSettings:
        """Replace them by what this says; empty clears. Raises InvalidParameters."""

    async def save_preset(
        self, actor: Requester, name: str, text: str, fields: Mapping[str, str | int | float | bool] | None = None
    ) -> OwnSettings:
        """Keep these values under this name, in place of what had it. Raises PresetRefused, InvalidParameters."""

    async def delete_preset(self, actor: Requester, name: str) -> OwnSettings:
        """Forget the values under this name. Raises PresetRefused."""

    async def export(self, actor: Requester) -> Path:
        """Everything stored about the actor, as a ZIP (JSON and the kept images); the caller deletes it."""

    async def erase(self, actor: Requester) -> int:
        """Delete everything about the actor but anonymised money rows; returns the number of jobs erased."""

    async def forget_workspace(self, platform: str, workspace_id: str) -> None:
        """The platform revoked our access: end its jobs quietly, and delete its images and everything set there."""

    async def set_place_presets(self, actor: Requester, text: str, channel_id: str = "") -> Line:
        """Moderator: default values of the own workspace, or of a channel, for members who have none; empty clears.

        A sentence that says so. Raises NotAllowed, InvalidParameters.
        """


class IncidentService(Protocol):
    """What nobody foresaw: logged once, under a reference that people are shown."""

    async def incident(self, area: str, error: BaseException) -> str:
        """Log the unforeseen once and return the reference that people are shown."""

    async def unforeseen(self, area: str, error: BaseException) -> UpscaleError:
        """What a handler met, for `notice`: itself, StorageUnavailable, or InternalError with its reference."""


class Service(Protocol):
    """The core, as adapters and the command line see it. Every method may raise any UpscaleError leaf.

    `actor` is who acts, where, with which rights, as the platform vouches. People of one workspace can neither see
    nor change another's jobs: those raise JobNotFound.
    """

    @property
    def limits(self) -> LimitService:
        """Who may spend how much."""

    @property
    def budgets(self) -> BudgetService:
        """What was spent."""

    @property
    def accounts(self) -> AccountService:
        """What is kept about a person."""

    @property
    def incidents(self) -> IncidentService:
        """What nobody foresaw."""

    @property
    def draining(self) -> bool:
        """True while this process shuts down; `request` and the like raise Draining then."""

    @property
    def allow_unsafe(self) -> bool:
        """Whether the operator allows `safety` off at all."""

    @property
    def confirm_above_nanousd(self) -> int:
        """Jobs dearer than this ask first."""

    @property
    def models(self) -> Models:
        """The models on offer, the default first."""

    @property
    def play_money(self) -> bool:
        """Whether this runs on the sandbox model."""

    async def request(self, request: UpscaleRequest, *, start: bool = True) -> Job:
        """Judge the parameters, write the job, start it; one commit, no waiting. The same key is the same job.

        `start` False: only write it, so that the platform can be told before anything happens; then `begin`. Where
        that never comes (a crash) the job is carried on all the same, under the address that it was written with.
        """

    async def begin(self, job_id: str, reply: ReplyAddress) -> None:
        """Start a job that was only written, with the address that its acknowledgement has brought."""

    async def confirm(self, job_id: str, actor: Requester) -> Job:
        """The requester agrees to the price, once. Raises NotAllowed, QuoteExpired, TooLate."""

    async def cancel(self, job_id: str, actor: Requester) -> Job:
        """The requester or a moderator stops the job.

        `job.state` tells whether it is over already; if fal works on it, it may still bill.
        """

    async def repeat(
        self,
        job_id: str,
        actor: Requester,
        change: Change,
        *,
        key: str,
        reply: ReplyAddress,
        private: bool | None = None,
        start: bool = True,
    ) -> Job:
        """A new job made from an earlier one by a button; `actor` is its requester and pays."""

    async def job(self, job_id: str, actor: Requester | None) -> Job:
        """One job that this person may see (None: the operator), with the newest progress that this process knows."""

    async def delete(self, job_id: str, actor: Requester) -> Job:
        """The requester or a moderator deletes the images, here and at fal; money rows stay.

        A job that still runs is stopped first.
        """

    async def redeliver(self, job_id: str, actor: Requester, *, reply: ReplyAddress, start: bool = True) -> Job:
        """Deliver a kept result again, to this address (from `history`). Free."""

    @property
    def can_share(self) -> bool:
        """Whether `share` has an address to give (`PUBLIC_URL` is set); without one no button is shown."""

    async def share(self, job_id: str, actor: Requester) -> str | None:
        """The requester: the address of a page that shows the result to anybody until it is no longer kept or deleted.

        Raises NotAllowed, TooLate.
        """

    async def shared(self, job_id: str, signature: str) -> Job:
        """The job behind such an address, whoever asks. Raises JobNotFound, ResultExpired."""

    def watch(self, job_id: str, *, after: int = 0) -> AsyncIterator[JobEvent]:
        """Events newer than `after`, ending with the terminal one. Starts with the current state."""

    async def history(
        self, actor: Requester, *, limit: int = 10, before: float | None = None, begun: bool = False
    ) -> Sequence[Job]:
        """The actor's own last jobs, newest first."""

    async def queue(self, actor: Requester) -> OpenHere:
        """Moderator: what runs and waits in the own workspace (operator: everywhere), with its newest progress.

        `cancel` takes one of them out. Raises NotAllowed.
        """

    async def recent(self, actor: Requester, *, limit: int) -> Sequence[Job]:
        """Operator: the newest jobs of every platform, newest first. Raises NotAllowed."""

    async def estimate(
        self,
        width_px: int,
        height_px: int,
        actor: Requester,
        *,
        text: str = "",
        fields: Mapping[str, str | int | float | bool] | None = None,
    ) -> Quote:
        """The price of a picture whose size is known (for totals before a batch), with the actor's defaults."""

    def check(self, text: str, fields: Mapping[str, str | int | float | bool], presets: Presets | None = None) -> None:
        """Raise InvalidParameters if these would not be accepted, whatever the member's own defaults (for forms).

        `presets`: those that the member has; without them any name of a preset is fine as an option.
        """

    def notice(self, error: UpscaleError, locale: str, job: Job | None = None, who: Requester | None = None) -> Notice:
        """The sentence for this error, with what it cost and what the requester, or else `who`, can do."""
