"""Strangers cannot fill the disk: unpaid files are deleted, and limits leave space free."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from core.domain.errors import StorageFull
from core.domain.job import JobState, Source
from core.jobs.disk_budget import DiskBudget, DiskShares, free_bytes
from core.jobs.steps import PipelineSettings
from tests.core.jobs.pipeline_kit import ANN, BOB, World
from tests.core.jobs.pipeline_kit import world as make_world


@pytest.fixture
async def world(tmp_path: Path) -> AsyncIterator[World]:
    async with make_world(tmp_path) as made:
        yield made


def bytes_of_jobs(world: World) -> int:
    return sum(path.stat().st_size for path in (world.folder / "jobs").rglob("*") if path.is_file())


def bytes_of_uploads(world: World) -> int:
    return sum(path.stat().st_size for path in (world.folder / "uploads").iterdir())


async def test_refused_pictures_leave_nothing_on_the_disk(world: World) -> None:
    for number in range(40):
        path = world.folder / "uploads" / f"bad{number}"
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(b"no picture " * 1000)
        job = await world.done(source=Source("upload", path=f"uploads/bad{number}"))
        assert job.state in (JobState.REFUSED, JobState.FAILED)
    assert bytes_of_jobs(world) == 0
    assert list((world.folder / "uploads").iterdir()) == []
    assert world.ctx.running.disk.unpaid() == 0


async def test_the_files_of_a_job_that_is_paid_for_stay(world: World) -> None:
    job = await world.done()
    assert job.state is JobState.SUCCEEDED
    assert bytes_of_jobs(world) > 0
    assert world.ctx.running.disk.unpaid() == 0  # counted by its price now


async def test_a_price_that_nobody_agrees_to_leaves_no_files(tmp_path: Path) -> None:
    async with make_world(tmp_path, settings=PipelineSettings(confirm_above_nanousd=0)) as world:
        job = await world.done()
        assert job.state is JobState.AWAITING_CONFIRMATION
        assert bytes_of_jobs(world) > 0
        assert world.ctx.running.disk.unpaid("fake:ann") > 0
        assert (await world.service.cancel(job.id, ANN)).state is JobState.CANCELLED
        assert bytes_of_jobs(world) == 0
        assert world.ctx.running.disk.unpaid("fake:ann") == bytes_of_uploads(world) > 0  # for "Again", for a day
        await world.service.delete(job.id, ANN)
        assert world.ctx.running.disk.unpaid() == bytes_of_uploads(world) == 0


async def test_uploads_of_jobs_that_nobody_agrees_to_stay_only_within_half_of_their_members_share(
    tmp_path: Path,
) -> None:
    settings = PipelineSettings(confirm_above_nanousd=0, disk=DiskShares(unpaid_member=100))
    async with make_world(tmp_path, settings=settings) as world:
        for _ in range(30):
            job = await world.done(source=world.upload(2400, 1600))
            assert job.state is JobState.AWAITING_CONFIRMATION
            await world.service.cancel(job.id, ANN)
            assert world.ctx.running.disk.unpaid("fake:ann") == bytes_of_uploads(world) <= 50
        assert bytes_of_uploads(world) > 0
        await world.ctx.running.disk.scan()  # as every hour
        assert world.ctx.running.disk.unpaid("fake:ann") == bytes_of_uploads(world)
        await world.crash()
        await world.ctx.running.disk.scan()
        assert world.ctx.running.disk.unpaid() == bytes_of_uploads(world)


async def test_uploads_count_from_the_moment_that_they_are_accepted(tmp_path: Path) -> None:
    async with make_world(tmp_path, settings=PipelineSettings(disk=DiskShares(unpaid_member=1))) as world:
        await world.ask()  # nothing has read it yet
        with pytest.raises(StorageFull) as raised:
            await world.ask()
        assert raised.value.reason == "member"


async def test_unpaid_pictures_of_one_member_are_bounded_and_another_member_is_served(tmp_path: Path) -> None:
    settings = PipelineSettings(confirm_above_nanousd=0, disk=DiskShares(unpaid_member=1))
    async with make_world(tmp_path, settings=settings) as world:
        first = await world.done()
        assert first.state is JobState.AWAITING_CONFIRMATION
        with pytest.raises(StorageFull) as raised:
            await world.ask()
        assert raised.value.reason == "member"
        assert (await world.done(requester=BOB)).state is JobState.AWAITING_CONFIRMATION
        await world.service.cancel(first.id, ANN)
        assert (await world.done()).state is JobState.AWAITING_CONFIRMATION


async def test_below_the_floor_nothing_new_is_taken_and_what_runs_ends(world: World) -> None:
    job = await world.ask()
    world.engine.steps[f"{job.id}:request"] = await world.pipeline.run("prepare", job.id)
    shares = DiskShares(free=10**9)
    world.ctx.running.disk = DiskBudget(world.folder, shares, world.store.owners_of, free=lambda _: 10**9 - 1)
    with pytest.raises(StorageFull) as raised:
        await world.ask()
    assert raised.value.reason == "disk"
    await world.drive()
    assert (await world.job(job.id)).state is JobState.SUCCEEDED


async def test_a_restart_forgets_no_byte_and_paid_results_count_until_they_are_deleted(tmp_path: Path) -> None:
    async with make_world(tmp_path) as world:
        kept = await world.done()
        await world.done(requester=BOB)
        unpaid = await world.done(source=world.upload(2400, 1600))
        await world.crash()
        disk = world.ctx.running.disk
        await disk.check("fake:ann")
        assert disk.unpaid() == disk.unpaid("fake:ann") == await world.ctx.files.size(unpaid.id) > 0
        assert disk.taken("fake:ann") + disk.taken("fake:bob") == disk.taken() == bytes_of_jobs(world)
        await world.service.delete(kept.id, ANN)
        assert disk.taken() == bytes_of_jobs(world)


async def test_a_member_whose_kept_results_take_their_share_makes_room_by_deleting(tmp_path: Path) -> None:
    async with make_world(tmp_path, settings=PipelineSettings(disk=DiskShares(member=1))) as world:
        kept = await world.done()
        with pytest.raises(StorageFull) as raised:
            await world.ask()
        assert raised.value.reason == "kept"
        assert (await world.done(requester=BOB)).state is JobState.SUCCEEDED
        await world.service.delete(kept.id, ANN)
        await world.ask()


async def test_a_scan_keeps_what_is_fetched_meanwhile_and_drops_what_is_gone(tmp_path: Path) -> None:
    async with make_world(tmp_path) as world:
        budget = DiskBudget(tmp_path / "jobs", DiskShares(), world.store.owners_of)
        budget.count("gone", "fake:ann", 5)
        scan = asyncio.create_task(budget.scan())
        await asyncio.sleep(0)
        budget.count("new", "fake:ann", 7)
        await scan
        assert budget.taken() == 7


async def test_all_pictures_together_are_bounded(tmp_path: Path) -> None:
    async with make_world(tmp_path) as world:
        nowhere = Path("/nowhere/at/all")
        for shares in (DiskShares(unpaid_all=150, free=1), DiskShares(all=150, free=1)):
            budget = DiskBudget(nowhere, shares, world.store.owners_of)
            await budget.scan()
            budget.count("j1", "a", 90)
            budget.count("j2", "b", 90)
            with pytest.raises(StorageFull):
                await budget.check("c")
            budget.forget("j1")
            await budget.check("c")
        assert free_bytes(nowhere) > 0
