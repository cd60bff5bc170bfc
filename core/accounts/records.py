"""What belongs to a member: saved defaults, and the privacy rights to see and to erase what is stored."""

from __future__ import annotations

import asyncio
import dataclasses
import json
import tempfile
import zipfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol

import structlog
from pydantic import TypeAdapter

from core.budgets.erased_requests import ErasedRequests
from core.domain.errors import to_json
from core.domain.job import InputFacts, Job, Quote, Receipt, Requester
from core.domain.parameters.grammar import parse_request
from core.domain.parameters.spec import Parameters, Value
from core.jobs.steps import Tools
from core.ports import AppState

log = structlog.get_logger(__name__)

_EXPORT_JOBS = 10_000
_PAGE = 200


class MoneyRows(Protocol):
    """The ledger's side of privacy."""

    async def export(self, requester: Requester) -> Sequence[Mapping[str, Any]]:
        """The member's ledger entries, JSON-safe."""

    async def anonymise(self, requester: Requester) -> int:
        """Cut the link between the member and their money rows; how many rows."""


class Members:
    """Defaults, export, erasure."""

    def __init__(self, tools: Tools, state: AppState, money: MoneyRows) -> None:
        self._tools = tools
        self._state = state
        self._money = money
        self._erased = ErasedRequests(state, tools.clock)

    async def defaults(self, actor: Requester) -> dict[str, Value | str]:
        """The saved defaults by chat name; `preset` may be among them."""
        saved = await self._state.get("defaults", _key(actor))
        return dict(saved) if isinstance(saved, dict) else {}

    async def set_defaults(
        self, actor: Requester, text: str, fields: Mapping[str, str | int | float | bool]
    ) -> dict[str, Value | str]:
        """Replace them by what this says. A seed is never a default. Raises InvalidParameters."""
        typed, options = parse_request(text, fields)
        saved: dict[str, Value | str] = {**typed.values, **options.values}
        preset = options.preset or typed.preset
        if preset:
            saved["preset"] = preset
        saved.pop("seed", None)
        if saved:
            await self._state.put("defaults", _key(actor), saved)
        else:
            await self._state.delete("defaults", _key(actor))
        return saved

    async def export(self, actor: Requester) -> Path:
        """A ZIP of everything stored about the member; the caller deletes it."""
        jobs = await self._all_jobs(actor)
        record = {
            "member": {"platform": actor.platform, "user_id": actor.user_id},
            "defaults": await self.defaults(actor),
            "jobs": [_job_record(job) for job in jobs],
            "ledger": list(await self._money.export(actor)),
        }
        return await asyncio.to_thread(self._pack, record, jobs)

    def _pack(self, record: dict[str, Any], jobs: Sequence[Job]) -> Path:
        with tempfile.NamedTemporaryFile(prefix="export-", suffix=".zip", delete=False) as file:
            path = Path(file.name)
        with zipfile.ZipFile(path, "w", zipfile.ZIP_STORED) as archive:
            archive.writestr("data.json", json.dumps(record, indent=2, ensure_ascii=False))
            for job in jobs:
                if job.images_deleted:
                    continue
                folder = self._tools.files.folder(job.id)
                for image in (folder / "source", *folder.glob("result.*")):
                    if image.exists() and image.suffix != ".part":
                        archive.write(image, f"images/{job.id}/{image.name}")
        return path

    async def erase(self, actor: Requester) -> int:
        """Delete the member's jobs, images and defaults; money rows stay, anonymised. Returns the number of jobs."""
        erased = 0
        for job in await self._all_jobs(actor):
            if not job.state.terminal:
                continue
            await self.erase_images(job)
            await self._erased.remember(job)
            await self._tools.store.remove(job.id)
            erased += 1
        await self._money.anonymise(actor)
        await self._state.delete("defaults", _key(actor))
        log.info("member_erased", jobs=erased)
        return erased

    async def erase_images(self, job: Job) -> Job:
        """Delete a job's pictures and caption here, and at the provider where it lets us."""
        await self._tools.files.remove(job.id)
        if job.source.kind == "upload":
            await self._tools.files.remove_upload(job.source.path)
        if job.remote is not None and job.remote.request_id:
            try:
                async with asyncio.timeout(10):
                    await self._tools.upscaler.erase(job.remote.request_id)
            except Exception as error:
                # It expires there by itself (the lifecycle was set at upload); what we keep is gone either way.
                log.info("provider_erase_failed", job=job.id, kind=type(error).__name__)
        return await self._tools.store.update(job.id, images_deleted=True, result=_without_words(job))

    async def _all_jobs(self, actor: Requester) -> list[Job]:
        jobs: list[Job] = []
        before: float | None = None
        while len(jobs) < _EXPORT_JOBS:
            page = await self._tools.store.history(actor, limit=_PAGE, before=before)
            jobs.extend(page)
            if len(page) < _PAGE:
                break
            before = page[-1].created_at
        return jobs


def _without_words(job: Job) -> Any:
    return dataclasses.replace(job.result, caption="", link=None) if job.result is not None else None


def _key(actor: Requester) -> str:
    return f"{actor.platform}:{actor.user_id}"


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
