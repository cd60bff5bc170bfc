"""Strangers cannot fill the disk: unpaid files are deleted, and limits leave space free."""

import asyncio
from pathlib import Path

import pytest

from core.domain.errors import StorageFull
from core.domain.job import JobState, Source
from core.jobs.disk_budget import DiskBudget, DiskShares, free_bytes
from core.jobs.steps import PipelineSettings
from tests.core.jobs.pipeline_kit import ANN, BOB, World, world


def bytes_of_jobs(w: World) -> int:
    return sum(path.stat().st_size for path in (w.folder / "jobs").rglob("*") if path.is_file())


def bytes_of_uploads(w: World) -> int:
    return sum(path.stat().st_size for path in (w.folder / "uploads").iterdir())


async def test_refused_pictures_leave_nothing_on_the_disk(w: World) -> None:
    for number in range(40):
        path = w.folder / "uploads" / f"bad{number}"
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(b"no picture " * 1000)
        job = await w.done(source=Source("upload", path=f"uploads/bad{number}"))
        assert job.state in (JobState.REFUSED, JobState.FAILED)
    assert bytes_of_jobs(w) == 0
    assert list((w.folder / "uploads").iterdir()) == []
    assert w.ctx.running.disk.unpaid() == 0


async def test_the_files_of_a_job_that_is_paid_for_stay(w: World) -> None:
    job = await w.done()
    assert job.state is JobState.SUCCEEDED
    assert bytes_of_jobs(w) > 0
    assert w.ctx.running.disk.unpaid() == 0  # counted by its price now


async def test_a_price_that_nobody_agrees_to_leaves_no_files(tmp_path: Path) -> None:
    async with world(tmp_path, settings=PipelineSettings(confirm_above_nanousd=0)) as w:
        job = await w.done()
        assert job.state is JobState.AWAITING_CONFIRMATION
        assert bytes_of_jobs(w) > 0
        assert w.ctx.running.disk.unpaid("fake:ann") > 0
        assert (await w.service.cancel(job.id, ANN)).state is JobState.CANCELLED
        assert bytes_of_jobs(w) == 0
        assert w.ctx.running.disk.unpaid("fake:ann") == bytes_of_uploads(w) > 0  # for "Again", for a day
        await w.service.delete(job.id, ANN)
        assert w.ctx.running.disk.unpaid() == bytes_of_uploads(w) == 0


async def test_uploads_of_jobs_that_nobody_agrees_to_stay_only_within_half_of_their_members_share(
    tmp_path: Path,
) -> None:
    settings = PipelineSettings(confirm_above_nanousd=0, disk=DiskShares(unpaid_member=100))
    async with world(tmp_path, settings=settings) as w:
        for _ in range(30):
            job = await w.done(source=w.upload(2400, 1600))
            assert job.state is JobState.AWAITING_CONFIRMATION
            await w.service.cancel(job.id, ANN)
            assert w.ctx.running.disk.unpaid("fake:ann") == bytes_of_uploads(w) <= 50
        assert bytes_of_uploads(w) > 0
        await w.ctx.running.disk.scan()  # as every hour
        assert w.ctx.running.disk.unpaid("fake:ann") == bytes_of_uploads(w)
        await w.crash()
        await w.ctx.running.disk.scan()
        assert w.ctx.running.disk.unpaid() == bytes_of_uploads(w)


async def test_uploads_count_from_the_moment_that_they_are_accepted(tmp_path: Path) -> None:
    async with world(tmp_path, settings=PipelineSettings(disk=DiskShares(unpaid_member=1))) as w:
        await w.ask()  # nothing has read it yet
        with pytest.raises(StorageFull) as raised:
            await w.ask()
        assert raised.value.reason == "member"


async def test_unpaid_pictures_of_one_member_are_bounded_and_another_member_is_served(tmp_path: Path) -> None:
    settings = PipelineSettings(confirm_above_nanousd=0, disk=DiskShares(unpaid_member=1))
    async with world(tmp_path, settings=settings) as w:
        first = await w.done()
        assert first.state is JobState.AWAITING_CONFIRMATION
        with pytest.raises(StorageFull) as raised:
            await w.ask()
        assert raised.value.reason == "member"
        assert (await w.done(requester=BOB)).state is JobState.AWAITING_CONFIRMATION
        await w.service.cancel(first.id, ANN)
        assert (await w.done()).state is JobState.AWAITING_CONFIRMATION


async def test_below_the_floor_nothing_new_is_taken_and_what_runs_ends(w: World) -> None:
    job = await w.ask()
    w.engine.steps[f"{job.id}:request"] = await w.pipeline.run("prepare", job.id)
    shares = DiskShares(free=10**9)
    w.ctx.running.disk = DiskBudget(w.folder, shares, w.store.owners_of, free=lambda _: 10**9 - 1)
    with pytest.raises(StorageFull) as raised:
        await w.ask()
    assert raised.value.reason == "disk"
    await w.drive()
    assert (await w.job(job.id)).state is JobState.SUCCEEDED


async def test_a_restart_forgets_no_byte_and_paid_results_count_until_they_are_deleted(tmp_path: Path) -> None:
    async with world(tmp_path) as w:
        kept = await w.done()
        await w.done(requester=BOB)
        unpaid = await w.done(source=w.upload(2400, 1600))
        await w.crash()
        disk = w.ctx.running.disk
        await disk.check("fake:ann")
        assert disk.unpaid() == disk.unpaid("fake:ann") == w.ctx.files.size(unpaid.id) > 0
        assert disk.taken("fake:ann") + disk.taken("fake:bob") == disk.taken() == bytes_of_jobs(w)
        await w.service.delete(kept.id, ANN)
        assert disk.taken() == bytes_of_jobs(w)


async def test_a_member_whose_kept_results_take_their_share_makes_room_by_deleting(tmp_path: Path) -> None:
    async with world(tmp_path, settings=PipelineSettings(disk=DiskShares(member=1))) as w:
        kept = await w.done()
        with pytest.raises(StorageFull) as raised:
            await w.ask()
        assert raised.value.reason == "kept"
        assert (await w.done(requester=BOB)).state is JobState.SUCCEEDED
        await w.service.delete(kept.id, ANN)
        await w.ask()


async def test_a_scan_keeps_what_is_fetched_meanwhile_and_drops_what_is_gone(tmp_path: Path) -> None:
    async with world(tmp_path) as w:
        budget = DiskBudget(tmp_path / "jobs", DiskShares(), w.store.owners_of)
        budget.count("gone", "fake:ann", 5)
        scan = asyncio.create_task(budget.scan())
        await asyncio.sleep(0)
        budget.count("new", "fake:ann", 7)
        await scan
        assert budget.taken() == 7


async def test_all_pictures_together_are_bounded(tmp_path: Path) -> None:
    async with world(tmp_path) as w:
        nowhere = Path("/nowhere/at/all")
        for shares in (DiskShares(unpaid_all=150, free=1), DiskShares(all=150, free=1)):
            budget = DiskBudget(nowhere, shares, w.store.owners_of)
            await budget.scan()
            budget.count("j1", "a", 90)
            budget.count("j2", "b", 90)
            with pytest.raises(StorageFull):
                await budget.check("c")
            budget.forget("j1")
            await budget.check("c")
        assert free_bytes(nowhere) > 0
