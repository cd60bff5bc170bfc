"""The bot as adapters and the command line see it: judge a request, write it down, start it; and act on jobs.

No method waits for a job. Whatever happens later goes out through the reply made from the job's stored address.
"""

import dataclasses
import secrets
from collections.abc import AsyncIterator, Mapping, Sequence

import structlog

from core.accounts.service import Accounts
from core.budgets.service import Budgets
from core.domain import authorization
from core.domain.errors import (
    Draining,
    JobNotFound,
    NoImage,
    QuoteExpired,
    ResultExpired,
    TooLate,
    UnsafeNotAllowed,
    UpscaleError,
)
from core.domain.events import JobEvent
from core.domain.job import Job, JobState, Quote, ReplyAddress, Requester, Source, UpscaleRequest, job_id_for
from core.domain.models import Models
from core.domain.parameters.grammar import parse
from core.domain.parameters.spec import PRESETS, SEED_MAX, Parameters, Parsed, Presets
from core.domain.variations import redelivery, repeated_request
from core.jobs.admission import Share
from core.jobs.endings import error_notice
from core.jobs.error_reports import Incidents
from core.jobs.steps import Tools
from core.jobs.steps.fail import close_question
from core.jobs.steps.prepare import estimated
from core.jobs.watch import follow_job, open_here, with_newest_progress
from core.ports import Change, Guests, JobEngine, OpenHere
from core.presentation import Notice

log = structlog.get_logger(__name__)

Fields = Mapping[str, str | int | float | bool]


class JobService:
    """`core.ports.Service`."""

    def __init__(
        self,
        tools: Tools,
        engine: JobEngine,
        accounts: Accounts,
        budgets: Budgets,
        *,
        allow_unsafe: bool,
        guests: Guests | None = None,
    ) -> None:
        self.accounts = accounts
        self.budgets = budgets
        self.limits = budgets.limits
        self.incidents = Incidents(tools)
        self._tools = tools
        self._guests = guests
        self._engine = engine
        self.allow_unsafe = allow_unsafe
        self.draining = False

    def drain(self) -> None:
        """Take nothing new from now on; what runs goes on."""
        self.draining = True

    @property
    def confirm_above_nanousd(self) -> int:
        return self._tools.settings.confirm_above_nanousd

    @property
    def play_money(self) -> bool:
        return not self._tools.upscaler.real_money

    async def request(self, request: UpscaleRequest, *, start: bool = True) -> Job:
        job = await self._tools.store.get(job_id_for(request.key)) or await self._accept(request)
        if start:
            await self._start(job)
        return job

    async def begin(self, job_id: str, reply: ReplyAddress) -> None:
        await self._start(await self._tools.store.update(job_id, reply=reply))

    async def _accept(self, request: UpscaleRequest) -> Job:
        await self._check_open(request.requester)
        asked, parameters = await self._understood(request.requester, request.text, request.fields)
        model = self.models.of(parameters)
        if (halted := self._tools.beside.get(model.backend, self._tools.upscaler).halted) is not None:
            raise halted
        parameters = self._judge_safety(request, parameters, explicit="safety" in asked.values)
        if parameters.seed is None and "seed" in model.inputs:
            parameters = parameters.with_values(seed=secrets.randbelow(SEED_MAX + 1))
        now = self._tools.clock.now()
        if request.source.kind == "upload":  # before it is acknowledged: any replica may go on with it
            await self._tools.files.share(self._tools.files.absolute(request.source.path))
        job, new = await self._tools.store.add(
            Job(
                id=job_id_for(request.key),
                key=request.key,
                state=JobState.QUEUED,
                requester=request.requester,
                source=_source(request.source, asked),
                reply=request.reply,
                parameters=parameters,
                created_at=now,
                updated_at=now,
                private=request.private or bool(asked.private),
                spoiler=request.spoiler,
                parent_id=request.parent_id,
                confirmed_nanousd=request.confirmed_nanousd,
            )
        )
        if new:
            if n_bytes := await self._tools.files.upload_bytes(job.source.path):
                self._tools.running.disk.count(job.source.path, Share.of(job.requester).member, n_bytes)
            self._tools.metrics.job(request.requester.platform, "accepted")
            log.info("job_accepted", job=job.id, platform=request.requester.platform)
        return job

    async def _start(self, job: Job) -> None:
        """Make sure that the job is carried on: also for one that a crash left between its row and its workflow."""
        if job.state is JobState.QUEUED and job.confirm_by_at is None:
            await self._engine.start(job.id, part="request")
        elif job.state is JobState.DELIVERING and job.parent_id:
            await self._engine.start(job.id, part="deliver")

    async def _check_open(self, actor: Requester) -> None:
        if self.draining:
            raise Draining
        if self._guests is not None:
            await self._guests.check(actor)
        await self.budgets.check_open(actor)
        await self._tools.running.disk.check(Share.of(actor).member)

    async def _understood(self, actor: Requester, text: str, fields: Fields) -> tuple[Parsed, Parameters]:
        """What this says, and every value that counts, with the actor's own presets and defaults."""
        defaults, presets = await self.accounts.presets_for(actor), await self.accounts.presets(actor)
        asked = parse(text, fields, self.models, model=defaults.get("model"), presets=presets)
        return asked, self.models.resolve(asked, defaults)

    def _judge_safety(self, request: UpscaleRequest, parameters: Parameters, *, explicit: bool) -> Parameters:
        """`safety` off counts only where operator and place allow it; a saved default quietly gives way."""
        if parameters.safety or (self.allow_unsafe and request.unsafe_place):
            return parameters
        if explicit:
            raise UnsafeNotAllowed(reason="place" if self.allow_unsafe else "operator")
        return parameters.with_values(safety=True)

    def check(self, text: str, fields: Fields, presets: Presets | None = None) -> None:
        parse(text, fields, self.models, presets=presets or PRESETS, lenient=True)

    async def estimate(
        self, width_px: int, height_px: int, actor: Requester, *, text: str = "", fields: Fields | None = None
    ) -> Quote:
        _, parameters = await self._understood(actor, text, fields or {})
        quote = await estimated(self._tools, parameters, width_px, height_px)
        left = await self._tools.ledger.statuses(actor, parameters.model)
        needs = quote.estimate_nanousd > self.confirm_above_nanousd
        return dataclasses.replace(quote, left=left, needs_confirmation=needs)

    async def confirm(self, job_id: str, actor: Requester) -> Job:
        job = authorization.check_requester(await self._tools.store.get(job_id), actor)
        if job.state is not JobState.AWAITING_CONFIRMATION:
            if job.confirm_by_at is not None and not job.state.terminal:
                return job
            raise QuoteExpired if isinstance(job.error, QuoteExpired) else TooLate(state=job.state.value)
        if self.draining:
            raise Draining
        if job.confirm_by_at is not None and job.confirm_by_at < self._tools.clock.now():
            raise QuoteExpired
        if self._guests is not None:
            await self._guests.check(actor)
        agreed = job.quote.estimate_nanousd if job.quote else 0
        waiting = (JobState.AWAITING_CONFIRMATION,)
        moved = await self._tools.store.transition(job.id, waiting, state=JobState.QUEUED, confirmed_nanousd=agreed)
        job = moved or await self._tools.load(job.id)
        await self._engine.start(job.id, part="confirmed")
        if moved is not None:
            self._tools.event_bus.publish(moved)
        return job

    async def cancel(self, job_id: str, actor: Requester) -> Job:
        job = authorization.check_may_stop(await self._tools.store.get(job_id), actor)
        if job.state.terminal or job.state is JobState.DELIVERING:
            raise TooLate(state=job.state.value)
        who = f"{actor.platform}:{actor.user_id}"[:160]
        if job.state is JobState.AWAITING_CONFIRMATION:
            return await self._cancel_question(job, who)
        job = await self._tools.store.update(job.id, cancel_requested_by=who)
        self._tools.running.cancel_event(job.id).set()
        return job

    async def _cancel_question(self, job: Job, who: str) -> Job:
        """Write down who, make sure that the message will say so whatever happens, then end it at once."""
        waiting = (JobState.AWAITING_CONFIRMATION,)
        if await self._tools.store.transition(job.id, waiting, cancel_requested_by=who) is None:
            return await self._tools.load(job.id)
        await self._engine.start(job.id, part="announce")
        return await close_question(self._tools, await self._tools.load(job.id))

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
        earlier = authorization.check_visible(await self._tools.store.get(job_id), actor)
        if earlier.images_deleted:
            raise TooLate(state="images_deleted")
        made = repeated_request(earlier, actor, change, key=key, reply=reply, private=private)
        if self.models.find(str(made.fields["model"])) is None:  # not offered any more: what the default one has of it
            kept = {name: v for name, v in made.fields.items() if self.models.default.accepts(name, v) or name == "to"}
            made = dataclasses.replace(made, fields=kept)
        job = await self.request(made, start=start)
        if change.kind == "model" and earlier.state is JobState.AWAITING_CONFIRMATION:
            await self.cancel(earlier.id, actor)  # answered by this: with the other model
        return job

    async def redeliver(self, job_id: str, actor: Requester, *, reply: ReplyAddress, start: bool = True) -> Job:
        if self.draining:
            raise Draining
        earlier = authorization.check_visible(await self._tools.store.get(job_id), actor)
        if earlier.result is None or earlier.images_deleted:
            raise ResultExpired
        job, _ = await self._tools.store.add(redelivery(earlier, actor, reply, now=self._tools.clock.now()))
        if start:
            await self._engine.start(job.id, part="deliver")
        return job

    async def share(self, job_id: str, actor: Requester) -> str | None:
        job = authorization.check_requester(await self._tools.store.get(job_id), actor)
        if job.result is None or job.images_deleted:
            raise TooLate(state="images_deleted" if job.images_deleted else job.state.value)
        return self._tools.links.share(job.id, job.finished_at or self._tools.clock.now())

    async def shared(self, job_id: str, signature: str) -> Job:
        job = await self._tools.store.get(job_id) if self._tools.links.shares(job_id, signature) else None
        if job is None:
            raise JobNotFound
        if job.images_deleted or job.result is None or job.state is not JobState.SUCCEEDED:
            raise ResultExpired
        return job

    async def job(self, job_id: str, actor: Requester | None) -> Job:
        job = authorization.check_visible(await self._tools.store.get(job_id), actor)
        return with_newest_progress(self._tools.event_bus, job)

    @property
    def models(self) -> Models:
        return self._tools.models

    @property
    def can_share(self) -> bool:
        return self._tools.links.public

    async def recent(self, actor: Requester, *, limit: int) -> Sequence[Job]:
        authorization.check_operator(actor)
        return await self._tools.store.history(None, limit=limit)

    async def queue(self, actor: Requester) -> OpenHere:
        return await open_here(self._tools.store, self._tools.event_bus, actor)

    async def delete(self, job_id: str, actor: Requester) -> Job:
        job = authorization.check_may_stop(await self._tools.store.get(job_id), actor)
        shown = job.state is JobState.DELIVERING and job.result is not None  # its button is seen before the row ends
        if not job.state.terminal and not shown:
            return await self.cancel(job_id, actor)
        return await self.accounts.erase_images(job)

    def watch(self, job_id: str, *, after: int = 0) -> AsyncIterator[JobEvent]:
        return follow_job(self._tools, job_id, after)

    async def history(
        self, actor: Requester, *, limit: int = 10, before: float | None = None, begun: bool = False
    ) -> Sequence[Job]:
        return await self._tools.store.history(actor, limit=limit, before=before, begun=begun)

    def notice(self, error: UpscaleError, locale: str, job: Job | None = None, who: Requester | None = None) -> Notice:
        return error_notice(error, locale, job, who)


def _source(source: Source, asked: Parsed) -> Source:
    """The source, completed by a link that was typed. Raises NoImage."""
    if source.kind == "link" and not source.url:
        if not asked.links:
            raise NoImage
        return Source("link", url=asked.links[0])
    return source
