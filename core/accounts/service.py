"""What belongs to a member: what they saved, and the privacy rights to see and to erase what is stored."""

import asyncio
import dataclasses
import json
import os
import tempfile
import zipfile
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import structlog
from pydantic import TypeAdapter

from core.accounts.settings import SavedSettings, owner_key
from core.budgets.erased_requests import ErasedRequest, erased_requests
from core.budgets.service import Budgets
from core.domain.errors import StorageFull, to_json
from core.domain.identity import check_moderator, person_id
from core.domain.job import InputFacts, Job, Quote, Receipt, Requester
from core.domain.parameters.spec import Parameters
from core.jobs.disk_budget import free_bytes
from core.jobs.steps import Tools
from core.ports import AppState, TypedState
from core.presentation import Card
from core.presentation.cards import moderation

log = structlog.get_logger(__name__)

_PAGE = 200
_PURGE_WITHIN_S = 30 * 86_400.0


@dataclass(frozen=True, slots=True)
class Purge:
    """Somebody (without `user_id`: a whole workspace) asked to be forgotten at that time, and had jobs running."""

    platform: str
    workspace_id: str
    user_id: str
    at: float


class Accounts:
    def __init__(self, tools: Tools, state: AppState, money: Budgets) -> None:
        saved = self._saved = SavedSettings(state, tools.models)
        self.defaults, self.set_defaults = saved.defaults, saved.set_defaults
        self.settings, self.change_settings = saved.settings, saved.change_settings
        self.presets, self.save_preset, self.delete_preset = saved.presets, saved.save_preset, saved.delete_preset
        self.for_request, self.replace_place_presets = saved.for_request, saved.replace_place_presets
        self._tools = tools
        self._money = money
        self._erased = erased_requests(state)
        self._exports: dict[str, Path] = {}
        self._purges = TypedState(state, "purge", Purge, ttl_s=_PURGE_WITHIN_S)

    async def set_place_presets(self, actor: Requester, text: str, channel_id: str = "") -> Card:
        """What to tell after `replace_place_presets`, or, without a text, of what is set. Raises NotAllowed.

        A change is kept in the history of changes.
        """
        check_moderator(actor)
        old, new = await self.replace_place_presets(actor, text, channel_id)
        if old != new:
            subject = f"channel {channel_id}" if channel_id else "workspace"
            await self._money.limits.rules.note_presets(actor, subject, old, new)
        return moderation.place_presets(new, channel_id, actor.locale)

    async def export(self, actor: Requester) -> Path:
        """A ZIP of everything stored about the member; the caller deletes it. Raises StorageFull.

        One at a time: each takes as much of the disk as all that is kept of the member.
        """
        self._exports = {name: path for name, path in self._exports.items() if path.exists()}
        if owner_key(actor) in self._exports:
            raise StorageFull(reason="export")
        handle, name = tempfile.mkstemp(prefix="export-", suffix=".zip")
        os.close(handle)
        path = self._exports[owner_key(actor)] = Path(name)
        try:
            await self._write_export(actor, path)
        except BaseException:
            path.unlink(missing_ok=True)
            raise
        return path

    async def _write_export(self, actor: Requester, path: Path) -> None:
        jobs = [job async for job in self._jobs_of(actor)]
        settings = await self.settings(actor)
        record = {
            "member": {"platform": actor.platform, "user_id": person_id(actor)},
            "defaults": settings.defaults,
            "presets": settings.presets,
            "jobs": [_job_record(job) for job in jobs],
            "ledger": list(await self._money.export(actor)),
        }
        kept = [(job, job.result) for job in jobs if not job.images_deleted and job.result is not None]
        needed_bytes = sum(result.bytes + (job.input.bytes if job.input is not None else 0) for job, result in kept)
        if await asyncio.to_thread(free_bytes, path.parent) - needed_bytes < self._tools.settings.disk.free:
            raise StorageFull(reason="disk")
        for job, result in kept:
            await self._tools.files.here(self._tools.files.source(job.id))
            await self._tools.files.here(self._tools.files.absolute(result.path))
        await asyncio.to_thread(self._pack, path, record, jobs)

    def _pack(self, path: Path, record: dict[str, Any], jobs: Sequence[Job]) -> None:
        with zipfile.ZipFile(path, "w", zipfile.ZIP_STORED) as archive:
            archive.writestr("data.json", json.dumps(record, indent=2, ensure_ascii=False))
            for job in jobs:
                if job.images_deleted:
                    continue
                folder = self._tools.files.folder(job.id)
                for image in (folder / "source", *folder.glob("result.*")):
                    if image.exists() and image.suffix != ".part":
                        archive.write(image, f"images/{job.id}/{image.name}")

    async def erase(self, actor: Requester) -> int:
        """Delete the member's jobs, images and defaults; money rows stay, anonymised. Returns the number of jobs."""
        erased = 0
        now = self._tools.clock.now()
        erased, left = await self._erase_jobs(actor, now)
        if left:
            await self._purges.put(owner_key(actor), Purge(actor.platform, actor.workspace_id, actor.user_id, now))
        await self._money.anonymise(actor)
        await self._saved.forget_settings(owner_key(actor))
        log.info("member_erased", jobs=erased, stopped=left)
        return erased + left

    async def _erase_jobs(self, actor: Requester, asked_at: float) -> tuple[int, int]:
        """Erase what is over and stop what runs; how many of each. Later jobs than `asked_at` are left alone."""
        erased = left = 0
        async for job in self._jobs_of(actor):
            if job.created_at > asked_at:
                continue
            if not job.state.terminal:
                await self._stop(job)
                left += 1
                continue
            await self.erase_images(job)
            if job.remote is not None and job.remote.request_id:
                sent_at = job.remote.intent_at or job.created_at
                await self._erased.put(job.id, ErasedRequest(job.remote.request_id, sent_at))
            await self._tools.store.remove(job.id)
            erased += 1
        return erased, left

    async def _stop(self, job: Job) -> None:
        if not job.cancel_requested_by:
            await self._tools.store.update(job.id, cancel_requested_by="erased")
        self._tools.running.cancel_event(job.id).set()

    async def forget_workspace(self, platform: str, workspace_id: str) -> None:
        """The platform revoked our access: end its jobs quietly, and delete its pictures and everything set there."""
        now = self._tools.clock.now()
        if await self._erase_workspace(platform, workspace_id, now):
            await self._purges.put(f"{platform}:{workspace_id}", Purge(platform, workspace_id, "", now))
        await self._saved.forget_place(platform, workspace_id)
        await self._money.limits.rules.forget_workspace(platform, workspace_id)
        log.info("workspace_forgotten", platform=platform)

    async def _erase_workspace(self, platform: str, workspace_id: str, asked_at: float) -> int:
        """How many of its jobs are not over yet."""
        left, after = 0, ""
        while page := await self._tools.store.of_workspace(platform, workspace_id, after_id=after):
            after = page[-1].id
            for job in page:
                if job.created_at > asked_at:
                    continue
                if job.state.terminal:
                    await self.erase_images(job)
                else:
                    await self._stop(job)
                    left += 1
        return left

    async def finish_purges(self) -> None:
        """Erase what still ran when somebody, or a workspace, asked to be forgotten. To be called now and then."""
        for key, purge in (await self._purges.items()).items():
            if purge.user_id:
                who = Requester(purge.platform, purge.user_id, workspace_id=purge.workspace_id)
                _, left = await self._erase_jobs(who, purge.at)
                await self._money.anonymise(who)
            else:
                left = await self._erase_workspace(purge.platform, purge.workspace_id, purge.at)
            if not left:
                await self._purges.delete(key)

    async def erase_images(self, job: Job) -> Job:
        """Delete a job's pictures and caption here, and at the provider where it lets us."""
        await self._tools.files.remove(job.id)
        self._tools.running.disk.forget(job.id)
        if job.source.kind == "upload":
            await self._tools.files.remove_upload(job.source.path)
            self._tools.running.disk.forget(job.source.path)
        if job.remote is not None and job.remote.request_id:
            try:
                async with asyncio.timeout(10):
                    await self._tools.provider(job).erase(job.remote.request_id)
            except Exception as error:
                # It expires there by itself (the lifecycle was set at upload); what we keep is gone either way.
                log.info("provider_erase_failed", job=job.id, kind=type(error).__name__)
        return await self._tools.store.update(job.id, images_deleted=True, result=_without_words(job))

    async def _jobs_of(self, actor: Requester) -> AsyncIterator[Job]:
        before: float | None = None
        before_id = ""
        while page := await self._tools.store.history(actor, limit=_PAGE, before=before, before_id=before_id):
            for job in page:
                yield job
            before, before_id = page[-1].created_at, page[-1].id


def _without_words(job: Job) -> Any:
    return dataclasses.replace(job.result, caption="", link=None) if job.result is not None else None


def _job_record(job: Job) -> dict[str, Any]:
    """A job as its owner is given it: no provider addresses, no tokens."""
    return {
        "reference": job.id,
        "state": job.state.value,
        "created_at": job.created_at,
        "finished_at": job.finished_at,
        "workspace_id": job.requester.workspace_id,
        "channel_id": job.requester.channel_id,
        "user_name": job.requester.user_name,
        "parameters": TypeAdapter(Parameters).dump_python(job.parameters, mode="json"),
        "input": TypeAdapter(InputFacts | None).dump_python(job.input, mode="json"),
        "quote": TypeAdapter(Quote | None).dump_python(job.quote, mode="json", exclude={"left"}),
        "receipt": TypeAdapter(Receipt | None).dump_python(job.receipt, mode="json"),
        "caption": job.result.caption if job.result else None,
        "error": to_json(job.error) if job.error else None,
    }
