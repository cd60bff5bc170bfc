"""Periodic tasks: retention, abandoned work, and the alert for stuck jobs."""

import os
import time
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from sqlalchemy import select, text

from core.domain.errors import StorageUnavailable
from core.domain.job import JobState, Source
from core.ports import SystemClock
from core.presentation.texts.operator_texts import stuck_jobs
from core.storage.database import Database
from core.storage.files.job_files import JobFiles
from core.storage.tables import KEPT, jobs
from tests.core.jobs.pipeline_kit import World, world
from tests.core.storage.test_object_store import store
from tests.emulators.s3 import S3Emulator
from tests.fakes.operator import Told
from tests.typed import unwrap


@pytest.fixture
async def w(tmp_path: Path, any_database_url: str) -> AsyncIterator[World]:
    async with world(tmp_path, any_database_url) as made:
        yield made


async def _copies(database: Database, number: int) -> None:
    """So many jobs like the one that is there."""
    async with database.write() as connection:
        columns = [row[0] for row in (await connection.execute(text("SELECT * FROM jobs LIMIT 0"))).cursor.description]
        taken = ", ".join(name for name in columns if name not in ("id", "key"))
        for start in range(number):
            await connection.execute(
                text(f"INSERT INTO jobs (id, key, {taken}) SELECT :id, :id, {taken} FROM jobs LIMIT 1"),
                {"id": f"copy-{start}"},
            )


async def test_one_turn_of_the_retention_deletes_more_than_ends_meanwhile(w: World) -> None:
    job = await w.done()
    await _copies(w.database, 1200)
    await w.clock.advance(8 * 86_400)
    await w.maintenance.delete_old_images()
    assert await w.store.finished_before(w.clock.now()) == []
    assert (await w.job(job.id)).images_deleted


async def test_the_retention_goes_on_where_an_upload_of_0_1_0_lay_in_a_folder_that_was_moved(w: World) -> None:
    """0.1.0 stored where the page's uploads lay from the root on."""
    job = await w.done()
    source = Source("upload", path="/srv/until-now/data/uploads/x")
    await w.store.update(job.id, source=source)  # type: ignore[call-arg]  # as that release wrote the row
    await w.clock.advance(8 * 86_400)
    await w.maintenance.delete_old_images()
    assert (await w.job(job.id)).images_deleted


async def test_what_the_retention_looks_for_is_read_from_an_index_without_what_was_deleted(tmp_path: Path) -> None:
    async with world(tmp_path) as w:
        query = select(jobs).where(jobs.c.finished_at < 1, KEPT).order_by(jobs.c.finished_at)
        words = str(query.compile(w.database.engine.sync_engine, compile_kwargs={"literal_binds": True}))
        async with w.database.read() as connection:
            plan = str((await connection.execute(text(f"EXPLAIN QUERY PLAN {words}"))).all())
        assert "ix_jobs_kept_finished_at" in plan
        assert "TEMP B-TREE" not in plan


async def test_a_job_older_than_it_can_be_is_told_to_the_operator(w: World) -> None:
    told = Told()
    w.put(operator=told)
    job = await w.ask()
    await w.maintenance.find_stuck()
    assert told == []
    await w.clock.advance(31 * 3600)
    await w.maintenance.find_stuck()
    assert told == [("stuck", stuck_jobs(1, job.id, "en"))]
    await w.store.update(job.id, state=JobState.DELIVERING)
    await w.maintenance.find_stuck()
    assert len(told) == 1, "a result is fetched and delivered for days"
    await w.clock.advance(10 * 86_400)
    await w.maintenance.find_stuck()
    assert len(told) == 2


async def test_a_job_that_nobody_has_in_hand_is_not_delivered_before_its_paid_file_is_there(w: World) -> None:
    """So the releases before 0.3 leave a job whose file they were fetching: `delivering`, without a result."""
    job = await w.ask_until("collect")
    await w.store.update(job.id, state=JobState.DELIVERING)
    w.engine.steps.clear()
    w.grouped = True
    await w.maintenance.revive(await w.job(job.id))
    ended = await w.driven(job.id)
    assert ended.result is not None
    assert (ended.state, unwrap(ended.delivery).shape) == (JobState.SUCCEEDED, "original")


def _unused(folder: Path, for_s: float) -> None:
    os.utime(folder, (time.time() - for_s,) * 2)


async def test_a_folder_is_deleted_here_only_once_the_object_store_has_its_images(tmp_path: Path) -> None:
    """Those from before there was a store, and those that were made while it was away."""
    async with S3Emulator(tmp_path / "s3") as s3, world(tmp_path) as w:
        kept, erased = await w.done(), await w.done()
        w.put(files=JobFiles(w.folder, store(s3, secret_access_key="wrong")), clock=SystemClock())
        folders = [w.ctx.files.folder(job.id) for job in (kept, erased)]
        await w.maintenance.put_away_copies()
        assert [folder.exists() for folder in folders] == [True, True], "used a moment ago"
        await w.store.update(erased.id, images_deleted=True)  # by another process
        for folder in folders:
            _unused(folder, 7 * 3600)
        with pytest.raises(StorageUnavailable):
            await w.maintenance.put_away_copies()
        assert (folders[0] / "input").exists()
        w.put(files=JobFiles(w.folder, store(s3)))
        await w.maintenance.put_away_copies()
        assert [folder.exists() for folder in folders] == [False, False]
        names = {Path(key).name for key in s3.keys if kept.id in key}
        assert names == {"source", "input", Path(unwrap(kept.result).path).name}
        assert not any(erased.id in key for key in s3.keys)


async def test_without_an_object_store_only_folders_of_no_job_are_deleted_once_retention_has_passed(w: World) -> None:
    w.put(clock=SystemClock())
    kept, gone = w.ctx.files.folder((await w.done()).id), w.ctx.files.folder("a-job-before-the-restored-backup")
    _unused(kept, 8 * 86_400)
    _unused(gone, 6 * 86_400)
    await w.maintenance.put_away_copies()
    assert gone.exists()
    _unused(gone, 8 * 86_400)
    await w.maintenance.put_away_copies()
    assert kept.exists()
    assert not gone.exists()


async def test_images_that_cannot_be_deleted_do_not_keep_those_of_other_jobs(
    w: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    stuck, job = await w.done(), await w.done()
    real = w.ctx.files.remove

    async def remove(job_id: str) -> None:
        if job_id == stuck.id:
            raise PermissionError
        await real(job_id)

    monkeypatch.setattr(w.ctx.files, "remove", remove)
    await w.clock.advance(8 * 86_400)
    await w.maintenance.delete_old_images()
    assert [(await w.job(one.id)).images_deleted for one in (stuck, job)] == [False, True]
