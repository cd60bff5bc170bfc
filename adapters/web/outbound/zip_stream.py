"""Stored files as one ZIP, made while it is sent: nothing is written down, and one chunk at a time is in memory."""

import asyncio
import time
import zipfile
from collections.abc import Sequence
from pathlib import Path

from aiohttp import web

_CHUNK_BYTES = 256 * 1024


class _Outgoing(bytearray):
    """What the archive writes to: it cannot be sought, so sizes follow each file (data descriptors of the format)."""

    def write(self, data: bytes) -> int:
        self.extend(data)
        return len(data)

    def flush(self) -> None:
        pass

    close = flush

    def take(self) -> bytes:
        data = bytes(self)
        self.clear()
        return data


async def send_zip(response: web.StreamResponse, files: Sequence[tuple[Path, str]]) -> None:
    """Write the files under these names, uncompressed (pictures are already), to a prepared response."""
    outgoing = _Outgoing()
    with zipfile.ZipFile(outgoing, "w", zipfile.ZIP_STORED) as archive:
        for path, name in files:
            facts = await asyncio.to_thread(path.stat)
            entry = zipfile.ZipInfo(name, time.localtime(facts.st_mtime)[:6])
            entry.file_size = facts.st_size
            with await asyncio.to_thread(path.open, "rb") as source, archive.open(entry, "w") as target:
                while chunk := await asyncio.to_thread(source.read, _CHUNK_BYTES):
                    target.write(chunk)
                    await response.write(outgoing.take())
    await response.write(outgoing.take())


def distinct(names: Sequence[str]) -> list[str]:
    """The names, numbered where one appears again: `a.png`, `a (2).png`."""
    seen: dict[str, int] = {}
    told = []
    for name in names:
        seen[name] = seen.get(name, 0) + 1
        stem, dot, suffix = name.rpartition(".")
        told.append(name if seen[name] == 1 else f"{stem} ({seen[name]}){dot}{suffix}")
    return told
