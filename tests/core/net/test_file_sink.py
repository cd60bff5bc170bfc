"""Saving a stream to a full disk."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from core.domain.errors import StorageFull
from core.net.file_sink import save_stream


@pytest.mark.parametrize("n_bytes", [10, 1_000_000])  # found out when it is closed, and when it is written
async def test_a_full_disk_is_no_bug_and_no_trouble_of_the_network(tmp_path: Path, n_bytes: int) -> None:
    dest = tmp_path / "upload"
    dest.symlink_to("/dev/full")

    async def chunks() -> AsyncIterator[bytes]:
        yield bytes(n_bytes)

    with pytest.raises(StorageFull):
        await save_stream(chunks(), dest, 2_000_000)
    assert not dest.is_symlink()
