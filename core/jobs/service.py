"""The API for adapters and the command line: accept requests, and act on jobs.

No method waits for a job. Later events reach people through the reply made from the job's stored address.
"""

import contextlib
import dataclasses
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence

import structlog

from core.accounts.allowlist import AllowList
from core.accounts.service import Accounts
from core.budgets.service import Budgets
from core.domain import identity
from core.domain.errors import (
    Draining,
    JobNotFound,
    OtherModelChosen,
    QuoteExpired,
    ResultExpired,
    TooLate,
    UpscaleError,
)
from core.domain.events import JobEvent
from core.domain.job import Job, JobState, Quote, ReplyAddress, Requester, UpscaleRequest, job_id_for
from core.domain.models import Models
from core.domain.parameters.grammar import parse
from core.domain.parameters.spec import PRESETS, Fields, Presets
from core.domain.variations import previewed_job_id, redelivered_job_id, redelivery, repeated_request
from core.jobs.endings import error_notice
from core.jobs.event_bus import follow_job, unfinished_here, with_newest_progress
from core.jobs.incident_log import Incidents
from core.jobs.intake import Intake
from core.jobs.steps import JobContext
from core.jobs.steps.fail import close_question
from core.jobs.steps.prepare import estimated
from core.net.signed_links import SHARED_PAGE
from core.ports import Change, JobEngine, UnfinishedJobs
from core.presentation import Notice

log = structlog.get_logger(__name__)


class JobService:
    """Every method may raise any UpscaleError.

    `actor` is who acts, where and with which rights, by the platform. Jobs of other workspaces raise JobNotFound.
    `allow_unsafe`: the operator allows `safety=off`. `draining`: the process shuts down, so new jobs raise Draining.
    """

    def __init__(
        self,
        ctx: JobContext,
        engine: JobEngine,
        accounts: Accounts,
        budgets: Budgets,
        *,
        allow_unsafe: bool,
        allowlist: AllowList | None = None,
    ) -> None:
        self.accounts = accounts
        self.budgets = budgets
        self.limits = budgets.limits
        self.incidents = Incidents(ctx)
        self._ctx = ctx
        self._allowlist = allowlist
        self._intake = Intake(ctx, accounts, budgets, allowlist)
        self._engine = engine
        self.allow_unsafe = allow_unsafe
        self.draining = False

    def drain(self) -> None:
        self.draining = True

    @property
    def confirm_above_nanousd(self) -> int:
        return self._ctx.settings.confirm_above_nanousd

    @property
    def play_money(self) -> bool:
        return not self._ctx.upscaler.real_money

    async def request(self, request: UpscaleRequest, *, start: bool = True) -> Job:
        """Validate the request, store the job in one commit, and start it. The same key returns the same job.

        `start` False: only store it, so that the caller can acknowledge first; then call `begin`. After a crash before
        `begin` the job runs all the same, with the reply address that was stored here.
        """
        job = await self._ctx.store.get(job_id_for(request.key))
        if job is None:
            if self.draining:
                raise Draining
            job = await self._intake.accept(request, allow_unsafe=self.allow_unsafe, owner=self._engine.token)
        if start:
            await self._start(job)
        return job

    async def begin(self, job_id: str, reply: ReplyAddress) -> None:
        """Start a job that was only stored, with the reply address that the acknowledgement returned."""
        await self._start(await self._ctx.store.update(job_id, reply=reply))

    async def _start(self, job: Job) -> None:
        if job.state is JobState.QUEUED and job.confirm_by_at is None:
            log.info("job_accepted", job=job.id, platform=job.requester.platform)  # after the acknowledgement
            await self._engine.start(job.id, part="request")
        elif job.state is JobState.DELIVERING and job.parent_id:
            await self._engine.start(job.id, part="deliver")

    def check(self, text: str, fields: Fields, presets: Presets | None = None) -> None:
        """Raises InvalidParameters. Ignores the member's defaults; without `presets` any preset name is valid."""
        parse(text, fields, self.models, presets=presets or PRESETS, lenient=True)

    async def estimate(
        self, width_px: int, height_px: int, actor: Requester, *, text: str = "", fields: Fields | None = None
    ) -> Quote:
        """The quote for an image of this size with the actor's defaults, such as for the total of a batch."""
        _, parameters = await self._intake.parse(actor, text, fields or {})
        quote = await estimated(self._ctx, parameters, width_px, height_px)
        amount = quote.estimate_nanousd
        left = await self._ctx.ledger.statuses(actor, parameters.model, amount_nanousd=amount)
        needs = amount > self.confirm_above_nanousd
        return dataclasses.replace(quote, left=left, needs_confirmation=needs)

    async def confirm(self, job_id: str, actor: Requester) -> Job:
        """The requester confirms the price. Idempotent. Raises NotAllowed, QuoteExpired, TooLate."""
        job = identity.check_requester(await self._ctx.store.get(job_id), actor)
        if job.state is not JobState.AWAITING_CONFIRMATION:
            if job.confirm_by_at is not None and not job.state.terminal:
                return job
            raise QuoteExpired if isinstance(job.error, QuoteExpired) else TooLate(state=job.state.value)
        if self.draining:
            raise Draining
        if job.confirm_by_at is not None and job.confirm_by_at < self._ctx.clock.now():
            raise QuoteExpired
        if self._allowlist is not None:
            await self._allowlist.check(actor)
        agreed = job.quote.estimate_nanousd if job.quote else 0
        waiting = (JobState.AWAITING_CONFIRMATION,)
        moved = await self._ctx.store.transition(job.id, waiting, state=JobState.QUEUED, confirmed_nanousd=agreed)
        job = moved or await self._ctx.load(job.id)
        await self._engine.start(job.id, part="confirmed")
        if moved is not None:
            self._ctx.event_bus.publish(moved)
        return job

    async def cancel(self, job_id: str, actor: Requester, *, chosen: str = "") -> Job:
        """The requester or a moderator cancels the job, which may still be billed.

        `chosen`: the model of another job, which answers this one's question.
        """
        job = identity.check_may_stop(await self._ctx.store.get(job_id), actor)
        if job.state.terminal or job.state is JobState.DELIVERING:
            raise TooLate(state=job.state.value)
        who = f"{actor.platform}:{actor.user_id}"[:160]
        if job.state is not JobState.AWAITING_CONFIRMATION:
            working = (JobState.QUEUED, JobState.RUNNING)
            if (asked := await self._ctx.store.transition(job.id, working, cancel_requested_by=who)) is None:
                return await self.cancel(job_id, actor, chosen=chosen)  # its state has just changed
            self._ctx.running.cancel_event(job.id).set()
            return asked
        why = OtherModelChosen(model=chosen) if chosen else None
        if await self._ctx.store.transition(job.id, (job.state,), cancel_requested_by=who, error=why) is not None:
            await self._engine.start(job.id, part="announce")  # first, so that a crash cannot prevent the final edit
            return await close_question(self._ctx, await self._ctx.load(job.id))
        # Answered at the same moment. A cancel counts then too, but a job with its price agreed to is not replaced.
        return await self._ctx.load(job.id) if chosen else await self.cancel(job_id, actor)

    async def repeat(
        self,
        job_id: str,
        actor: Requester,
        change: Change,
        *,
        key: str,
        reply: ReplyAddress,
        private: bool | None = None,
        allows_unsafe: Callable[[], Awaitable[bool]] | None = None,
        start: bool = True,
    ) -> Job:
        """A new job made from an earlier one by a button. `actor` is its requester and pays.

        `allows_unsafe`: whether the place still allows `safety=off`, if that may change; called only for such jobs.
        """
        earlier = identity.check_may_repeat(await self._find(job_id), actor, change.kind)
        if earlier.images_deleted:
            raise TooLate(state="images_deleted")
        made = repeated_request(earlier, actor, change, key=key, reply=reply, private=private)
        if made.unsafe_place and allows_unsafe is not None:
            made = dataclasses.replace(made, unsafe_place=await allows_unsafe())
        if self.models.find(str(made.fields["model"])) is None:  # no longer offered: the default model accepts these
            kept = {name: v for name, v in made.fields.items() if self.models.default.accepts(name, v) or name == "to"}
            made = dataclasses.replace(made, fields=kept)
        job = await self.request(made, start=start)
        if change.kind == "model":
            await self._close_question(earlier, actor, job)
        elif change.kind == "whole":
            await self._close_question(await self._ctx.store.get(previewed_job_id(earlier)), actor, job)
        return job

    async def _close_question(self, asked: Job | None, actor: Requester, chosen: Job) -> None:
        """Close the price question that its requester has answered with another job."""
        if (
            asked is None
            or asked.state is not JobState.AWAITING_CONFIRMATION
            or not identity.is_requester(asked, actor)
        ):
            return
        with contextlib.suppress(TooLate):  # ended in this moment
            await self.cancel(asked.id, actor, chosen=chosen.parameters.model)

    async def redeliver(self, job_id: str, actor: Requester, *, reply: ReplyAddress, start: bool = True) -> Job:
        """Deliver a kept result again, to this address. Free."""
        if self.draining:
            raise Draining
        earlier = identity.check_visible(await self._find(job_id), actor)
        if earlier.result is None or earlier.images_deleted:
            raise ResultExpired
        job, _ = await self._ctx.store.add(redelivery(earlier, actor, reply, now=self._ctx.clock.now()))
        if start:
            await self._engine.start(job.id, part="deliver")
        return job

    async def share(self, job_id: str, actor: Requester) -> str | None:
        """The URL of a public page with the requester's result, while it is kept. Raises NotAllowed, TooLate."""
        job = identity.check_requester(await self._find(job_id), actor)
        if job.result is None or job.images_deleted:
            raise TooLate(state="images_deleted" if job.images_deleted else job.state.value)
        return self._ctx.links.share_url(job.id, job.finished_at or self._ctx.clock.now())

    async def shared(self, job_id: str, signature: str) -> Job:
        """The job behind a URL made by `share`, for anybody. Raises JobNotFound, ResultExpired."""
        valid = self._ctx.links.is_valid(job_id, SHARED_PAGE, signature)
        job = await self._ctx.store.get(job_id) if valid else None
        if job is None:
            raise JobNotFound
        if not job.has_image:
            raise ResultExpired
        return job

    async def job(self, job_id: str, actor: Requester | None) -> Job:
        """A job that the actor (None: the operator) may see, with the newest progress that this process knows."""
        job = identity.check_visible(await self._find(job_id), actor)
        return with_newest_progress(self._ctx.event_bus, job)

    async def _find(self, job_id: str) -> Job | None:
        """The job, or the one whose result it delivered again: the buttons there are about the same images."""
        job = await self._ctx.store.get(job_id)
        while job is not None and (original := redelivered_job_id(job)):
            job = await self._ctx.store.get(original)
        return job

    @property
    def models(self) -> Models:
        return self._ctx.models

    @property
    def can_share(self) -> bool:
        """Whether the page has a public address, which `share` needs."""
        return self._ctx.links.can_share

    async def recent(self, actor: Requester, *, limit: int) -> Sequence[Job]:
        """For the operator: jobs of every platform, newest first. Raises NotAllowed."""
        identity.check_operator(actor)
        return await self._ctx.store.history(None, limit=limit)

    async def queue(self, actor: Requester) -> UnfinishedJobs:
        """For a moderator: unfinished jobs of the workspace (operator: of all). Raises NotAllowed."""
        return await unfinished_here(self._ctx.store, self._ctx.event_bus, actor)

    async def delete(self, job_id: str, actor: Requester) -> Job:
        """The requester or a moderator deletes the images, here and at fal, or cancels an unfinished job."""
        job = identity.check_may_stop(await self._find(job_id), actor)
        shown = job.state is JobState.DELIVERING and job.result is not None  # the button is visible before the row ends
        if not job.state.terminal and not shown:
            return await self.cancel(job_id, actor)
        for copy in await self._ctx.store.redeliveries(job):
            await self.accounts.erase_images(copy)
        return await self.accounts.erase_images(job)

    def watch(self, job_id: str, *, after: int = 0) -> AsyncIterator[JobEvent]:
        return follow_job(self._ctx.store, self._ctx.event_bus, job_id, after)

    async def history(
        self, actor: Requester, *, limit: int = 10, before: float | None = None, refused: bool = True
    ) -> Sequence[Job]:
        return await self._ctx.store.history(actor, limit=limit, before=before, refused=refused)

    def notice(self, error: UpscaleError, locale: str, job: Job | None = None, who: Requester | None = None) -> Notice:
        return error_notice(error, locale, job, who)
