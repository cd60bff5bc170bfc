"""Requests of the sandbox that end without a result: cancelled, erased, or delayed by a full disk."""

import asyncio
from pathlib import Path
from typing import Any

import pytest

from core.domain.errors import to_json
from core.ports import RemoteCompleted
from core.upscalers.sandbox.client import CANCELLED
from core.upscalers.sandbox.model import Pace
from tests.core.upscalers.fal_kit import statuses
from tests.core.upscalers.sandbox_kit import ended, ended_well, sandbox, submitted
from tests.fakes.clock import JumpingClock
from tests.fakes.core import until


async def test_a_waiting_request_is_removed_by_a_cancel(tmp_path: Path) -> None:
    async with sandbox(tmp_path, clock=JumpingClock(nap_s=10_000), slots=0) as upscaler:
        request_id = await submitted(upscaler, tmp_path)
        watching = asyncio.ensure_future(ended(upscaler, request_id))
        await until(lambda: upscaler._queue)
        assert await upscaler.cancel(request_id) == "removed"
        assert to_json(await watching) == to_json(CANCELLED)
        assert to_json(await ended(upscaler, request_id)) == to_json(CANCELLED)
        assert await upscaler.cancel(request_id) == "already_completed"
        assert await upscaler.cancel("unknown") == "not_found"


async def test_a_running_request_stops_at_its_next_step(tmp_path: Path) -> None:
    pace = Pace(base_s=1000, limit_s=1000)
    async with sandbox(tmp_path, clock=JumpingClock(nap_s=0.1), pace=pace) as upscaler:
        request_id = await submitted(upscaler, tmp_path)
        watching = asyncio.ensure_future(ended(upscaler, request_id))
        await until(lambda: upscaler._queue)
        assert await upscaler.cancel(request_id) == "requested"
        assert to_json(await watching) == to_json(CANCELLED)


async def test_an_erased_request_is_waited_for_no_longer(tmp_path: Path) -> None:
    async with sandbox(tmp_path, slots=0) as upscaler:
        request_id = await submitted(upscaler, tmp_path)
        watching = asyncio.ensure_future(statuses(upscaler, request_id))
        await until(lambda: upscaler._queue)
        await upscaler.erase(request_id)
        assert (await watching)[-1] == RemoteCompleted()


async def test_a_full_disk_is_waited_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async with sandbox(tmp_path) as upscaler:
        request_id = await submitted(upscaler, tmp_path)
        save, tries = upscaler._store.save, list[str]()

        def full_at_first(record: Any) -> None:
            tries.append(record.request_id)
            if len(tries) == 1:
                raise OSError(28, "No space left on device")
            save(record)

        monkeypatch.setattr(upscaler._store, "save", full_at_first)
        assert (await statuses(upscaler, request_id))[-1] == RemoteCompleted()
        assert (await upscaler.result(request_id)).seed == 7
    assert len(tries) == 2


async def test_erasing_leaves_nothing(tmp_path: Path) -> None:
    async with sandbox(tmp_path) as upscaler:
        request_id = await ended_well(upscaler, tmp_path)
        await upscaler.erase(request_id)
        await upscaler.erase(request_id)
        assert [p for p in (tmp_path / "sandbox").rglob("*") if p.is_file()] == []
