"""Where a job's pictures lie on this machine, and how they are removed. Paths only; no pixel is read here."""

from __future__ import annotations

import asyncio
import hashlib
import os
import shutil
from pathlib import Path

from core.domain.media_types import suffix_for


class JobFiles:
    """`<data_dir>/jobs/<id>/`: source, input, result, and shapes made for delivery."""

    def __init__(self, data_dir: Path) -> None:
        self.data_dir = data_dir
        self._root = data_dir / "jobs"

    def folder(self, job_id: str) -> Path:
        """The job's folder, made if absent."""
        path = self._root / job_id[:2] / job_id
        path.mkdir(parents=True, exist_ok=True)
        return path

    def source(self, job_id: str) -> Path:
        """The bytes as received."""
        return self.folder(job_id) / "source"

    def input(self, job_id: str) -> Path:
        """The picture as sent to the model."""
        return self.folder(job_id) / "input"

    def result(self, job_id: str, mime: str) -> Path:
        """The full result."""
        return self.folder(job_id) / f"result{suffix_for(mime)}"

    def relative(self, path: Path) -> str:
        """For storing: relative to the data directory, so that it may be moved."""
        return os.path.relpath(path, self.data_dir)

    def absolute(self, relative: str) -> Path:
        """The stored path on this machine; refuses one that leads out of the data directory."""
        path = (self.data_dir / relative).resolve()
        if not path.is_relative_to(self.data_dir.resolve()):
            raise ValueError("path leads out of the data directory")
        return path

    async def copy(self, source: Path, dest: Path) -> None:
        """A second name for the same bytes (hard link), or a copy where links are not to be had."""

        def work() -> None:
            dest.unlink(missing_ok=True)
            try:
                os.link(source, dest)
            except OSError:
                shutil.copyfile(source, dest)

        await asyncio.to_thread(work)

    async def digest(self, path: Path) -> tuple[str, int]:
        """SHA-256 (hex) and size in bytes of a file, read in a thread."""

        def work() -> tuple[str, int]:
            with path.open("rb") as file:
                return hashlib.file_digest(file, "sha256").hexdigest(), os.fstat(file.fileno()).st_size

        return await asyncio.to_thread(work)

    async def size(self, job_id: str) -> int:
        """Bytes of everything of a job."""
        path = self._root / job_id[:2] / job_id

        def work() -> int:
            return sum(file.stat().st_size for file in path.glob("*") if file.is_file())

        return await asyncio.to_thread(work)

    async def remove(self, job_id: str) -> None:
        """Delete everything of a job; absent is fine."""
        path = self._root / job_id[:2] / job_id
        await asyncio.to_thread(shutil.rmtree, path, True)

    async def remove_upload(self, relative: str) -> None:
        """Delete a job's upload under its first name; anything that is no upload stays."""
        path = self.absolute(relative)
        if relative and path.parent == (self.data_dir / "uploads").resolve():
            await asyncio.to_thread(path.unlink, missing_ok=True)

    async def forget_uploads(self, older_than_s: float, now: float) -> None:
        """Delete uploads that never became a job, or whose job has its own copy."""

        def work() -> None:
            for path in (self.data_dir / "uploads").glob("*"):
                if path.is_file() and path.stat().st_mtime < now - older_than_s:
                    path.unlink(missing_ok=True)

        await asyncio.to_thread(work)
