"""Checks a request against the member's rights, parameters and shares, and stores it as a job."""

import secrets

from core.accounts.allowlist import AllowList
from core.accounts.service import Accounts
from core.budgets.service import Budgets
from core.domain.errors import NoImage, UnsafeNotAllowed
from core.domain.job import Job, JobState, Requester, Source, UpscaleRequest, job_id_for
from core.domain.parameters.grammar import parse as parse_parameters
from core.domain.parameters.spec import SEED_MAX, Fields, Parameters, Parsed
from core.jobs.admission import Share
from core.jobs.steps import JobContext


class Intake:
    def __init__(self, ctx: JobContext, accounts: Accounts, budgets: Budgets, allowlist: AllowList | None) -> None:
        self._ctx = ctx
        self._accounts = accounts
        self._budgets = budgets
        self._allowlist = allowlist

    async def accept(self, request: UpscaleRequest, *, allow_unsafe: bool, owner: str) -> Job:
        """Store the job for this `owner`, without starting it. A refused request leaves no row. Raises UpscaleError."""
        if self._allowlist is not None:
            await self._allowlist.check(request.requester)
        await self._budgets.check_open(request.requester)
        await self._ctx.running.disk.check(Share.of(request.requester).member)
        asked, parameters = await self.parse(request.requester, request.text, request.fields)
        model = self._ctx.models.of(parameters)
        if (halted := self._ctx.other_providers.get(model.backend, self._ctx.upscaler).halted) is not None:
            raise halted
        parameters = _checked_safety(request, parameters, explicit="safety" in asked.values, allowed=allow_unsafe)
        if parameters.seed is None and "seed" in model.inputs:
            parameters = parameters.with_values(seed=secrets.randbelow(SEED_MAX + 1))
        now = self._ctx.clock.now()
        if request.source.kind == "upload":  # before it is acknowledged, since any replica may run it
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
            ),
            owner=owner,
        )
        if new:
            if n_bytes := await self._ctx.files.upload_bytes(job.source.path):
                self._ctx.running.disk.count(job.source.path, Share.of(job.requester).member, n_bytes)
            self._ctx.metrics.job(request.requester.platform, "accepted")
        return job

    async def parse(self, actor: Requester, text: str, fields: Fields) -> tuple[Parsed, Parameters]:
        defaults, presets = await self._accounts.for_request(actor)
        asked = parse_parameters(text, fields, self._ctx.models, model=defaults.get("model"), presets=presets)
        return asked, self._ctx.models.resolve(asked, defaults)


def _checked_safety(request: UpscaleRequest, parameters: Parameters, *, explicit: bool, allowed: bool) -> Parameters:
    """`safety=off` needs the operator's and the place's permission; without it a saved default is ignored."""
    if parameters.safety or (allowed and request.unsafe_place):
        return parameters
    if explicit:
        raise UnsafeNotAllowed(reason="place" if allowed else "operator")
    return parameters.with_values(safety=True)


def _source(source: Source, asked: Parsed) -> Source:
    """The source, or the link in the text. Raises NoImage."""
    if source.kind == "link" and not source.url:
        if not asked.links:
            raise NoImage
        return Source("link", url=asked.links[0])
    return source
