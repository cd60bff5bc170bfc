"""Judges a request by the member's rights, words and shares, and writes it down as a job."""

import secrets

from core.accounts.allowlist import AllowList
from core.accounts.service import Accounts
from core.budgets.service import Budgets
from core.domain.errors import NoImage, UnsafeNotAllowed
from core.domain.job import Job, JobState, Requester, Source, UpscaleRequest, job_id_for
from core.domain.parameters.grammar import parse
from core.domain.parameters.spec import SEED_MAX, Fields, Parameters, Parsed
from core.jobs.admission import Share
from core.jobs.steps import JobContext


class Intake:
    """Nothing is written of what is refused."""

    def __init__(self, ctx: JobContext, accounts: Accounts, budgets: Budgets, allowlist: AllowList | None) -> None:
        self._ctx = ctx
        self._accounts = accounts
        self._budgets = budgets
        self._allowlist = allowlist

    async def accept(self, request: UpscaleRequest, *, allow_unsafe: bool) -> Job:
        """The job, written down and not begun. Raises what `JobService.request` raises."""
        if self._allowlist is not None:
            await self._allowlist.check(request.requester)
        await self._budgets.check_open(request.requester)
        await self._ctx.running.disk.check(Share.of(request.requester).member)
        asked, parameters = await self.understood(request.requester, request.text, request.fields)
        model = self._ctx.models.of(parameters)
        if (halted := self._ctx.other_providers.get(model.backend, self._ctx.upscaler).halted) is not None:
            raise halted
        parameters = _judge_safety(request, parameters, explicit="safety" in asked.values, allowed=allow_unsafe)
        if parameters.seed is None and "seed" in model.inputs:
            parameters = parameters.with_values(seed=secrets.randbelow(SEED_MAX + 1))
        now = self._ctx.clock.now()
        if request.source.kind == "upload":  # before it is acknowledged: any replica may go on with it
            await self._ctx.files.share(self._ctx.files.absolute(request.source.path))
        job, new = await self._ctx.store.add(
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
            if n_bytes := await self._ctx.files.upload_bytes(job.source.path):
                self._ctx.running.disk.count(job.source.path, Share.of(job.requester).member, n_bytes)
            self._ctx.metrics.job(request.requester.platform, "accepted")
        return job

    async def understood(self, actor: Requester, text: str, fields: Fields) -> tuple[Parsed, Parameters]:
        defaults, presets = await self._accounts.for_request(actor)
        asked = parse(text, fields, self._ctx.models, model=defaults.get("model"), presets=presets)
        return asked, self._ctx.models.resolve(asked, defaults)


def _judge_safety(request: UpscaleRequest, parameters: Parameters, *, explicit: bool, allowed: bool) -> Parameters:
    """`safety` off counts only where operator and place allow it; a saved default quietly gives way."""
    if parameters.safety or (allowed and request.unsafe_place):
        return parameters
    if explicit:
        raise UnsafeNotAllowed(reason="place" if allowed else "operator")
    return parameters.with_values(safety=True)


def _source(source: Source, asked: Parsed) -> Source:
    """The source, completed by a link that was typed. Raises NoImage."""
    if source.kind == "link" and not source.url:
        if not asked.links:
            raise NoImage
        return Source("link", url=asked.links[0])
    return source
