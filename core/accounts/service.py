"""Export and erasure of a member's data."""

import asyncio
import dataclasses
import json
import os
import tempfile
import zipfile
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import structlog
from pydantic_core import to_jsonable_python

from core.accounts.allowlist import forget_asker
from core.accounts.settings import SavedSettings, owner_key
from core.budgets.reconcile import ErasedRequest, erased_requests
from core.budgets.service import Budgets
from core.domain.errors import StorageFull, to_json
from core.domain.identity import check_moderator, is_same_person, person_id
from core.domain.job import Job, JobState, Requester
from core.jobs.disk_budget import free_bytes
from core.jobs.steps import JobContext
from core.jobs.steps.fail import close_question
from core.ports import AppState, TypedState
from core.presentation import Card
from core.presentation.cards import moderation
from core.storage.ledger.history import forget_member

log = structlog.get_logger(__name__)

_PAGE = 200
_PURGE_WITHIN_S = 30 * 86_400.0


@dataclass(frozen=True, slots=True)
class Purge:
    """A request at that time to erase a member, or without `user_id` a workspace, whose jobs were still running."""

    platform: str
    workspace_id: str
    user_id: str
    at: float


class Accounts(SavedSettings):
    def __init__(self, ctx: JobContext, state: AppState, money: Budgets) -> None:
        super().__init__(state, ctx.models)
        self._ctx = ctx
        self._money = money
        self._state = state
        self._erased = erased_requests(state)
        self._exports: dict[str, Path] = {}
        self._purges = TypedState(state, "purge", Purge, ttl_s=_PURGE_WITHIN_S)

    async def set_place_presets(self, actor: Requester, text: str, channel_id: str = "") -> Card:
        """Replace a place's default values, or show them if `text` is empty. Raises NotAllowed."""
        check_moderator(actor)
        old, new = await self.replace_place_presets(actor, text, channel_id)
        if old != new:
            subject = f"channel {channel_id}" if channel_id else "workspace"
            await self._money.limits.rules.note_presets(actor, subject, old, new)
        return moderation.place_presets(new, channel_id, actor.locale)

    async def export(self, actor: Requester) -> Path:
        """A ZIP of everything stored about the member; the caller deletes it. One at a time. Raises StorageFull."""
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
            **await self._money.export(actor),
        }
        kept = [(job, job.result) for job in jobs if not job.images_deleted and job.result is not None]
        needed_bytes = sum(result.bytes + (job.input.bytes if job.input is not None else 0) for job, result in kept)
        if await asyncio.to_thread(free_bytes, path.parent) - needed_bytes < self._ctx.settings.disk.free:
            raise StorageFull(reason="disk")
        for job, result in kept:
            await self._ctx.files.ensure_local(self._ctx.files.source(job.id))
            await self._ctx.files.ensure_local(self._ctx.files.absolute(result.path))
        await asyncio.to_thread(self._pack, path, record, jobs)

    def _pack(self, path: Path, record: dict[str, Any], jobs: Sequence[Job]) -> None:
        with zipfile.ZipFile(path, "w", zipfile.ZIP_STORED) as archive:
            archive.writestr("data.json", json.dumps(record, indent=2, ensure_ascii=False))
            for job in jobs:
                if job.images_deleted:
                    continue
                folder = self._ctx.files.folder(job.id)
                for image in (folder / "source", *folder.glob("result.*")):
                    if image.exists() and image.suffix != ".part":
                        archive.write(image, f"images/{job.id}/{image.name}")

    async def erase(self, actor: Requester) -> int:
        """Delete the member's jobs, images and small values, and anonymise ledger rows. Returns the number of jobs."""
        asked = Purge(actor.platform, actor.workspace_id, actor.user_id, self._ctx.clock.now())
        await self._state.delete_where(partial(_is_about, actor))
        await forget_asker(self._state, actor)
        await self._purges.put(owner_key(actor), asked)
        erased, running = await self._purge(owner_key(actor), asked)
        log.info("member_erased", jobs=erased, stopped=running)
        return erased + running

    async def forget_workspace(self, platform: str, workspace_id: str) -> None:
        """After a workspace has removed the bot: cancel its jobs, delete its images and settings."""
        asked = Purge(platform, workspace_id, "", self._ctx.clock.now())
        await self._purges.put(f"{platform}:{workspace_id}", asked)
        await self._purge(f"{platform}:{workspace_id}", asked)
        await self.forget_place(platform, workspace_id)
        await self._money.limits.rules.forget_workspace(platform, workspace_id)
        log.info("workspace_forgotten", platform=platform)

    async def finish_purges(self) -> None:
        """Erase jobs that were still running at an erasure."""
        for key, purge in (await self._purges.items()).items():
            await self._purge(key, purge)

    async def _purge(self, key: str, purge: Purge) -> tuple[int, int]:
        """Erase ended jobs and cancel others; the number of each. Later jobs are not affected."""
        erased, running = set[str](), 0
        who = Requester(purge.platform, purge.user_id, workspace_id=purge.workspace_id)
        async for job in self._jobs_of(who):
            if job.created_at > purge.at:
                continue
            if not job.state.terminal and not job.cancel_requested_by:
                job = await self._ctx.store.update(job.id, cancel_requested_by="erased")
            if job.state is JobState.AWAITING_CONFIRMATION:  # nothing runs that would notice the cancel
                job = await close_question(self._ctx, job)
            told = not purge.user_id or not await self._ctx.obligations.owes_end(job.id)
            if job.state.terminal and told:
                await self._erase_job(job, whole=bool(purge.user_id))
                erased.add(job.id)
                continue
            if job.state.terminal and not job.images_deleted:  # its row is needed until its message is closed
                await self.erase_images(job)
            self._ctx.running.cancel_event(job.id).set()
            running += 1
        if purge.user_id:
            await forget_member(self._money.ledger.database, who)
            # What adapters keep of a job, such as the ids of its further messages.
            await self._state.delete_where(
                lambda area, key, _: area != self._erased.area and key.partition(":")[0] in erased
            )
        if not running:
            await self._purges.delete(key)
        return len(erased), running

    async def _erase_job(self, job: Job, *, whole: bool) -> None:
        await self.erase_images(job)
        if whole:
            if job.remote is not None and job.remote.request_id:
                sent_at = job.remote.intent_at or job.created_at
                await self._erased.put(job.id, ErasedRequest(job.remote.request_id, sent_at))
            await self._ctx.store.remove(job.id)

    async def erase_images(self, job: Job) -> Job:
        """Delete a job's images and caption, here and if possible at the provider."""
        await self._ctx.files.remove(job.id)
        self._ctx.running.disk.forget(job.id)
        if job.source.kind == "upload":
            await self._ctx.files.remove_upload(job.source.path)
            self._ctx.running.disk.forget(job.source.path)
        if job.remote is not None and job.remote.request_id:
            try:
                async with asyncio.timeout(10):
                    await self._ctx.provider(job).erase(job.remote.request_id)
            except Exception as error:
                # It expires there (the lifecycle was set at the upload).
                log.info("provider_erase_failed", job=job.id, kind=type(error).__name__)
        without_caption = dataclasses.replace(job.result, caption="", link=None) if job.result is not None else None
        return await self._ctx.store.update(job.id, images_deleted=True, result=without_caption)

    async def _jobs_of(self, who: Requester) -> AsyncIterator[Job]:
        """The member's jobs, newest first, or without a user the workspace's jobs that have images."""
        store, last_id, last_at = self._ctx.store, "", None
        while page := (
            await store.history(who, limit=_PAGE, before=last_at, before_id=last_id)
            if who.user_id
            else await store.of_workspace(who.platform, who.workspace_id, after_id=last_id)
        ):
            for job in page:
                yield job
            last_id, last_at = page[-1].id, page[-1].created_at


def _is_about(who: Requester, area: str, key: str, value: Any) -> bool:
    """Whether a small value is kept under this person's id, or holds a request of theirs."""
    of_platform = area.startswith(who.platform) or key.startswith(f"{who.platform}:")
    return (of_platform and f":{person_id(who)}:" in f":{key}:") or _names(who, value)


def _names(who: Requester, value: Any) -> bool:
    if isinstance(value, dict):
        platform, workspace_id = str(value.get("platform", who.platform)), str(value.get("workspace_id", ""))
        named = Requester(platform, str(value.get("user_id")), workspace_id=workspace_id)
        return is_same_person(named, who) or any(_names(who, one) for one in value.values())
    return isinstance(value, list) and any(_names(who, one) for one in value)


def _job_record(job: Job) -> dict[str, Any]:
    """The job for an export: without provider URLs and tokens."""
    return {
        "reference": job.id,
        "state": job.state.value,
        "created_at": job.created_at,
        "finished_at": job.finished_at,
        "workspace_id": job.requester.workspace_id,
        "channel_id": job.requester.channel_id,
        "user_name": job.requester.user_name,
        "name": job.source.name,
        "link": job.source.url if job.source.kind == "link" else "",
        "private": job.private,
        "parameters": to_jsonable_python(job.parameters),
        "input": to_jsonable_python(job.input),
        "quote": to_jsonable_python(job.quote, exclude={"left"}),
        "receipt": to_jsonable_python(job.receipt),
        "result": to_jsonable_python(job.result, exclude={"path", "link", "caption"}),
        "caption": job.result.caption if job.result else None,
        "error": to_json(job.error) if job.error else None,
    }
