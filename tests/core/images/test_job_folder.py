"""The files of an image job are linked into its folder and moved out, and copied only between disks."""

import asyncio
import errno
import os
from pathlib import Path
from typing import Any

import pytest

from core.images import job_folder, pool
from core.images.job_folder import link_or_copy
from core.images.service import ImageService
from tests.core.images import pictures


def test_a_file_that_is_replaced_while_it_is_linked_is_linked_all_the_same(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    source, dest = tmp_path / "source", tmp_path / "dest"
    source.write_bytes(b"new")
    link, refusals = os.link, iter([FileNotFoundError(errno.ENOENT, "the old file has lost its name")])

    def racing(*names: Path) -> None:
        if (error := next(refusals, None)) is not None:
            raise error
        link(*names)

    monkeypatch.setattr(os, "link", racing)
    link_or_copy(source, dest)
    assert (dest.read_bytes(), dest.stat().st_nlink) == (b"new", 2)
    with pytest.raises(FileNotFoundError):
        link_or_copy(tmp_path / "none", dest)


@pytest.mark.parametrize("one_disk", [True, False])
async def test_only_headers_and_copies_between_disks_take_a_thread(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, one_disk: bool
) -> None:
    in_thread, to_thread = [], asyncio.to_thread

    async def noted(work: Any, *given: Any) -> Any:
        in_thread.append(work)
        return await to_thread(work, *given)

    async with ImageService(workers=1, scratch=tmp_path) as image_service:
        await image_service.probe(pictures.scene_in(tmp_path))  # starts the worker, which takes threads
        monkeypatch.setattr(pool, "is_on_one_disk", lambda *_: one_disk)
        monkeypatch.setattr(asyncio, "to_thread", noted)
        prepared = await image_service.prepare(pictures.scene_in(tmp_path), tmp_path / "made")
        monkeypatch.undo()
    assert prepared.path.stat().st_size == prepared.bytes
    assert len(in_thread) == (1 if one_disk else 3)


def test_files_of_another_disk_are_not_on_one_disk(tmp_path: Path) -> None:
    assert job_folder.is_on_one_disk(tmp_path, {"path": tmp_path / "a", "out": tmp_path / "b", "source": None})
    assert not job_folder.is_on_one_disk(tmp_path, {"path": "/proc/self/exe"})
