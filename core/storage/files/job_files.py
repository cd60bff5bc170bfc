"""Paths of a job's pictures on this machine, copies in the object store, and deletion. Decodes no picture."""

import asyncio
import contextlib
import hashlib
import os
import shutil
from collections.abc import Sequence
from pathlib import Path

import structlog

from core.domain.errors import StorageUnavailable
from core.domain.media_types import suffix_for
from core.storage.files.object_store import ObjectStore

log = structlog.get_logger(__name__)


class JobFiles:
    """Files below `<data_dir>/jobs/<id>/`: source, input, result, and renditions made for delivery."""

    def __init__(self, data_dir: Path, objects: ObjectStore | None = None) -> None:
        self.data_dir = data_dir.resolve()
        self._objects = objects
        self._root = self.data_dir / "jobs"

    def folder(self, job_id: str) -> Path:
        path = self._path(job_id)
        if not path.is_dir():  # called fifteen times a job, and `mkdir` takes seven times as long
            path.mkdir(parents=True, exist_ok=True)
        return path

    def _path(self, job_id: str) -> Path:
        return self._root / job_id[:2] / job_id

    def source(self, job_id: str) -> Path:
        return self.folder(job_id) / "source"

    def input(self, job_id: str) -> Path:
        return self.folder(job_id) / "input"

    def result(self, job_id: str, mime: str) -> Path:
        return self.folder(job_id) / f"result{suffix_for(mime)}"

    def relative(self, path: Path) -> str:
        """Return the path to store, relative to the data directory, so that the directory can be moved."""
        return os.path.relpath(path, self.data_dir)

    def absolute(self, relative: str) -> Path:
        """Return the absolute path of a stored one. Raises ValueError if it leads out of the data directory.

        Symbolic links are not resolved, which would take seven system calls a path: only the bot writes there.
        """
        path = Path(os.path.normpath(self.data_dir / relative))
        if not path.is_relative_to(self.data_dir):
            raise ValueError("path leads out of the data directory")
        return path

    async def share(self, path: Path) -> None:
        """Copy this file to the object store, if there is one. Raises StorageUnavailable."""
        if self._objects is not None and path.exists():
            await self._objects.put(self.relative(path), path)

    async def share_later(self, *paths: Path) -> None:
        """Like `share`, for files that can be fetched again elsewhere: errors are only logged."""
        for outcome in await asyncio.gather(*map(self.share, paths), return_exceptions=True):
            if isinstance(outcome, StorageUnavailable | OSError):
                log.warning("file_not_shared", kind=type(outcome).__name__)
            elif isinstance(outcome, BaseException):
                raise outcome

    async def ensure_local(self, path: Path) -> bool:
        """Whether the file is on this machine, after fetching it from the object store if it was not."""
        if path.exists() or self._objects is None:
            return path.exists()
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            return await self._objects.get(self.relative(path), path)
        except StorageUnavailable:
            log.warning("file_not_brought")
            return False

    async def digest(self, path: Path) -> tuple[str, int]:
        """Return the SHA-256 (hex) and the size in bytes of a file, read in a thread."""

        def work() -> tuple[str, int]:
            with path.open("rb") as file:
                return hashlib.file_digest(file, "sha256").hexdigest(), os.fstat(file.fileno()).st_size

        return await asyncio.to_thread(work)

    def size(self, job_id: str) -> int:
        """Return the size of the job's files in bytes; there are only a few."""
        with contextlib.suppress(FileNotFoundError), os.scandir(self._path(job_id)) as files:
            return sum(file.stat().st_size for file in files if file.is_file())
        return 0

    async def remove(self, job_id: str) -> None:
        """Delete all files of a job, if there are any. Raises StorageUnavailable."""
        path = self._path(job_id)
        await asyncio.to_thread(shutil.rmtree, path, True)
        if self._objects is not None:
            await self._objects.delete_below(self.relative(path))

    async def upload_bytes(self, relative: str) -> int:
        """Return the size of an upload; 0 if it is gone, is not an upload, or is hard-linked into a job's folder."""
        with contextlib.suppress(OSError):
            if self._is_upload(relative):
                stat = self.absolute(relative).stat()
                return stat.st_size if stat.st_nlink == 1 else 0
        return 0

    async def remove_upload(self, relative: str) -> None:
        """Delete an upload by its original path; paths elsewhere are ignored."""
        if self._is_upload(relative):
            await asyncio.to_thread(self.absolute(relative).unlink, missing_ok=True)
            if self._objects is not None:
                await self._objects.delete(relative)

    def _is_upload(self, relative: str) -> bool:
        """False for a path elsewhere, such as 0.1.0 stored (absolute) before the data directory was moved."""
        path = Path(os.path.normpath(self.data_dir / relative))
        return bool(relative) and path.parent == self.data_dir / "uploads"

    async def delete_old_uploads(self, older_than_s: float, now: float) -> None:
        """Delete old uploads, which never became a job, or whose job has its own copy."""

        def work() -> None:
            for path in (self.data_dir / "uploads").glob("*"):
                if path.is_file() and path.stat().st_mtime < now - older_than_s:
                    path.unlink(missing_ok=True)

        await asyncio.to_thread(work)
        if self._objects is not None:
            await self._objects.delete_below("uploads", older_than=now - older_than_s)

    @property
    def are_shared(self) -> bool:
        """Whether an object store holds the pictures, so that those here are copies."""
        return self._objects is not None

    async def unused(self, older_than_s: float, now: float) -> Sequence[str]:
        """Return the ids of the jobs whose folder here was not changed for this long."""

        def work() -> list[str]:
            names = []
            for path in self._root.glob("*/*"):
                with contextlib.suppress(FileNotFoundError):  # deleted meanwhile
                    names += [path.name] if path.stat().st_mtime < now - older_than_s else []
            return names

        return await asyncio.to_thread(work)

    async def put_away(self, job_id: str, *, kept: bool) -> None:
        """Delete a job's folder here; of a job whose pictures are kept only once they are in the object store.

        They are not if the store was away when they were made, or was set up later. Raises StorageUnavailable.
        """
        folder = self._path(job_id)
        if kept:
            if self._objects is None:
                return
            for path in (folder / "source", folder / "input", *folder.glob("result.*")):
                if path.suffix != ".part" and path.exists() and not await self._objects.has(self.relative(path)):
                    await self.share(path)
        await asyncio.to_thread(shutil.rmtree, folder, True)
