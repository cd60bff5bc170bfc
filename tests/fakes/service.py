"""`JobService` in memory: judges with the real parser and the real rights, explains with the real sentences.

How a job moves differs by what a platform's tests need to hold still, so `_start`, `confirm` and `cancel` are left to
the three subclasses in `tests/adapters/*/fake_service.py`.
"""

import hashlib
import json
import zipfile
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, cast

from core.accounts.settings import SavedSettings
from core.domain import errors as e
from core.domain import identity
from core.domain.events import JobEvent
from core.domain.job import Job, JobState, Quote, ReplyAddress, Requester, UpscaleRequest, job_id_for
from core.domain.models import MODELS
from core.domain.money import DEFAULT_UNIT_PRICE_NANOUSD, NANOUSD_PER_USD, quote
from core.domain.parameters.grammar import parse
from core.domain.parameters.spec import PRESETS, Presets
from core.domain.variations import redelivered_job_id, redelivery, repeated_request
from core.images.renditions import JobMedia
from core.jobs.service import JobService
from core.ports import AdapterContext, Change, ChatAdapter, Clock, UnfinishedJobs
from core.presentation import Notice, explain
from tests.fakes.budgets import FakeBudgets
from tests.fakes.core import DatabaseAway
from tests.fakes.media import FakeMedia, png
from tests.fakes.operator import Told
from tests.fakes.state import MemoryState

Fields = Mapping[str, str | int | float | bool]
REFERENCE = "0incident000"


class FakeService(FakeBudgets, SavedSettings):
    """Keeps every job and call, so that tests judge what was asked; `broken` is raised by every request."""

    seed: int | None = None

    def __init__(self, folder: Path, clock: Clock) -> None:
        super().__init__(folder, clock)
        SavedSettings.__init__(self, MemoryState(clock), MODELS)
        self.accounts = self.budgets = self.incidents = self.limits = self
        self.adapter: ChatAdapter | None = None
        self.jobs: dict[str, Job] = {}
        self.begun: set[str] = set()
        self.requests: list[UpscaleRequest] = []
        self.caught: list[BaseException] = []
        self.unsaid: list[e.DeliveryError] = []
        self.draining = False
        self.allow_unsafe = False
        self.can_share = False
        self.models = MODELS
        self.confirm_above_nanousd = NANOUSD_PER_USD
        self.broken: Exception | None = None
        self.export_bytes = 0
        self.forgotten: list[tuple[str, str]] = []

    def _start(self, job: Job) -> None:
        """Set the job going."""
        raise NotImplementedError

    def _seed_of(self, job_id: str) -> int:
        return int(hashlib.sha256(job_id.encode()).hexdigest()[:8], 16) if self.seed is None else self.seed

    def set(self, job_id: str, **changes: Any) -> Job:
        self.jobs[job_id] = replace(self.jobs[job_id], updated_at=self.clock.now(), **changes)
        return self.jobs[job_id]

    def _find(self, job_id: str, actor: Requester | None) -> Job:
        job = self.jobs.get(job_id)
        while job is not None and (original := redelivered_job_id(job)):
            job = self.jobs.get(original)
        return identity.check_visible(job, actor)

    # --- jobs -------------------------------------------------------------------------------------------------------

    async def begin(self, job_id: str, reply: ReplyAddress) -> None:
        if job_id not in self.begun:
            self.begun.add(job_id)
            job = self.set(job_id, reply=reply)
            (self._deliver_again if job.state is JobState.DELIVERING else self._start)(job)

    async def pick_up(self) -> None:
        """As the core after a crash: what was written and never begun is carried on."""
        for job_id, job in list(self.jobs.items()):
            await self.begin(job_id, job.reply)

    async def request(self, request: UpscaleRequest, *, start: bool = True) -> Job:
        if self.broken is not None:
            raise self.broken
        if self.draining:
            raise e.Draining
        if self.halted:
            raise e.Paused(by="operator")
        job_id = job_id_for(request.key)
        if job_id in self.jobs:
            return self.jobs[job_id]
        self.requests.append(request)
        presets = await self.presets(request.requester)
        asked = parse(request.text, dict(request.fields), presets=presets)
        chosen = MODELS.resolve(asked, await self.defaults(request.requester))
        if not chosen.safety and not (self.allow_unsafe and request.unsafe_place):
            raise e.UnsafeNotAllowed(reason="place" if self.allow_unsafe else "operator")
        now = self.clock.now()
        self.jobs[job_id] = Job(
            job_id, request.key, JobState.QUEUED, request.requester, request.source, request.reply,
            chosen if chosen.seed is not None else chosen.with_values(seed=self._seed_of(job_id)),
            now, now, private=bool(request.private or asked.private),
            spoiler=request.spoiler, parent_id=request.parent_id,
            confirmed_nanousd=request.confirmed_nanousd,
        )  # fmt: skip
        if start:
            await self.begin(job_id, request.reply)
        return self.jobs[job_id]

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
        earlier = identity.check_may_repeat(self._find(job_id, actor), actor, change.kind)
        made = repeated_request(earlier, actor, change, key=key, reply=reply, private=private)
        if made.unsafe_place and allows_unsafe is not None:
            made = replace(made, unsafe_place=await allows_unsafe())
        return await self.request(made, start=start)

    async def job(self, job_id: str, actor: Requester | None) -> Job:
        return self._find(job_id, actor)

    async def delete(self, job_id: str, actor: Requester) -> Job:
        job = identity.check_may_stop(self._find(job_id, actor), actor)
        return self.set(job.id, images_deleted=True)

    async def redeliver(self, job_id: str, actor: Requester, *, reply: ReplyAddress, start: bool = True) -> Job:
        job = redelivery(self._find(job_id, actor), actor, reply, now=self.clock.now())
        self.jobs.setdefault(job.id, job)
        if start:
            await self.begin(job.id, reply)
        return self.jobs[job.id]

    def _deliver_again(self, job: Job) -> None:
        raise NotImplementedError

    async def share(self, job_id: str, actor: Requester) -> str | None:
        identity.check_requester(self._find(job_id, actor), actor)
        return f"https://bot.example/s/{job_id}" if self.can_share else None

    async def shared(self, job_id: str, signature: str) -> Job:
        raise e.JobNotFound

    async def queue(self, actor: Requester) -> UnfinishedJobs:
        identity.check_moderator(actor)
        here = tuple(job for job in self.jobs.values() if not job.state.terminal)
        return UnfinishedJobs(tuple(j for j in here if j.requester.workspace_id == actor.workspace_id), len(here))

    async def watch(self, job_id: str, *, after: int = 0) -> AsyncIterator[JobEvent]:
        return
        yield

    async def recent(self, actor: Requester, *, limit: int) -> Sequence[Job]:
        return await self.history(actor, limit=limit)

    async def history(
        self, actor: Requester, *, limit: int = 10, before: float | None = None, refused: bool = True
    ) -> Sequence[Job]:
        mine = [job for job in self.jobs.values() if identity.is_requester(job, actor)]
        mine = [job for job in mine if refused or job.state is not JobState.REFUSED]
        mine.sort(key=lambda job: -job.created_at)
        return [job for job in mine if before is None or job.created_at < before][:limit]

    async def estimate(
        self, width_px: int, height_px: int, actor: Requester, *, text: str = "", fields: Fields | None = None
    ) -> Quote:
        asked = parse(text, dict(fields or {}), presets=await self.presets(actor))
        factor = MODELS.resolve(asked, await self.defaults(actor)).factor
        return quote(width_px, height_px, factor, DEFAULT_UNIT_PRICE_NANOUSD)

    def check(self, text: str, fields: Fields, presets: Presets | None = None) -> None:
        parse(text, dict(fields), presets=presets or PRESETS, lenient=True)

    # --- one person -------------------------------------------------------------------------------------------------

    async def export(self, actor: Requester) -> Path:
        path = self.folder / "export-made.zip"
        with zipfile.ZipFile(path, "w") as archive:
            archive.writestr("data.json", json.dumps({"user": actor.user_id}))
            archive.writestr("images/a.png", png(8, 8) + bytes(self.export_bytes))
        return path

    async def erase(self, actor: Requester) -> int:
        mine = [job.id for job in await self.history(actor, limit=1000)]
        for job_id in mine:
            del self.jobs[job_id]
        return len(mine)

    async def forget_workspace(self, platform: str, workspace_id: str) -> None:
        self.forgotten.append((platform, workspace_id))

    # --- words ------------------------------------------------------------------------------------------------------

    async def unforeseen(self, area: str, error: BaseException) -> e.UpscaleError:
        if isinstance(error, e.UpscaleError):
            return error
        if isinstance(error, DatabaseAway):
            return e.StorageUnavailable()
        return e.InternalError(reference=await self.incident(area, error))

    async def incident(self, area: str, error: BaseException) -> str:
        self.caught.append(error)
        return REFERENCE

    def notice(
        self, error: e.UpscaleError, locale: str, job: Job | None = None, who: Requester | None = None
    ) -> Notice:
        return explain(error, locale, reference=job.id if job else "", receipt=job.receipt if job else None)


def context_of(core: FakeService, media: FakeMedia, state: Any, url: str | None = None, **more: Any) -> AdapterContext:
    """What the application hands to an adapter, with a fake core."""
    service, files = cast(JobService, core), cast(JobMedia, media)
    more.setdefault("operator", Told())
    return AdapterContext(service, files, state, core.clock, core.folder, url, "test", **more)
