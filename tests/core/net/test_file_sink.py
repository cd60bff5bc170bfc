"""Saving a stream to a full disk, or for a caller that is gone."""

import asyncio
import threading
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from core.domain.errors import StorageFull
from core.net.file_sink import open_file, save_stream
from tests.fakes.core import until


@pytest.mark.parametrize("n_bytes", [10, 1_000_000])  # found out when it is closed, and when it is written
async def test_a_full_disk_is_no_bug_and_no_trouble_of_the_network(tmp_path: Path, n_bytes: int) -> None:
    dest = tmp_path / "upload"
    dest.symlink_to("/dev/full")

    async def chunks() -> AsyncIterator[bytes]:
        yield bytes(n_bytes)

    with pytest.raises(StorageFull):
        await save_stream(chunks(), dest, 2_000_000)
    assert not dest.is_symlink()


async def test_a_file_that_opens_after_its_caller_was_cancelled_is_closed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    may_open, opened = threading.Event(), list[Any]()
    real = Path.open

    def slow(path: Path, mode: str) -> Any:
        may_open.wait(10)
        opened.append(real(path, mode))
        return opened[0]

    monkeypatch.setattr(Path, "open", slow)
    task = asyncio.create_task(open_file(tmp_path / "x", "wb"))
    await asyncio.sleep(0)
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    may_open.set()
    await until(lambda: bool(opened) and opened[0].closed)
