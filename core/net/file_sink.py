"""Save a stream to disk, hashed and limited in size, with one chunk in memory and no write on the event loop."""

import asyncio
import contextlib
import errno
import hashlib
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, cast

from core.domain.errors import FileTooLarge, StorageFull


@dataclass(frozen=True, slots=True)
class FetchedFile:
    path: Path
    bytes: int
    sha256: str


async def save_stream(chunks: AsyncIterator[bytes], dest: Path, limit_bytes: int) -> FetchedFile:
    """Write the chunks to `dest`. Raises FileTooLarge and StorageFull, and removes `dest` on any failure."""
    digest, size_bytes = hashlib.sha256(), 0
    file = await open_file(dest, "wb")

    def put(chunk: bytes) -> None:
        file.write(chunk)
        digest.update(chunk)

    try:
        async for chunk in chunks:
            size_bytes += len(chunk)
            if size_bytes > limit_bytes:
                raise FileTooLarge(bytes=None, limit_bytes=limit_bytes)
            await asyncio.to_thread(put, chunk)
        await asyncio.to_thread(file.close)
    except BaseException as broken:  # quick and not awaited, so that it also works while being cancelled
        with contextlib.suppress(OSError):
            file.close()
            dest.unlink(missing_ok=True)
        if disk_is_full(broken):
            raise StorageFull(reason="disk") from broken
        raise
    return FetchedFile(dest, size_bytes, digest.hexdigest())


async def open_file(path: Path, mode: str) -> BinaryIO:
    """Open a file in a thread. It does not stay open if the caller is cancelled meanwhile."""
    opened: list[BinaryIO] = []
    given_up = False

    def work() -> None:
        opened.append(cast(BinaryIO, path.open(mode)))
        if given_up:
            opened[0].close()

    try:
        await asyncio.to_thread(work)
    except asyncio.CancelledError:
        given_up = True
        for file in opened:
            file.close()
        raise
    return opened[0]


def disk_is_full(error: BaseException) -> bool:
    return isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT)
