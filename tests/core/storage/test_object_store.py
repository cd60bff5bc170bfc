"""Pictures in an object store: signed, streamed in parts, complete or absent, deleted page by page."""

import os
import time
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from core.domain.errors import StorageUnavailable
from core.storage.files.job_files import JobFiles
from core.storage.files.object_store import ObjectStore
from tests.emulators.s3 import ACCESS_KEY, SECRET_KEY, S3Emulator


@pytest.fixture
async def s3(tmp_path: Path) -> AsyncIterator[S3Emulator]:
    async with S3Emulator(tmp_path / "s3") as emulator:
        yield emulator


def store(s3: S3Emulator, **changes: str) -> ObjectStore:
    keys = {"access_key_id": ACCESS_KEY, "secret_access_key": SECRET_KEY, "region": "eu-central-1"}
    return ObjectStore("s3://pictures/bot", {**keys, "endpoint": s3.url, **changes})


def written(folder: Path, n_bytes: int) -> Path:
    path = folder / f"file-{n_bytes}"
    path.write_bytes(os.urandom(n_bytes))
    return path


@pytest.mark.parametrize("n_bytes", [0, 100, 30_000_000])
async def test_what_was_put_comes_back(s3: S3Emulator, tmp_path: Path, n_bytes: int) -> None:
    sent, back = written(tmp_path, n_bytes), tmp_path / "back"
    await store(s3).put("jobs/ab/abc/result file.png", sent)
    assert s3.keys == ["bot/jobs/ab/abc/result file.png"]
    assert await store(s3).get("jobs/ab/abc/result file.png", back)
    assert back.read_bytes() == sent.read_bytes()
    assert bool(s3.calls["part"]) is (n_bytes > 8_000_000)
    assert s3.violations == []


async def test_what_is_not_there_is_said_so_and_leaves_nothing(s3: S3Emulator, tmp_path: Path) -> None:
    folder = tmp_path / "empty"
    folder.mkdir()
    assert not await store(s3).get("jobs/none", folder / "none")
    await store(s3).delete("jobs/none")
    assert list(folder.iterdir()) == []


async def test_a_wrong_secret_is_refused(s3: S3Emulator, tmp_path: Path) -> None:
    with pytest.raises(StorageUnavailable):
        await store(s3, secret_access_key="wrong").put("x", written(tmp_path, 9))
    assert s3.keys == []


async def test_a_job_is_deleted_whole_and_no_other(s3: S3Emulator, tmp_path: Path) -> None:
    path = written(tmp_path, 9)
    for name in (*(f"jobs/ab/abc/{n}" for n in range(8)), "jobs/ab/abcd/0"):
        await store(s3).put(name, path)
    await store(s3).delete_below("jobs/ab/abc")
    assert s3.keys == ["bot/jobs/ab/abcd/0"]
    await store(s3).delete_below("jobs", older_than=time.time() - 3600)
    assert s3.keys == ["bot/jobs/ab/abcd/0"]
    await store(s3).delete_below("jobs", older_than=time.time() + 3600)
    assert s3.keys == []


async def test_a_second_machine_reads_deletes_and_forgets_what_the_first_one_shared(
    s3: S3Emulator, tmp_path: Path
) -> None:
    first, second = (JobFiles(tmp_path / name, store(s3)) for name in ("first", "second"))
    result = first.result("abcjob", "image/png")
    result.write_bytes(b"picture")
    await first.share(result)
    copy = second.absolute(first.relative(result))
    assert await second.ensure_local(copy)
    assert copy.read_bytes() == b"picture"
    assert await second.unused(60, time.time()) == []
    assert await second.unused(-1, time.time()) == ["abcjob"]
    await second.put_away("abcjob", kept=True)
    assert not copy.exists()
    await second.remove("abcjob")
    assert s3.keys == []
