"""A file being written as it comes: hashed, capped, whole or not at all. One chunk in memory, off the event loop."""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from core.domain.errors import FileTooLarge


@dataclass(frozen=True, slots=True)
class FetchedFile:
    """A complete file on disk."""

    path: Path
    bytes: int
    sha256: str


async def save_stream(chunks: AsyncIterator[bytes], dest: Path, limit_bytes: int) -> FetchedFile:
    """Writes what comes, one chunk in memory, off the event loop. Raises FileTooLarge; then `dest` is gone again."""
    sink = await FileSink.open(dest, limit_bytes)
    try:
        async for chunk in chunks:
            await sink.write(chunk)
        return await sink.finished()
    except BaseException:
        sink.discard()
        raise


class FileSink:
    """A file being written and hashed, with a cap."""

    def __init__(self, path: Path, file: BinaryIO, limit_bytes: int) -> None:
        self._path, self._file, self._limit_bytes = path, file, limit_bytes
        self._digest = hashlib.sha256()
        self.bytes = 0

    @classmethod
    async def open(cls, path: Path, limit_bytes: int) -> FileSink:
        """Create the file, or empty it."""
        return cls(path, await asyncio.to_thread(path.open, "wb"), limit_bytes)

    async def write(self, chunk: bytes) -> None:
        """Raises FileTooLarge before writing past the cap."""
        self.bytes += len(chunk)
        if self.bytes > self._limit_bytes:
            raise FileTooLarge(bytes=None, limit_bytes=self._limit_bytes)
        await asyncio.to_thread(self._put, chunk)

    def _put(self, chunk: bytes) -> None:
        self._file.write(chunk)
        self._digest.update(chunk)

    async def finished(self) -> FetchedFile:
        await asyncio.to_thread(self._file.close)
        return FetchedFile(self._path, self.bytes, self._digest.hexdigest())

    def discard(self) -> None:
        """Quick and not awaited, so that it also works while being cancelled."""
        with contextlib.suppress(OSError):
            self._file.close()
            self._path.unlink(missing_ok=True)
